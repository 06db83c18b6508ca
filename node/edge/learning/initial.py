"""The first parameters of a model, from its seed by hashing: the same bytes on every machine and with every library.

A library's random generator promises nothing across versions; a hash does.
"""

import hashlib

import numpy as np

from node.edge.learning.preparation import Preparation
from node.edge.learning.recipe import Logistic

_BLOCK = 2**18
_TAG = b"lepton initial parameters 1\0"


def initial_parameters(preparation: Preparation) -> bytes:
    """Flat little-endian float32: zero for a logistic model and for biases, else uniform within a power of two.

    The bound is the largest power of two within sqrt(6 / inputs) (He et al. 2015, "Delving deep into rectifiers"),
    so that every value is a 24-bit integer times a power of two: exact in float32.
    """
    parts = []
    for tensor in preparation.layout:
        if isinstance(preparation.recipe.model, Logistic) or len(tensor.shape) == 1:
            parts.append(bytes(4 * tensor.length))
            continue
        seed = _TAG + preparation.recipe.seed.to_bytes(8, "big") + tensor.name.encode()
        stream = hashlib.shake_256(seed).digest(4 * tensor.length)
        values = np.empty(tensor.length, "<f4")
        unit = np.float32(2.0 ** (_bound_exponent(tensor.shape[1]) - 23))
        # Block by block, so that a large model takes no several times its size in between.
        for start in range(0, tensor.length, _BLOCK):
            words = np.frombuffer(stream, "<u4", min(_BLOCK, tensor.length - start), 4 * start)
            values[start : start + _BLOCK] = ((words >> 8).astype(np.int32) - 2**23).astype("<f4") * unit
        parts.append(values.tobytes())
    return b"".join(parts)


def _bound_exponent(inputs: int) -> int:
    """The largest k with 4**k * inputs <= 6, found in integers."""
    k = 1
    while (4**k * inputs > 6) if k >= 0 else (inputs > 6 * 4**-k):
        k -= 1
    return k
