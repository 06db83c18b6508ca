"""Performs the works of a training round: training in the learner's child, transfers, sums, the new model.

Each work is one coroutine that ends with its outcome. What is heavy runs on a worker thread by the pure functions of
`core.averaging`; what belongs on disk is synced before the outcome is told.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never

import numpy as np

from node.base.ports import Clock, Entropy, Learner, LearnerError
from node.base.types import Digest, OrgId
from node.core.averaging import (
    Apply,
    Committed,
    CommittedUpdate,
    Gather,
    Obtain,
    ObtainStatement,
    Outcome,
    Preparation,
    Prepare,
    Reduce,
    Result,
    Statement,
    Train,
    Work,
    apply_sum,
    combine,
    encode_update,
    flat,
    statement_digest,
)
from node.core.averaging.integers import Float32s
from node.core.averaging.leaves import SEED_BYTES
from node.engine.training.egress import EgressPolicy
from node.engine.training.fetching import Fetcher, LeavesPiece, ModelPiece, ResultPiece, StatementPiece, Watch
from node.engine.training.holdings import Running
from node.engine.training.requests import LeavesRequest
from node.engine.training.shelf import OwnUpdate, Shelf, pack_update
from node.ledger.contracts.training import JobView, TrainingRound, leaf_count
from node.ledger.contracts.training.types import EXPONENT_MIN, LEAF_VALUES

BEAT_S = 1.0
STEP_MS_MAX = 120_000
"""A learner that says nothing for this long is taken to hang: the others may call this member late."""


class Rows(Protocol):
    """The rows that this member's operator chose for each job when approving it."""

    def why_not(self, job: JobView) -> str | None:
        """Why they may not be trained on now, in words; None while they may."""
        ...

    async def path(self, job: Digest) -> Path:
        """Where the learner reads them. Raises `LearnerError`, `OSError`."""
        ...

    async def release(self, job: Digest) -> None:
        """Nobody reads them any more."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """One work, with what the ledger said when it began."""

    work: Work
    job: JobView
    record: TrainingRound
    running: Running
    watch: Watch


class Worker:
    """Performs works for one member."""

    def __init__(
        self,
        org: OrgId,
        learner: Learner,
        shelf: Shelf,
        fetcher: Fetcher,
        clock: Clock,
        entropy: Entropy,
        rows: Rows,
        trained: Callable[[float], None],
        egress: EgressPolicy,
        log: Callable[[str], None],
    ) -> None:
        """`trained` hears the loss of every local training, `log` what the egress policy changed."""
        self._org = org
        self._learner = learner
        self._shelf = shelf
        self._fetcher = fetcher
        self._clock = clock
        self._entropy = entropy
        self._rows = rows
        self._trained = trained
        self._egress = egress
        self._log = log
        self._last_model: tuple[Digest, bytes, bytes] | None = None

    async def perform(self, task: Task, previous: Running | None) -> Outcome:
        """Do one work to its end.

        `previous` is the training round before this one, if it is still under way here. Raises `LearnerError`,
        `RuleError` and `OSError`.
        """
        match task.work:
            case Train(0):
                return await self._survey(task)
            case Train():
                return await self._train(task, previous)
            case ObtainStatement(owner):
                await self._obtain_statement(task, owner)
            case Prepare(candidates):
                return await self._prepare(task, candidates)
            case Obtain():
                await self._obtain(task, task.work)
            case Reduce():
                return await self._reduce(task, task.work)
            case Gather():
                await self._gather(task, task.work)
            case Apply():
                return await self._apply(task, previous)
            case _:
                assert_never(task.work)
        return None

    async def hold_model(
        self, job: JobView, training_round: int, model: Digest, running: Running | None, watch: Watch
    ) -> tuple[bytes, bytes]:
        """(preparation, parameters) of a closed training round's model; fetched where this member has not made it.

        `running` is that training round, if it is still under way here: it is waited for as long as it moves.
        """
        if self._last_model is not None and self._last_model[0] == model:
            return self._last_model[1:]
        deadline_ms = job.terms.progress_deadline_ms
        while running is not None and running.busy and not running.applied.is_set():
            left_ms = running.moved_ms + deadline_ms - self._clock.now().mono_ms
            if left_ms <= 0:
                break
            try:
                async with asyncio.timeout(left_ms / 1000):
                    await running.applied.wait()
            except TimeoutError:
                continue
        file = await asyncio.to_thread(self._shelf.model, job.id, training_round, model)
        if file is None:
            piece = ModelPiece(job.id, training_round, model, job.length)
            await self._fetcher.get_shared(piece, _ring(job.terms.participants, self._org), deadline_ms, watch)
            file = bytes(piece.file)
            await asyncio.to_thread(self._shelf.write_model, job.id, training_round, file)
        preparation, parameters = await asyncio.to_thread(self._learner.open_model, file)
        self._last_model = (model, preparation, parameters)
        return preparation, parameters

    def _require_right(self, job: JobView) -> None:
        """Raises `LearnerError` where the rows may not be used any more, also those that are summed up already."""
        if (why := self._rows.why_not(job)) is not None:
            raise LearnerError(why)

    async def _survey(self, task: Task) -> Committed:
        self._require_right(task.job)
        statement = await asyncio.to_thread(self._shelf.statement, task.job.id)
        if statement is None:
            data = await self._rows.path(task.job.id)
            async with _Beat("reading the data", task.watch, self._clock):
                statistics = await self._learner.statistics(task.job.id, task.job.terms.recipe, data)
            statement = Statement(self._entropy.bytes(SEED_BYTES), statistics.blob)
            await asyncio.to_thread(self._shelf.write_statement, task.job.id, statement)
        return Committed(statement_digest(statement), EXPONENT_MIN, 0)

    async def _train(self, task: Task, previous: Running | None) -> Committed:
        job, record, holdings = task.job, task.record, task.running.holdings
        self._require_right(job)
        kept = await asyncio.to_thread(self._shelf.update, job.id, record.training_round)
        if kept is not None and (kept.base, kept.exponent) == (record.base, record.exponent):
            update, own = kept, await asyncio.to_thread(CommittedUpdate, kept.values, kept.seed)
        else:
            self._egress.check_size(job.length)
            preparation, base = await self.hold_model(job, record.training_round - 1, record.base, previous, task.watch)
            data = await self._rows.path(job.id)
            async with _Beat("training", task.watch, self._clock) as beat:
                trained = await self._learner.train(job.id, preparation, data, record.training_round, base, beat.line)
            self._trained(trained.loss)
            seed = self._entropy.bytes(SEED_BYTES)
            limited = await asyncio.to_thread(self._egress.apply, base, trained.parameters, self._log)
            update, own = await asyncio.to_thread(_encode, record, base, limited, seed)
            await asyncio.to_thread(self._shelf.write_update, job.id, update)
        holdings.keep(own)
        return Committed(own.root, update.peak_exponent, update.clipped)

    async def _obtain_statement(self, task: Task, owner: OrgId) -> None:
        piece = StatementPiece(task.job.id, owner, _root_of(task.record, owner))
        relays = _ring(task.record.cohort, self._org)
        await self._fetcher.get_private(piece, owner, relays, task.job.terms.progress_deadline_ms, task.watch)
        assert piece.statement is not None
        task.running.holdings.statements[owner] = piece.statement

    async def _prepare(self, task: Task, candidates: tuple[OrgId, ...]) -> Preparation:
        job, statements = task.job, task.running.holdings.statements
        own = await asyncio.to_thread(self._shelf.statement, job.id)
        if own is not None:
            statements[self._org] = own
        blobs = {org: statements[org].blob for org in candidates if org in statements}
        if len(blobs) < len(candidates):
            raise LearnerError("this member's own statistics are no longer on its disk")
        async with _Beat("preparing", task.watch, self._clock):
            prepared = await self._learner.prepare(job.id, job.terms.recipe, blobs)
        file = await asyncio.to_thread(self._learner.model_file, prepared.preparation, prepared.initial)
        model = await asyncio.to_thread(self._shelf.write_model, job.id, 0, file)
        self._last_model = (model, prepared.preparation, prepared.initial)
        preparation = Digest(hashlib.sha256(prepared.preparation).digest())
        return Preparation(preparation, model, prepared.length)

    async def _obtain(self, task: Task, work: Obtain) -> None:
        job, record = task.job, task.record
        asked = LeavesRequest(job.id, record.training_round, work.owner, work.start, work.stop, work.start)
        piece = LeavesPiece(asked, _root_of(record, work.owner), leaf_count(job.length))
        relays = _ring(record.cohort, self._org)
        await self._fetcher.get_private(piece, work.owner, relays, job.terms.progress_deadline_ms, task.watch)
        task.running.holdings.inputs[work.owner, work.start, work.stop] = piece.values

    async def _reduce(self, task: Task, work: Reduce) -> Digest:
        holdings = task.running.holdings
        if work.start == work.stop:
            return Result(np.zeros(0, dtype=np.int32)).root
        parts = [await holdings.part(owner, work.start, work.stop, self._org) for owner in work.contributors]
        weights = [task.job.weight(owner) for owner in work.contributors]
        async with _Beat("summing", task.watch, self._clock):
            result = Result(await asyncio.to_thread(combine, parts, weights))
            root = await asyncio.to_thread(lambda: result.root)
        holdings.results[work.start, work.stop] = result
        return root

    async def _gather(self, task: Task, work: Gather) -> None:
        piece = ResultPiece(task.job.id, task.record.training_round, work.start, work.stop, work.root)
        others = [org for org in _ring(task.record.cohort, self._org) if org not in (work.reducer, work.second)]
        holders = [work.reducer, work.second, *others]
        await self._fetcher.get_shared(piece, holders, task.job.terms.progress_deadline_ms, task.watch)
        task.running.holdings.results[work.start, work.stop] = piece.result

    async def _apply(self, task: Task, previous: Running | None) -> Digest:
        job, record = task.job, task.record
        preparation, base = await self.hold_model(job, record.training_round - 1, record.base, previous, task.watch)
        weight = sum(job.weight(org) for org in record.candidates)

        def make() -> tuple[bytes, bytes]:
            total = task.running.holdings.total(leaf_count(job.length), LEAF_VALUES)
            new = _bytes_of(apply_sum(flat(base), total, record.exponent, weight))
            return new, self._learner.model_file(preparation, new)

        parameters, file = await asyncio.to_thread(make)
        model = await asyncio.to_thread(self._shelf.write_model, job.id, record.training_round, file)
        self._last_model = (model, preparation, parameters)
        return model


class _Beat:
    """Tells once a second that work goes on whose steps are longer than that: a child starts, an epoch runs."""

    def __init__(self, line: str, watch: Watch, clock: Clock) -> None:
        self._line = line
        self._watch = watch
        self._clock = clock
        self._since_ms = clock.now().mono_ms

    def line(self, line: str) -> None:
        """A step is done; the line is for people."""
        self._line, self._since_ms = line, self._clock.now().mono_ms
        self._watch.waiting(line)

    async def __aenter__(self) -> "_Beat":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._clock.now().mono_ms < self._since_ms + STEP_MS_MAX:
            self._watch.waiting(self._line)
            await asyncio.sleep(BEAT_S)


def _encode(record: TrainingRound, base: bytes, new: bytes, seed: bytes) -> tuple[OwnUpdate, CommittedUpdate]:
    """The update as it goes to disk, and with its commitment as it is served."""
    encoded = encode_update(flat(base), flat(new), record.exponent)
    on_disk = OwnUpdate(
        record.training_round,
        record.base,
        record.exponent,
        encoded.peak_exponent,
        encoded.clipped,
        seed,
        pack_update(encoded.values),
    )
    return on_disk, CommittedUpdate(encoded.values, seed)


def _root_of(record: TrainingRound, owner: OrgId) -> Digest:
    return next(made.root for made in record.commitments if made.org == owner)


def _ring(orgs: tuple[OrgId, ...], org: OrgId) -> list[OrgId]:
    """The others, beginning after this member: so not all ask the same one first."""
    return [other for other in orgs if other > org] + [other for other in orgs if other < org]


def _bytes_of(values: Float32s) -> bytes:
    return values.astype("<f4", copy=False).tobytes()
