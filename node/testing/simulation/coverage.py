"""What a campaign must have come to: a run that meets no fault checks nothing.

Counters are runs (seeds) in which something happened at least once, by name.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from node.testing.simulation.labels import CRASH_PAIRS, ROW_CRASH, name_pair

REPROPOSAL = "re-proposal with a prepared certificate"
TWO_LOCKS = "two members locked on different blocks of one height"
LATER_ROUND = "a block decided in a later round"
CATCH_UP = "a block applied by catch-up"
REMOVAL = "a removal"
PROPOSER_REMOVED = "a removal of the proposer"
ROTATION = "a rotation of a node key"
ADMISSION = "an admission"
HALT = "a halt at a height, ended"
SNAPSHOT_LIAR = "a lie of a peer that serves snapshots, found out"
SNAPSHOT_RESUMED = "a snapshot gone on with after a crash"
SILENT_RETURN = "a vote of a member that had lost its vote log"
TORN = "torn vote log"
LOST = "lost unsynced write"

ALWAYS = (
    REPROPOSAL,
    TWO_LOCKS,
    LATER_ROUND,
    CATCH_UP,
    REMOVAL,
    PROPOSER_REMOVED,
    ROTATION,
    ADMISSION,
    HALT,
    SNAPSHOT_LIAR,
    SNAPSHOT_RESUMED,
    SILENT_RETURN,
    TORN,
    LOST,
    *(name_pair(pair) for pair in (*CRASH_PAIRS, ROW_CRASH)),
)
"""What every campaign with faults must reach."""
TWINS = (REPROPOSAL, TWO_LOCKS, LATER_ROUND)
"""What every campaign of twins must reach."""
SEEDS_MIN = 1_000
"""From so many seeds on a count of zero fails the campaign; fewer seeds may miss something by chance."""


class Coverage:
    """Counts of one run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, name: str) -> None:
        """It happened."""
        self.counts[name] += 1


def sum_up(runs: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """In how many runs each thing happened."""
    seeds: Counter[str] = Counter()
    for run in runs:
        seeds.update(run.keys())
    return dict(seeds)


def missed(seeds: Mapping[str, int], wanted: Iterable[str]) -> list[str]:
    """What no run came to."""
    return [name for name in wanted if not seeds.get(name)]
