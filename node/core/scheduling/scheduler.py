"""Chooses the job, brings an absent member back, and asks for models that this member should hold and does not."""

from dataclasses import dataclass
from typing import assert_never

from node.base.types import Digest, Instant, OrgId
from node.ledger.contracts.training import JobState, JobView

PRESENT_AGAIN_MS = 5_000
"""A `present` that the ledger does not show is sent again after this long."""
TROUBLES_MAX = 3
"""After so many failures in a row this member stays out of a job until it is started again."""


@dataclass(frozen=True, slots=True)
class JobsSeen:
    """All jobs of the ledger after the last block."""

    jobs: tuple[JobView, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """This member's own part of a job failed: its data, its learner."""

    job: Digest


@dataclass(frozen=True, slots=True)
class Trained:
    """This member's own part of a job went well."""

    job: Digest


@dataclass(frozen=True, slots=True)
class ModelHeld:
    """A model of a job is on this member's disk."""

    job: Digest
    model: Digest


@dataclass(frozen=True, slots=True)
class Tick:
    """`wake_at` has come."""


Input = JobsSeen | Trouble | Trained | ModelHeld | Tick


@dataclass(frozen=True, slots=True)
class WorkOn:
    """Take part in this job's training rounds."""

    job: Digest


@dataclass(frozen=True, slots=True)
class Release:
    """The job needs no more work here: end its learner."""

    job: Digest


@dataclass(frozen=True, slots=True)
class SendPresent:
    """Tell the ledger that this member is back."""

    job: Digest


@dataclass(frozen=True, slots=True)
class FetchModel:
    """Get a finished job's model from whoever has it."""

    job: Digest
    training_round: int
    model: Digest


Effect = WorkOn | Release | SendPresent | FetchModel


class Scheduler:
    """What `org` works on."""

    def __init__(self, org: OrgId) -> None:
        self._org = org
        self._jobs: tuple[JobView, ...] = ()
        self._current: Digest | None = None
        self._troubles: dict[Digest, int] = {}
        self._present_again_ms: dict[Digest, int] = {}
        self._asked: dict[Digest, Digest] = {}  # job -> the model asked for or held
        self._wake_at: int | None = None

    @property
    def wake_at(self) -> int | None:
        """When `Tick` is due, on the monotonic clock."""
        return self._wake_at

    @property
    def current(self) -> Digest | None:
        """The job under way."""
        return self._current

    def step(self, input_: Input, *, now: Instant) -> list[Effect]:
        """Take one input; returns what to do, in order."""
        match input_:
            case JobsSeen(jobs):
                self._jobs = jobs
            case Trouble(job):
                self._troubles[job] = self._troubles.get(job, 0) + 1
            case Trained(job):
                self._troubles.pop(job, None)
            case ModelHeld(job, model):
                self._asked[job] = model
            case Tick():
                pass
            case _:
                assert_never(input_)
        return [*self._choose(), *self._return(now.mono_ms), *self._fetch()]

    def _mine(self) -> list[JobView]:
        active = [job for job in self._jobs if job.active and self._org in job.terms.participants]
        return sorted(active, key=lambda job: (job.started, job.id))

    def _choose(self) -> list[Effect]:
        mine = self._mine()
        chosen = mine[0].id if mine else None
        if chosen == self._current:
            return []
        effects: list[Effect] = [Release(self._current)] if self._current is not None else []
        self._current = chosen
        if chosen is not None:
            effects.append(WorkOn(chosen))
        return effects

    def _return(self, now_ms: int) -> list[Effect]:
        self._wake_at = None
        job = next((job for job in self._mine() if job.id == self._current), None)
        if job is None or self._org not in job.absent:
            if job is not None:
                self._present_again_ms.pop(job.id, None)
            return []
        if self._troubles.get(job.id, 0) >= TROUBLES_MAX:
            return []
        due_ms = self._present_again_ms.get(job.id, now_ms)
        if now_ms < due_ms:
            self._wake_at = due_ms
            return []
        self._wake_at = self._present_again_ms[job.id] = now_ms + PRESENT_AGAIN_MS
        return [SendPresent(job.id)]

    def _fetch(self) -> list[Effect]:
        effects: list[Effect] = []
        for job in self._jobs:
            mine = job.state is JobState.DONE and self._org in job.terms.participants
            if mine and job.model is not None and self._asked.get(job.id) != job.model:
                self._asked[job.id] = job.model
                effects.append(FetchModel(job.id, job.training_round, job.model))
        return effects
