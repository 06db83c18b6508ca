"""The registry of the benchmark's parts."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.testing.bench.averaging import measure_averaging
from node.testing.bench.busy import measure_busy
from node.testing.bench.catchup import measure_catch_up
from node.testing.bench.consensus import measure_consensus
from node.testing.bench.daemon import measure_daemon
from node.testing.bench.figures import Figure
from node.testing.bench.memory import measure_memory
from node.testing.bench.rulings import measure_rulings
from node.testing.bench.sharing import measure_sharing
from node.testing.bench.state import measure_state
from node.testing.bench.syncs import measure_syncs
from node.testing.bench.traffic import measure_traffic
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
    seconds_max: float = 120
    on_request: bool = False
    """Takes so long that it runs only when it is named."""


def part_names() -> tuple[str, ...]:
    """What may be asked for: a part, or the first word of several."""
    return tuple(dict.fromkeys(name for part in PARTS for name in (part.partition("-")[0], part)))


def chosen_parts(name: str | None) -> list[str]:
    """The part of this name and those that belong to it; without a name, all that are not on request."""
    if name is None:
        return [part for part in PARTS if not PARTS[part].on_request]
    return [part for part in PARTS if part == name or part.startswith(f"{name}-")]


PARTS: Mapping[str, Part] = {
    "daemon": Part(("daemon_idle_mb",), lambda place: measure_daemon(place.root)),
    "consensus": Part(
        ("latency_p50_over_rtt", "latency_p99_over_rtt", "tx_rate_over_bound"),
        lambda place: measure_consensus(place.root),
    ),
    "consensus-training": Part(
        ("latency_p99_training_over_idle",), lambda place: measure_busy(place.root, place.scenarios)
    ),
    "consensus-traffic": Part(
        ("messages_over_ideal", "bytes_over_ideal"), lambda place: measure_traffic(), seconds_max=600
    ),
    "consensus-state": Part(("block_cost_1m_over_1k",), lambda place: measure_state(place.root), seconds_max=600),
    "consensus-syncs": Part(("syncs_per_block",), lambda place: measure_syncs(place.root)),
    "memory": Part(("memory_growth",), lambda place: measure_memory(place.root), seconds_max=7_200, on_request=True),
    "catchup": Part(("catch_up_over_load", "catch_up_over_load_single"), lambda place: measure_catch_up(place.root)),
    "training": Part(("round_over_training",), lambda place: measure_training(place.root, place.scenarios)),
    "sharing-rules": Part(("decisions_per_s",), lambda place: measure_rulings()),
    "sharing": Part(
        ("add_over_crypto", "fetch_over_stream", "resident_mb"),
        lambda place: measure_sharing(place.root),
        seconds_max=300,
    ),
    "averaging": Part(("averaging_over_stream",), lambda place: measure_averaging(place.root)),
}
