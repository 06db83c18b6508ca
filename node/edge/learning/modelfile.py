"""The model file: safetensors, with the preparation inside, so that raw rows can be scored anywhere.

Responsible for the bytes of the file and for refusing any other. Nothing in it is ever unpickled.
"""

import json
from typing import Final

import numpy as np
import safetensors.numpy

from node.base.ports import LearnerError
from node.edge.learning.preparation import PARAMETERS_MAX, PREPARATION_BYTES_MAX, Preparation, read_preparation

METADATA_KEY: Final = "lepton"
HEADER_BYTES_MAX: Final = 2 * PREPARATION_BYTES_MAX
MODEL_FILE_BYTES_MAX: Final = 4 * PARAMETERS_MAX + HEADER_BYTES_MAX


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
    """(preparation, parameters) of a model file. Raises `LearnerError` for any other file.

    Stricter than the safetensors format: every tensor must lie where `write_model` puts it, which leaves nothing
    to trust in the file's own offsets and makes the parameters one slice.
    """
    if len(file) > MODEL_FILE_BYTES_MAX:
        raise LearnerError(f"The model file has {len(file)} bytes; at most {MODEL_FILE_BYTES_MAX} are allowed.")
    start = 8 + int.from_bytes(file[:8], "little")
    if not 8 < start <= min(len(file), HEADER_BYTES_MAX):
        raise LearnerError("The model file is not a safetensors file, or is damaged.")
    try:
        header = json.loads(file[8:start])
    except (ValueError, RecursionError) as error:
        raise LearnerError("The model file's header is not JSON, or is damaged.") from error
    metadata = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or list(metadata) != [METADATA_KEY]:
        raise LearnerError("The model file carries no preparation; it was not written by this software.")
    preparation = str(metadata[METADATA_KEY]).encode("utf-8", "replace")
    plan = read_preparation(preparation)
    if header != _places(plan):
        raise LearnerError("The model file does not hold the float32 tensors that its preparation lays out.")
    parameters = file[start:]
    finite_parameters(plan, parameters, "The model file")
    return preparation, parameters


def _places(plan: Preparation) -> dict[str, dict[str, object]]:
    """The header's entries for the tensors of `plan`: one after another, without gaps."""
    places: dict[str, dict[str, object]] = {}
    start = 0
    for tensor in plan.layout:
        end = start + 4 * tensor.length
        places[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    return places


def finite_parameters(plan: Preparation, parameters: bytes, owner: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The flat vector, read-only. Raises `LearnerError` if its length is wrong or a value is not finite."""
    if len(parameters) != 4 * plan.length:
        raise LearnerError(f"{owner} has {len(parameters)} bytes of parameters; its layout needs {4 * plan.length}.")
    flat = np.frombuffer(parameters, "<f4")
    if not np.isfinite(flat).all():
        raise LearnerError(f"{owner} holds parameters that are not finite numbers.")
    return flat
