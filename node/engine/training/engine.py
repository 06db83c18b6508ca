"""The loop of training: the ledger and finished works go in, transactions and works come out.

One task runs `TrainingEngine.run`; all decisions are taken in it, one after the other. Works run beside it in one task
group and report back through the inbox. After a restart everything follows from the ledger and the shelf.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from node.base.codec import encode
from node.base.ports import Clock, Entropy, Learner, LearnerError, Sealer, StateReader, Transport
from node.base.types import Digest, Heard, OrgId, PeerMessage
from node.core.averaging import (
    Announce,
    Apply,
    AveragingRound,
    Begin,
    Cancel,
    Done,
    LedgerView,
    Prepare,
    Progress,
    RuleError,
    Submit,
    Tick,
    Train,
    Unobtainable,
    Work,
)
from node.core.averaging import Effect as RoundEffect
from node.core.averaging import Heard as HeardOf
from node.core.averaging import Input as RoundInput
from node.core.scheduling import Effect as ScheduleEffect
from node.core.scheduling import (
    FetchModel,
    JobsSeen,
    ModelHeld,
    Release,
    Scheduler,
    SendPresent,
    Trained,
    Trouble,
    WorkOn,
)
from node.core.scheduling import Input as ScheduleInput
from node.core.scheduling import Tick as ScheduleTick
from node.engine.loop import SubmissionRefused
from node.engine.training.egress import NO_LIMITS, EgressPolicy
from node.engine.training.fetching import DataPrivateKeys, Fetcher, Watch
from node.engine.training.holdings import Holdings, Running
from node.engine.training.serving import DataKeyOf, Server
from node.engine.training.shelf import Shelf
from node.engine.training.work import Rows, Task, Worker
from node.ledger.contracts.contract import view
from node.ledger.contracts.training import (
    CONTRACT,
    TRAINING,
    JobView,
    Phase,
    Present,
    TrainingRound,
    job,
    jobs,
    training_round,
)

DETAIL_CHARACTERS_MAX = 200
CATCH_UP_MS = 500
"""While a member is behind it waits for the next block, but no longer than this: a peer may lie about its height."""
DISK_ATTEMPTS = 3
DISK_PAUSE_S = 1.0

Submitted = Callable[[str, str, bytes], Awaitable[object]]
"""(contract, method, payload): sign a transaction and hand it in. Raises `SubmissionRefused`."""
RoundKey = tuple[Digest, int]


@dataclass(frozen=True, slots=True)
class Status:
    """For `lepton status` and the display of progress."""

    job: Digest | None = None
    training_round: int = 0
    phase: str = "idle"
    loss: float | None = None
    """Of this member's last local training."""
    trouble: str = ""
    """Why this member's own part failed last, in words."""
    doing: str = ""
    peers: Mapping[OrgId, str] = field(default_factory=dict)
    """What the others said of their progress last."""


