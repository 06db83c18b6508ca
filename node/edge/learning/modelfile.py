"""The model file: safetensors, with the preparation inside, so that raw rows can be scored anywhere.

Responsible for the bytes of the file and for refusing any other. Nothing in it is ever unpickled.
"""

import json
from typing import Final

import numpy as np
import safetensors
import safetensors.numpy

from node.base.ports import LearnerError
from node.edge.learning.preparation import PARAMETERS_MAX, PREPARATION_BYTES_MAX, Preparation, read_preparation

METADATA_KEY: Final = "lepton"
MODEL_FILE_BYTES_MAX: Final = 4 * PARAMETERS_MAX + 2 * PREPARATION_BYTES_MAX


def write_model(preparation: bytes, parameters: bytes) -> bytes:
    """The file of a model: deterministic, as one metadata key leaves the library no order to choose.

    Raises `LearnerError` unless `parameters` are finite and as many as the preparation lays out.
    """
    plan = read_preparation(preparation)
    flat = finite_parameters(plan, parameters, "The model")
    tensors = {}
    start = 0
    for tensor in plan.layout:
        tensors[tensor.name] = flat[start : start + tensor.length].reshape(tensor.shape)
        start += tensor.length
    return safetensors.numpy.save(tensors, {METADATA_KEY: preparation.decode("ascii")})


def open_model(file: bytes) -> tuple[bytes, bytes]:
    """(preparation, parameters) of a model file. Raises `LearnerError` for any other file."""
    if len(file) > MODEL_FILE_BYTES_MAX:
        raise LearnerError(f"The model file has {len(file)} bytes; at most {MODEL_FILE_BYTES_MAX} are allowed.")
    try:
        tensors = safetensors.numpy.load(file)
    except (safetensors.SafetensorError, KeyError) as error:
        raise LearnerError("The model file is not a safetensors file, or is damaged.") from error
    preparation = _metadata(file)
    plan = read_preparation(preparation)
    if set(tensors) != {tensor.name for tensor in plan.layout}:
        raise LearnerError("The model file does not hold the tensors that its preparation names.")
    for tensor in plan.layout:
        found = tensors[tensor.name]
        if found.dtype != np.float32 or found.shape != tensor.shape:
            raise LearnerError(f"The model file's tensor {tensor.name} is not float32 of shape {tensor.shape}.")
    parameters = b"".join(tensors[tensor.name].astype("<f4", copy=False).tobytes() for tensor in plan.layout)
    finite_parameters(plan, parameters, "The model file")
    return preparation, parameters


def finite_parameters(plan: Preparation, parameters: bytes, owner: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The flat vector, read-only. Raises `LearnerError` if its length is wrong or a value is not finite."""
    if len(parameters) != 4 * plan.length:
        raise LearnerError(f"{owner} has {len(parameters)} bytes of parameters; its layout needs {4 * plan.length}.")
    flat = np.frombuffer(parameters, "<f4")
    if not np.isfinite(flat).all():
        raise LearnerError(f"{owner} holds parameters that are not finite numbers.")
    return flat


def _metadata(file: bytes) -> bytes:
    """The preparation in the header of a file whose form the library has checked."""
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or list(metadata) != [METADATA_KEY]:
        raise LearnerError("The model file carries no preparation; it was not written by this software.")
    return str(metadata[METADATA_KEY]).encode("utf-8", "replace")
