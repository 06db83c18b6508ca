"""The registry of the benchmark's parts."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.testing.bench.averaging import measure_averaging
from node.testing.bench.catchup import measure_catch_up
from node.testing.bench.consensus import measure_consensus
from node.testing.bench.daemon import measure_daemon
from node.testing.bench.figures import Figure
from node.testing.bench.training import measure_training


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part works."""

    root: Path
    """A folder for the part alone, empty."""
    scenarios: Path


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its figures' names, and how they are taken."""

    figures: tuple[str, ...]
    measure: Callable[[Place], Awaitable[list[Figure]]]


PARTS: Mapping[str, Part] = {
    "daemon": Part(("daemon_idle_mb",), lambda place: measure_daemon(place.root)),
    "consensus": Part(("latency_p50_over_rtt", "tx_rate_over_bound"), lambda place: measure_consensus(place.root)),
    "catchup": Part(("catch_up_over_load", "catch_up_over_load_single"), lambda place: measure_catch_up(place.root)),
    "training": Part(("round_over_training",), lambda place: measure_training(place.root, place.scenarios)),
    "averaging": Part(("averaging_over_stream",), lambda place: measure_averaging(place.root)),
}