class TrainingEngine:
    """One member's trainer."""

    def __init__(
        self,
        *,
        org: OrgId,
        state: StateReader,
        transport: Transport,
        learner: Learner,
        clock: Clock,
        entropy: Entropy,
        sealer: Sealer,
        submit: Submitted,
        rows: Rows,
        data_key_of: DataKeyOf,
        data_private_keys: DataPrivateKeys,
        models: Path,
        inputs: Path,
        log: Callable[[str], None],
        behind: Callable[[], bool] = lambda: False,
        egress: EgressPolicy = NO_LIMITS,
    ) -> None:
        """`behind()` says whether blocks are being caught up with: then what they ask for is over already.

        `models` and `inputs` are folders of this member; one of `data_private_keys()` opens what is relayed to it.

        `log` hears what an operator may want to know, a sentence at a time.
        """
        self._org = org
        self._state = state
        self._transport = transport
        self._learner = learner
        self._rows = rows
        self._clock = clock
        self._submit = submit
        self._log = log
        self._shelf = Shelf(models, inputs, sealer, log)
        self._running: dict[RoundKey, Running] = {}
        self._scheduler = Scheduler(org)
        self._fetcher = Fetcher(org, transport, clock, data_private_keys, log)
        self._server = Server(org, state, self._shelf, self._running, transport, data_key_of)
        self._worker = Worker(
            org, learner, self._shelf, self._fetcher, clock, entropy, rows, self._trained, egress, log
        )
        self._inbox: deque[tuple[RoundKey, RoundInput]] = deque()
        self._schedule: deque[ScheduleInput] = deque()
        self._ready = asyncio.Event()
        self._behind = behind
        self._block_came = True
        self._jobs_changed = True
        self._jobs: dict[Digest, JobView] = {}
        """As of the last block that wrote there."""
        self._block_ms = clock.now().mono_ms - CATCH_UP_MS
        self._group: asyncio.TaskGroup | None = None
        self._loss: float | None = None
        self._without_right: Digest | None = None
        """The job whose rows this member may not use any more."""
        self._trouble = ""
        self._doing = ""
        self._peers: dict[OrgId, str] = {}

    @property
    def status(self) -> Status:
        """Where this member's training stands."""
        current = self._current_job()
        if current is None or current.current is None:
            return Status(loss=self._loss, trouble=self._trouble)
        phase = current.current.phase.name.lower()
        return Status(
            current.id, current.training_round, phase, self._loss, self._trouble, self._doing, dict(self._peers)
        )

    def model_path(self, job_id: Digest, model: Digest) -> Path | None:
        """The file of a job's model with this SHA-256, if this member holds it."""
        return self._shelf.find_model(job_id, model)

    def on_block(self, changed: frozenset[str] | None = None) -> None:
        """A block was committed; it wrote in the state of these contracts, or anywhere."""
        self._block_came = True
        self._jobs_changed |= changed is None or CONTRACT in changed
        self._block_ms = self._clock.now().mono_ms
        self._server.changed()
        self._ready.set()

    def on_heard(self, peer: OrgId, heard: Heard) -> None:
        """A peer makes progress."""
        key = (heard.job, heard.training_round)
        if key in self._running:
            self._peers[peer] = f"{heard.phase}: {heard.detail}"[:DETAIL_CHARACTERS_MAX]
            self._put(key, HeardOf(peer))

    def serve(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes]:
        """The port `BulkServer`."""
        return self._server.serve(peer, request)

    async def run(self) -> None:
        """Run until cancelled; then every work has ended and so has the learner's process."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                while True:
                    self._turn()
                    await self._wait()
        finally:
            self._group = None
            if self._scheduler.current is not None:
                await self._release(self._scheduler.current)

    def _turn(self) -> None:
        if self._block_came and not self._catching_up():
            self._block_came = False
            if self._jobs_changed:
                self._jobs_changed = False
                found = jobs(view(self._state, CONTRACT))
                self._jobs = {one.id: one for one in found}
                self._schedule.append(JobsSeen(tuple(found)))
            else:
                # Any block may end a right, by what it writes elsewhere or by its time alone.
                self._stop_without_right()
        now = self._clock.now()
        if self._scheduler.wake_at is not None and self._scheduler.wake_at <= now.mono_ms:
            self._schedule.append(ScheduleTick())
        while self._schedule:
            input_ = self._schedule.popleft()
            for effect in self._scheduler.step(input_, now=now):
                self._perform_schedule(effect)
            if isinstance(input_, JobsSeen):
                self._follow_ledger()
                self._stop_without_right()
        while self._inbox:
            self._step(*self._inbox.popleft())
        for key, running in list(self._running.items()):
            if running.machine.wake_at is not None and running.machine.wake_at <= now.mono_ms:
                self._step(key, Tick())

    def _catching_up(self) -> bool:
        return self._behind() and self._clock.now().mono_ms < self._block_ms + CATCH_UP_MS

    async def _wait(self) -> None:
        if self._inbox or self._schedule or (self._block_came and not self._catching_up()):
            await asyncio.sleep(0)
            return
        self._ready.clear()
        moments = [running.machine.wake_at for running in self._running.values()]
        moments += [self._scheduler.wake_at, self._block_ms + CATCH_UP_MS if self._block_came else None]
        wake_at = min((at for at in moments if at is not None), default=None)
        timeout_s = None if wake_at is None else max(0, wake_at - self._clock.now().mono_ms) / 1000
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()

    def _follow_ledger(self) -> None:
        """Open the machine of the current training round, show both the ledger, close what is over."""
        current = self._current_job()
        wanted: dict[RoundKey, tuple[JobView, TrainingRound]] = {}
        if current is not None and current.current is not None:
            number = current.training_round
            wanted[current.id, number] = (current, current.current)
        for id_, number in self._running:
            # The last training round stays: the slower of the others still gather its results.
            found = job(view(self._state, CONTRACT), id_)
            record = training_round(view(self._state, CONTRACT), id_, number)
            if found is not None and record is not None and self._still_useful(found, number):
                wanted[id_, number] = (found, record)
        for key in [key for key in self._running if key not in wanted]:
            self._close(key)
        for key, (found, record) in sorted(wanted.items()):
            if key not in self._running:
                machine = AveragingRound(self._org)
                self._running[key] = Running(machine, Holdings(self._shelf, *key), moved_ms=self._clock.now().mono_ms)
                self._spawn(self._tidy(*key))
            self._step(key, LedgerView(found, record))
            if record.phase is Phase.CLOSED and self._running[key].applied.is_set():
                self._running[key].holdings.inputs.clear()

    def _stop_without_right(self) -> None:
        """The rows may not be used any more: stop at once, and end the process that holds them."""
        current = self._current_job()
        if current is None or (why := self._rows.why_not(current)) is None:
            return
        for key, running in self._running.items():
            for work, task in running.tasks.items():
                if key[0] == current.id and isinstance(work, Train) and not task.done():
                    task.cancel()
                    self._give_up(key, work, why)
        if self._without_right != current.id:
            self._without_right = current.id
            self._log(f"{current.name}: {why}")
            self._spawn(self._release(current.id))

    async def _release(self, job_id: Digest) -> None:
        await self._learner.close(job_id)
        await self._rows.release(job_id)

    def _still_useful(self, found: JobView, number: int) -> bool:
        if found.active:
            return found.id == self._scheduler.current and found.training_round - 1 <= number <= found.training_round
        return number == found.training_round and found.model is not None and self._scheduler.current is None

    def _current_job(self) -> JobView | None:
        id_ = self._scheduler.current
        return None if id_ is None else self._jobs.get(id_)

    def _close(self, key: RoundKey) -> None:
        running = self._running.pop(key)
        for task in running.tasks.values():
            task.cancel()

    def _put(self, key: RoundKey, input_: RoundInput) -> None:
        self._inbox.append((key, input_))
        self._ready.set()

    def _step(self, key: RoundKey, input_: RoundInput) -> None:
        running = self._running.get(key)
        if running is None:
            return
        for effect in running.machine.step(input_, now=self._clock.now()):
            self._perform(key, running, effect)

    def _perform(self, key: RoundKey, running: Running, effect: RoundEffect) -> None:
        match effect:
            case Begin(work):
                found, record = (
                    job(view(self._state, CONTRACT), key[0]),
                    training_round(view(self._state, CONTRACT), *key),
                )
                assert found is not None
                assert record is not None
                task = Task(work, found, record, running, self._watch(key, running, work))
                running.tasks[work] = self._spawn(self._work(key, task))
            case Cancel(work):
                running.tasks.pop(work).cancel()
            case Submit(method, payload):
                self._spawn(self._hand_in(method, encode(payload, TRAINING.methods[method].payload)))
            case Announce(number, phase, detail):
                self._announce(key, Heard(key[0], number, phase, detail[:DETAIL_CHARACTERS_MAX]))
            case _:
                assert_never(effect)

    def _perform_schedule(self, effect: ScheduleEffect) -> None:
        match effect:
            case WorkOn():
                self._trouble = ""
            case Release(job_id):
                self._spawn(self._release(job_id))
            case SendPresent(job_id):
                self._spawn(self._hand_in("present", encode(Present(job_id))))
            case FetchModel(job_id, number, model):
                self._spawn(self._fetch_model(job_id, number, model))
            case _:
                assert_never(effect)

    def _announce(self, key: RoundKey, heard: Heard) -> None:
        self._doing = heard.detail
        record = training_round(view(self._state, CONTRACT), *key)
        message = encode(heard, PeerMessage)
        for org in record.cohort if record is not None else ():
            if org != self._org:
                self._transport.send(org, message)

    def _watch(self, key: RoundKey, running: Running, work: Work) -> Watch:
        def arrived(whose: OrgId) -> None:
            running.moved_ms = self._clock.now().mono_ms
            self._put(key, HeardOf(whose))
            self._put(key, Progress(f"receiving from {whose}"))

        def waiting(detail: str) -> None:
            self._put(key, Progress(detail))

        def unobtainable(reason: str) -> None:
            self._put(key, Unobtainable(work, reason))

        return Watch(arrived, waiting, unobtainable)

    async def _work(self, key: RoundKey, task: Task) -> None:
        """Perform one work; what it cannot do becomes data for the machine, in words for the operator."""
        previous = self._running.get((key[0], key[1] - 1))
        for attempt in range(1, DISK_ATTEMPTS + 1):
            try:
                outcome = await self._worker.perform(task, previous)
                break
            except (LearnerError, RuleError) as error:
                self._give_up(key, task.work, str(error))
                return
            except OSError as error:
                if attempt == DISK_ATTEMPTS:
                    self._give_up(key, task.work, f"the disk refuses: {error}")
                    return
                await asyncio.sleep(DISK_PAUSE_S)
        if isinstance(task.work, Train):
            self._trouble = ""
            self._schedule.append(Trained(key[0]))
        if isinstance(task.work, Apply | Prepare):
            task.running.applied.set()
        if isinstance(task.work, Apply) and isinstance(outcome, bytes):
            self._schedule.append(ModelHeld(key[0], Digest(outcome)))
        self._put(key, Done(task.work, outcome))
        self._server.changed()

    def _give_up(self, key: RoundKey, work: Work, reason: str) -> None:
        self._trouble = reason
        self._log(f"training round {key[1]}, {type(work).__name__.lower()}: {reason}")
        if isinstance(work, Train | Prepare):
            self._schedule.append(Trouble(key[0]))
        self._put(key, Unobtainable(work, reason))

    async def _fetch_model(self, job_id: Digest, number: int, model: Digest) -> None:
        found = job(view(self._state, CONTRACT), job_id)
        assert found is not None
        watch = Watch(lambda whose: None, lambda detail: None, self._log)
        try:
            await self._worker.hold_model(found, number, model, self._running.get((job_id, number)), watch)
        except (LearnerError, OSError) as error:
            self._log(f"the model of training round {number} is not kept: {error}")

    async def _tidy(self, job_id: Digest, number: int) -> None:
        try:
            await asyncio.to_thread(self._shelf.forget, job_id, number)
        except OSError as error:
            self._log(f"old files of training stay on the disk: {error}")

    async def _hand_in(self, method: str, payload: bytes) -> None:
        try:
            await self._submit(CONTRACT, method, payload)
        except SubmissionRefused as error:
            # The machine says it again as long as the ledger does not show it.
            self._log(f"a transaction ({method}) was not taken: {error}")

    def _trained(self, loss: float) -> None:
        self._loss = loss

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        assert self._group is not None, "works run while the loop does"
        return self._group.create_task(coroutine)
