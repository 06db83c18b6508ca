"""The rules on flat vectors: exact, bounded, in words where they refuse."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.averaging import RuleError, apply_sum, combine, encode_update, flat, pack24, unpack24
from node.core.averaging.integers import BLOCK_VALUES, VALUE_MAX, VALUE_MIN
from node.ledger.contracts.training.weights import WEIGHT_SUM_MAX


def f32(*values):
    return np.array(values, dtype=np.float32)


def vector(seed, size, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(size) * scale).astype(np.float32)


def test_an_update_is_whole_steps_filled_up_to_leaves():
    encoded = encode_update(f32(0, 1), f32(2.0**-21, 0.5), 0)
    assert encoded.values.dtype == np.int32
    assert encoded.values.size == 256
    assert encoded.values[:3].tolist() == [1, -(1 << 20), 0]
    assert (encoded.peak_exponent, encoded.clipped) == (0, 0)


def test_halves_round_to_even():
    encoded = encode_update(f32(0, 0, 0), f32(*(np.array([0.5, 1.5, -2.5]) * 2.0**-21)), 0)
    assert encoded.values[:3].tolist() == [0, 2, -2]


def test_values_beyond_the_scale_are_clipped_and_counted():
    encoded = encode_update(f32(0, 0, 0, 0), f32(1.0, -1.0, -1.5, 0.9), 0)
    assert encoded.values[:3].tolist() == [VALUE_MAX, VALUE_MIN, VALUE_MIN]
    assert encoded.clipped == 2
    assert encoded.peak_exponent == 1


@pytest.mark.parametrize(("peak", "exponent"), [(0.0, -40), (1.0, 1), (0.99, 0), (0.5, 0), (0.49, -1), (1e30, 40)])
def test_the_peak_exponent_bounds_the_largest_change(peak, exponent):
    assert encode_update(f32(0), f32(-peak), 0).peak_exponent == exponent


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_in_words(bad):
    with pytest.raises(RuleError, match="not finite"):
        encode_update(f32(0, 0), f32(0, bad), 0)


def test_an_update_of_another_length_is_refused():
    with pytest.raises(RuleError, match="does not fit"):
        encode_update(f32(0, 0), f32(0), 0)


def test_blocks_do_not_show():
    size = BLOCK_VALUES + 300
    base, new = vector(0, size), vector(1, size)
    whole = encode_update(base, new, 3).values
    tail = encode_update(base[-300:], new[-300:], 3).values
    assert np.array_equal(whole[size - 300 : size], tail[:300])
    assert not whole[size:].any()


@given(st.lists(st.lists(st.integers(VALUE_MIN, VALUE_MAX), min_size=3, max_size=3), min_size=1, max_size=6))
def test_sums_are_exact_in_any_order(rows):
    weights = [WEIGHT_SUM_MAX // len(rows)] * len(rows)
    inputs = [np.array(row, dtype=np.int32) for row in rows]
    exact = [sum(w * row[at] for w, row in zip(weights, rows, strict=True)) for at in range(3)]
    for order in itertools.islice(itertools.permutations(range(len(rows))), 6):
        total = combine([inputs[at] for at in order], [weights[at] for at in order])
        assert total.dtype == np.int32
        assert total.tolist() == exact


def test_the_largest_sum_fits():
    most = np.array([VALUE_MIN, VALUE_MAX], dtype=np.int32)
    assert combine([most], [WEIGHT_SUM_MAX]).tolist() == [VALUE_MIN * WEIGHT_SUM_MAX, VALUE_MAX * WEIGHT_SUM_MAX]


@pytest.mark.parametrize(
    ("inputs", "weights", "words"),
    [
        ([[1], [1]], [256, 256], "sum of at most"),
        ([[1]], [0], "at least 1"),
        ([[VALUE_MAX + 1]], [1], "22 bits"),
        ([[VALUE_MIN - 1]], [1], "22 bits"),
        ([[1], [1, 2]], [1, 1], "one length"),
        ([[1]], [1, 1], "make no sum"),
        ([], [], "make no sum"),
    ],
)
def test_what_could_overflow_is_refused(inputs, weights, words):
    with pytest.raises(RuleError, match=words):
        combine([np.array(row, dtype=np.int32) for row in inputs], weights)


@pytest.mark.parametrize("exponent", [-10, 0, 5])
def test_the_average_equals_the_weighted_mean_within_one_step(exponent):
    base = vector(9, 1000, 2.0**exponent)
    news = [base + vector(at, 1000, 2.0 ** (exponent - 3)) for at in range(4)]
    weights = [190, 100, 50, 7]
    total = combine([encode_update(base, new, exponent).values for new in news], weights)
    made = apply_sum(base, total, exponent, sum(weights))
    mean = sum(w * new.astype(np.float64) for w, new in zip(weights, news, strict=True)) / sum(weights)
    # Half a step of each contributor, and half a unit in the last place of the float32 sum.
    assert np.abs(made - mean).max() <= 2.0 ** (exponent - 21)
    assert made.dtype == np.float32


def test_one_value_is_exactly_the_formula():
    made = apply_sum(f32(0.25), np.array([3] + [0] * 255, dtype=np.int32), 0, 7)
    assert made[0] == np.float32(0.25) + np.float32(float(Fraction(3, 7 << 21)))


def test_a_sum_of_another_length_and_a_model_that_overflows_are_refused():
    with pytest.raises(RuleError, match="does not fit"):
        apply_sum(f32(0), np.zeros(512, dtype=np.int32), 0, 1)
    huge = np.full(256, 2**30, dtype=np.int32)
    with np.errstate(over="ignore"), pytest.raises(RuleError, match="not finite"):
        apply_sum(f32(3.4e38), huge, 140, 1)


@given(st.lists(st.integers(VALUE_MIN, VALUE_MAX), max_size=50))
def test_packing_is_three_bytes_and_comes_back(values):
    packed = pack24(np.array(values, dtype=np.int32))
    assert len(packed) == 3 * len(values)
    assert unpack24(packed).tolist() == values


@pytest.mark.parametrize("packed", [b"\x00", b"\x00\x00\x20", b"\xff\xff\xdf"])
def test_cut_and_too_large_packed_values_are_refused(packed):
    with pytest.raises(RuleError):
        unpack24(packed)


def test_a_cut_float_vector_is_refused():
    with pytest.raises(RuleError, match="float32"):
        flat(b"\x00" * 5)
