"""Whole-number weights from row counts, and the mapping of leaves to reducers. Integers only."""

from collections.abc import Sequence

from node.base.types import OrgId
from node.ledger.contracts.training.types import LeafRange

WEIGHT_SUM_MAX = (1 << 9) - 1
"""22-bit values times weights that sum to no more than this stay inside int32, whatever the order of addition."""


def weights_of(rows: Sequence[int], cap_permille: int) -> tuple[int, ...]:
    """One weight of at least 1 per member, proportional to rows, no share above cap / (1000 n).

    `rows` are positive, at most `WEIGHT_SUM_MAX // 2` of them; `cap_permille` is at least 1000. What the cap cuts
    off goes to the members below it, in proportion to their rows. The sum is at most `WEIGHT_SUM_MAX`.
    """
    count = len(rows)
    budget = WEIGHT_SUM_MAX - count  # one each is given first, so that nobody's share rounds to nothing
    most = max(0, (budget + count) * cap_permille // (1000 * count) - 1)
    given: dict[int, int] = {}
    # Filling up: who exceeds the cap gets the cap, and the rest is shared again without them.
    while True:
        open_ = [at for at in range(count) if at not in given]
        left = budget - sum(given.values())
        total = sum(rows[at] for at in open_)
        over = [at for at in open_ if left * rows[at] > most * total]
        if not over:
            break
        for at in over:
            given[at] = most
        if len(given) == count:
            break
    for at in open_:
        given.setdefault(at, left * rows[at] // total)
    weights = [1 + given[at] for at in range(count)]
    return _under_cap(weights, cap_permille)


def _under_cap(weights: list[int], cap_permille: int) -> tuple[int, ...]:
    """Rounding down made the sum smaller, so that a share may stand a little above the cap again: trim it.

    Ends because all-equal weights are under every cap of at least 1000.
    """
    count = len(weights)
    while True:
        total = sum(weights)
        over = [at for at in range(count) if weights[at] * 1000 * count > cap_permille * total]
        if not over:
            return tuple(weights)
        weights[max(over, key=lambda at: weights[at])] -= 1


def map_ranges(leaves: int, candidates: Sequence[OrgId]) -> tuple[LeafRange, ...]:
    """One run of leaves per candidate, lengths differing by at most one; the next in the ring is its second."""
    count = len(candidates)
    return tuple(
        LeafRange(
            start=leaves * at // count,
            stop=leaves * (at + 1) // count,
            reducer=org,
            second=candidates[(at + 1) % count],
            root=None,
        )
        for at, org in enumerate(candidates)
    )


def without(ranges: Sequence[LeafRange], dropped: OrgId, candidates: Sequence[OrgId]) -> tuple[LeafRange, ...]:
    """The ranges after `dropped` left: its ranges go to their seconds, seconds to the next in the ring.

    `candidates` are those that remain, ascending. Every report falls: the sums have one contributor less.
    """
    moved = []
    for range_ in ranges:
        reducer = range_.second if range_.reducer == dropped else range_.reducer
        second = range_.second
        if second in (dropped, reducer):
            second = _next_after(reducer, candidates)
        moved.append(LeafRange(range_.start, range_.stop, reducer, second, None))
    return tuple(moved)


def _next_after(org: OrgId, ring: Sequence[OrgId]) -> OrgId:
    return next((other for other in ring if other > org), ring[0])
