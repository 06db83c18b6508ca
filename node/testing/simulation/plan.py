"""What a run of the simulator is to be, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.base.types import Digest, OrgId, Parameters

TIMEOUT_MS = 1_000
TIMEOUT_MAX_MS = 8_000
"""The consensus's time-outs in a run: the base of the product, capped a little earlier."""
FAULTY_MS_MIN = 1_000
"""Faults of every kind find room in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be. Everything that it leaves open is drawn from the seed."""

    seed: int
    members: int = 4
    faulty_ms: int = 20_000
    """How long faults go on; then everything heals and the chain must grow."""
    transactions: int = 6
    real_signatures: bool = False
    liars: int | None = 0
    """Byzantine members, with valid keys: at most f. None draws from the seed how many."""
    parameters: Parameters = field(
        default_factory=lambda: Parameters(
            round_timeout_ms=TIMEOUT_MS,
            round_timeout_max_ms=TIMEOUT_MAX_MS,
            heartbeat_ms=120_000,
            suspend_equivocators=False,
        )
    )
    """A liar stays a member, so that a run goes on having one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    seed: int
    members: int
    height: int
    head: Digest
    trace: bytes
    """Digest over everything that arrived, in order: equal for equal runs."""
    events: int
    crashes: int
    rounds_max: int
    virtual_ms: int
    progress_ms: int
    """From healing to the first new block."""
    liars: tuple[OrgId, ...]
    coverage: Mapping[str, int]
    """What the run came to, by name: see `coverage`."""
