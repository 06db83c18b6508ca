"""What a training round's machine is told, what it asks for, and the work that it wants done."""

from dataclasses import dataclass
from typing import Any

from node.base.types import Digest, OrgId
from node.ledger.contracts.training import JobView, TrainingRound

# Work: something that takes long. The machine names it, the performer does it and tells how it ended.


@dataclass(frozen=True, slots=True)
class Train:
    """Train from the base model; in training round 0 sum up the rows. Outcome: `Committed`."""

    training_round: int


@dataclass(frozen=True, slots=True)
class ObtainStatement:
    """Get a candidate's statistics and check them against its commitment. No outcome."""

    owner: OrgId


@dataclass(frozen=True, slots=True)
class Prepare:
    """Combine the candidates' statistics. Outcome: `Preparation`."""

    candidates: tuple[OrgId, ...]


@dataclass(frozen=True, slots=True)
class Obtain:
    """Get the leaves [start, stop) of an update and check them against its commitment. No outcome."""

    owner: OrgId
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Reduce:
    """Sum the leaves [start, stop) of all contributors. Outcome: the result's root."""

    start: int
    stop: int
    contributors: tuple[OrgId, ...]


@dataclass(frozen=True, slots=True)
class Gather:
    """Get a range's result, from its reducer first, and check it against the reported root. No outcome."""

    start: int
    stop: int
    root: Digest
    reducer: OrgId
    second: OrgId


@dataclass(frozen=True, slots=True)
class Apply:
    """Make the new model of all ranges' results and write it to disk. Outcome: the model's digest."""

    training_round: int


Work = Train | ObtainStatement | Prepare | Obtain | Reduce | Gather | Apply


@dataclass(frozen=True, slots=True)
class Committed:
    """The outcome of `Train`: what is on disk and may now be committed to."""

    root: Digest
    peak_exponent: int
    clipped: int


@dataclass(frozen=True, slots=True)
class Preparation:
    """The outcome of `Prepare`."""

    preparation: Digest
    model: Digest
    length: int


Outcome = Committed | Preparation | Digest | None

# Inputs.


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What the last block left: the job, and the record of this machine's training round."""

    job: JobView
    round: TrainingRound


@dataclass(frozen=True, slots=True)
class Done:
    """A work ended well."""

    work: Work
    outcome: Outcome = None


@dataclass(frozen=True, slots=True)
class Unobtainable:
    """A work brings nothing: nobody had the bytes for one deadline, or training failed.

    The performer goes on trying what others may still bring.
    """

    work: Work
    reason: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A byte or heartbeat of `member` in this training round."""

    member: OrgId


@dataclass(frozen=True, slots=True)
class Progress:
    """This member's own work moved on; the others may hear of it."""

    detail: str


@dataclass(frozen=True, slots=True)
class Tick:
    """`wake_at` has come."""


Input = LedgerView | Done | Unobtainable | Heard | Progress | Tick

# Effects.


@dataclass(frozen=True, slots=True)
class Begin:
    """Start a work."""

    work: Work


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a work that is no longer wanted; what it obtained may be forgotten."""

    work: Work


@dataclass(frozen=True, slots=True)
class Submit:
    """Sign and hand in a transaction of the contract `training`."""

    method: str
    payload: Any
    """The method's frozen dataclass."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the others that this member makes progress."""

    training_round: int
    phase: str
    detail: str


Effect = Begin | Cancel | Submit | Announce
