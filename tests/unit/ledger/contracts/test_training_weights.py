"""Weights are whole, capped, proportional; ranges cover every leaf once."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.base.types import OrgId
from node.ledger.contracts.training.types import leaf_count
from node.ledger.contracts.training.weights import WEIGHT_SUM_MAX, map_ranges, weights_of, without

ROWS = st.lists(st.integers(1, 10**12), min_size=1, max_size=64)
ORGS = [OrgId(f"m{at:02}") for at in range(10)]


@given(ROWS, st.integers(1000, 100_000))
def test_weights_are_positive_below_the_sum_and_under_the_cap(rows, cap):
    weights = weights_of(rows, cap)
    total = sum(weights)
    assert len(weights) == len(rows)
    assert min(weights) >= 1
    assert total <= WEIGHT_SUM_MAX
    assert all(weight * 1000 * len(rows) <= cap * total for weight in weights)


@given(ROWS, st.integers(1000, 100_000))
def test_more_rows_never_weigh_less(rows, cap):
    rows = sorted(rows)
    weights = weights_of(rows, cap)
    assert list(weights) == sorted(weights)


@given(st.lists(st.integers(50, 100), min_size=2, max_size=8))
def test_without_a_reached_cap_shares_follow_the_rows(rows):
    weights = weights_of(rows, 10_000)
    for weight, count in zip(weights, rows, strict=True):
        # One unit is given to each first and each share is rounded down: two units of 511 at most per member.
        assert abs(Fraction(weight, sum(weights)) - Fraction(count, sum(rows))) <= Fraction(2 * len(rows), 511)


def test_the_cap_moves_weight_to_the_others():
    weights = weights_of([1_000_000, 10, 10, 20], 1500)
    assert weights[0] * 4 * 1000 <= 1500 * sum(weights)
    assert weights[0] / sum(weights) > 0.36
    assert weights[3] > weights[1] == weights[2]


def test_equal_rows_weigh_alike():
    assert weights_of([303] * 4, 1500) == (127,) * 4


def test_a_cap_of_one_weighs_all_alike():
    assert len(set(weights_of([1, 1000, 7], 1000))) == 1


@given(st.integers(0, 3000), st.integers(1, 10))
def test_ranges_cover_every_leaf_once_and_differ_by_one(leaves, count):
    ranges = map_ranges(leaves, ORGS[:count])
    assert [range_.start for range_ in ranges] == [0, *[range_.stop for range_ in ranges[:-1]]]
    assert ranges[-1].stop == leaves
    lengths = [range_.stop - range_.start for range_ in ranges]
    assert max(lengths) - min(lengths) <= 1
    assert all(count == 1 or range_.reducer != range_.second for range_ in ranges)


def test_a_dropped_reducer_hands_its_range_to_its_second_and_the_ring_closes():
    ranges = map_ranges(8, ORGS[:4])
    left = [ORGS[0], ORGS[2], ORGS[3]]
    moved = without(ranges, ORGS[1], left)
    assert [(range_.reducer, range_.second) for range_ in moved] == [
        (ORGS[0], ORGS[2]),
        (ORGS[2], ORGS[3]),
        (ORGS[2], ORGS[3]),
        (ORGS[3], ORGS[0]),
    ]


@given(st.permutations(range(6)))
def test_ranges_keep_living_owners_whoever_leaves(order):
    left = list(ORGS[:6])
    ranges = map_ranges(20, left)
    for at in order[:5]:
        left = [org for org in left if org != ORGS[at]]
        ranges = without(ranges, ORGS[at], left)
        assert all(range_.reducer in left and range_.second in left for range_ in ranges)
        assert all(range_.reducer != range_.second or len(left) == 1 for range_ in ranges)


@pytest.mark.parametrize(("length", "leaves"), [(1, 1), (256, 1), (257, 2), (512, 2)])
def test_leaf_count(length, leaves):
    assert leaf_count(length) == leaves
