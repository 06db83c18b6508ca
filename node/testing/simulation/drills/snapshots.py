"""Snapshots from peers of whom some lie: a few seeds of what chance draws for one run of four."""

from node.testing.simulation import coverage
from node.testing.simulation.checkers import require
from node.testing.simulation.snapshots import run_snapshots

SEEDS = 24


def liars_serve_snapshots() -> None:
    """The true state is installed, whoever lies; liars are found out, and crashes go on where they were."""
    met = [run_snapshots(seed).counts for seed in range(SEEDS)]
    for name in (coverage.SNAPSHOT_LIAR, coverage.SNAPSHOT_RESUMED):
        require(any(name in counts for counts in met), f"no seed of {SEEDS} came to {name}")


DRILLS = (liars_serve_snapshots,)
