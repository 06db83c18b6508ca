"""The rules on flat vectors: updates as 22-bit integers, exact weighted sums, the new model (DESIGN, section 4).

Everything is elementwise: no reduction whose order could change bits, so the outcome does not depend on the
machine's vector units. Vectors on the exchange are int32 and filled up with zeros to whole leaves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.ledger.contracts.training.types import EXPONENT_MAX, EXPONENT_MIN, LEAF_VALUES, leaf_count
from node.ledger.contracts.training.weights import WEIGHT_SUM_MAX

VALUE_BITS = 22
VALUE_MIN = -(1 << VALUE_BITS - 1)
VALUE_MAX = (1 << VALUE_BITS - 1) - 1
BLOCK_VALUES = 1 << 20
"""Values worked on at a time: the float64 copies stay small beside the model."""

Int32s = NDArray[np.int32]
Float32s = NDArray[np.float32]


class RuleError(ValueError):
    """Numbers that the rules refuse; the text says which."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An update as integers."""

    values: Int32s
    """Filled up with zeros to whole leaves."""
    peak_exponent: int
    """The smallest p with every |value| < 2^p before clipping, within the contract's bounds."""
    clipped: int
    """Values that did not fit [-2^e, 2^e)."""


def flat(parameters: bytes) -> Float32s:
    """Little-endian float32 bytes as a vector. Raises `RuleError` on a cut value."""
    if len(parameters) % 4:
        raise RuleError(f"{len(parameters)} bytes are no float32 vector")
    return np.frombuffer(parameters, dtype="<f4")


def encode_update(base: Float32s, new: Float32s, exponent: int) -> Encoded:
    """new - base in steps of 2^(exponent - 21), rounded half to even, clipped to 22 bits.

    Raises `RuleError` for vectors of different length and for values that are not finite.
    """
    if base.shape != new.shape or base.ndim != 1:
        raise RuleError(f"an update of {new.size} values does not fit a model of {base.size}")
    values = np.zeros(leaf_count(base.size) * LEAF_VALUES, dtype=np.int32)
    # A multiplication by a power of two is exact here and many times faster than ldexp.
    scale = math.ldexp(1.0, VALUE_BITS - 1 - exponent)
    peak, clipped = 0.0, 0
    for start in range(0, base.size, BLOCK_VALUES):
        block = slice(start, min(start + BLOCK_VALUES, base.size))
        change = new[block].astype(np.float64) - base[block].astype(np.float64)
        if not np.isfinite(change).all():
            raise RuleError("training gave values that are not finite: lower the learning rate or check the data")
        peak = max(peak, float(np.abs(change).max()))
        steps = np.rint(change * scale)
        clipped += int(np.count_nonzero((steps < VALUE_MIN) | (steps > VALUE_MAX)))
        values[block] = np.clip(steps, VALUE_MIN, VALUE_MAX).astype(np.int32)
    return Encoded(values, _peak_exponent(peak), clipped)


def limit_norm(base: Float32s, new: Float32s, norm_max: float) -> tuple[Float32s, float]:
    """(`new`, drawn towards `base` until the update's Euclidean norm is at most `norm_max`; the norm before).

    Raises `RuleError` for vectors of different length. A norm that is not finite is left to `encode_update`.
    """
    if base.shape != new.shape or base.ndim != 1:
        raise RuleError(f"an update of {new.size} values does not fit a model of {base.size}")
    change = new.astype(np.float64) - base.astype(np.float64)
    norm = float(np.sqrt(np.square(change).sum()))
    if not norm > norm_max or not math.isfinite(norm):
        return new, norm
    return (base.astype(np.float64) + change * (norm_max / norm)).astype(np.float32), norm


def _peak_exponent(peak: float) -> int:
    if peak == 0.0:
        return EXPONENT_MIN
    # frexp gives 0.5 <= m < 1 with peak = m 2^p, so peak < 2^p and not below 2^(p - 1).
    return min(max(int(np.frexp(peak)[1]), EXPONENT_MIN), EXPONENT_MAX)


def combine(inputs: Sequence[Int32s], weights: Sequence[int]) -> Int32s:
    """The weighted sum, exact in any order: |value| <= 2^21 and weights below 2^9 stay inside int32.

    Raises `RuleError` where a bound that makes it exact does not hold.
    """
    if len(inputs) != len(weights) or not inputs:
        raise RuleError(f"{len(inputs)} inputs and {len(weights)} weights make no sum")
    if min(weights) < 1 or sum(weights) > WEIGHT_SUM_MAX:
        raise RuleError(f"weights are whole numbers of at least 1 with a sum of at most {WEIGHT_SUM_MAX}")
    total = np.zeros_like(inputs[0])
    for values, weight in zip(inputs, weights, strict=True):
        if values.shape != total.shape or values.dtype != np.int32:
            raise RuleError("inputs of a sum are int32 vectors of one length")
        if values.size and (values.min() < VALUE_MIN or values.max() > VALUE_MAX):
            raise RuleError(f"a value does not fit {VALUE_BITS} bits")
        total += values * np.int32(weight)
    return total


def apply_sum(base: Float32s, total: Int32s, exponent: int, weight: int) -> Float32s:
    """The new model: base + float32(float64(total) x 2^(exponent - 21) / weight), value by value.

    `total` may be longer than `base` by the zeros of the last leaf. Raises `RuleError` when a value is not finite.
    """
    if not base.size <= total.size < base.size + LEAF_VALUES:
        raise RuleError(f"a sum of {total.size} values does not fit a model of {base.size}")
    step = math.ldexp(1.0, exponent - VALUE_BITS + 1)
    new = np.empty(base.size, dtype=np.float32)
    for start in range(0, base.size, BLOCK_VALUES):
        block = slice(start, min(start + BLOCK_VALUES, base.size))
        mean = total[block].astype(np.float64) * step / float(weight)
        new[block] = base[block] + mean.astype(np.float32)
    if not np.isfinite(new).all():
        raise RuleError("the new model has values that are not finite")
    return new


def pack24(values: Int32s) -> bytes:
    """Three little-endian bytes per value."""
    return np.ascontiguousarray(values, dtype="<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def unpack24(packed: bytes) -> Int32s:
    """The values of `pack24`. Raises `RuleError` for cut values and for values beyond 22 bits."""
    if len(packed) % 3:
        raise RuleError(f"{len(packed)} bytes are no 24-bit values")
    wide = np.zeros((len(packed) // 3, 4), dtype=np.uint8)
    wide[:, 1:] = np.frombuffer(packed, dtype=np.uint8).reshape(-1, 3)
    # The three bytes stand at the top, so that the shift back carries the sign down.
    values = (wide.view("<i4").reshape(-1) >> 8).astype(np.int32)
    if values.size and (values.min() < VALUE_MIN or values.max() > VALUE_MAX):
        raise RuleError(f"a value does not fit {VALUE_BITS} bits")
    return values
