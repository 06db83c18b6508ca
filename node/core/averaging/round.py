"""One member's part in one training round, driven by what the ledger says (DESIGN, section 4).

The machine is level-triggered: after every input it compares what the ledger and the finished work imply with what
is under way, and asks for the difference. So a restart needs no log of its own, and a block that was missed or
seen twice changes nothing. It sees ids and digests; the performer moves and sums the megabytes.
"""

from dataclasses import dataclass
from typing import assert_never

from node.base.types import ZERO_DIGEST, Digest, Instant, OrgId
from node.core.averaging.types import (
    Announce,
    Apply,
    Begin,
    Cancel,
    Committed,
    Done,
    Effect,
    Gather,
    Heard,
    Input,
    LedgerView,
    Obtain,
    ObtainStatement,
    Outcome,
    Preparation,
    Prepare,
    Progress,
    Reduce,
    Submit,
    Tick,
    Train,
    Unobtainable,
    Work,
)
from node.ledger.contracts.training import (
    REASON_CHARACTERS_MAX,
    Commit,
    Have,
    JobView,
    Late,
    LeafRange,
    Missing,
    Phase,
    Prepared,
    Reduced,
    Unable,
)
from node.ledger.contracts.training import TrainingRound as Record

ANNOUNCE_EVERY_MS = 1_000
RESUBMIT_FIRST_MS = 4_000
RESUBMIT_MAX_MS = 30_000
"""A transaction that the ledger does not show is handed in again: after the first wait, then doubled up to here."""
STALL_PART = 4
"""Woken later than asked for by a deadline over this, a member gives the others a whole deadline anew."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A transaction that was handed in and is not on the ledger yet."""

    first_ms: int
    again_ms: int
    wait_ms: int


class AveragingRound:
    """What `org` must do in one training round of one job."""

    def __init__(self, org: OrgId) -> None:
        self._org = org
        self._view: LedgerView | None = None
        self._running: dict[Work, None] = {}  # in the order in which they began
        self._done: dict[Work, Outcome] = {}
        self._failed: dict[Work, str] = {}
        self._sent: dict[tuple[str, object], _Sent] = {}
        self._stage: tuple[Phase, int] | None = None
        self._stage_since_ms = 0
        self._heard_ms: dict[OrgId, int] = {}
        self._announced_ms: int | None = None
        self._wake_at: int | None = None

    @property
    def wake_at(self) -> int | None:
        """When `Tick` is due, on the monotonic clock."""
        return self._wake_at

    def step(self, input_: Input, *, now: Instant) -> list[Effect]:
        """Take one input; returns what to do, in order."""
        effects: list[Effect] = []
        self._notice_stall(now.mono_ms)
        match input_:
            case LedgerView():
                self._see(input_, now.mono_ms)
            case Done(work, outcome):
                self._running.pop(work, None)
                self._failed.pop(work, None)
                self._done[work] = outcome
            case Unobtainable(work, reason):
                self._failed[work] = reason
            case Heard(member):
                self._heard_ms[member] = now.mono_ms
            case Progress(detail):
                effects += self._announce(detail, now.mono_ms)
            case Tick():
                pass
            case _:
                assert_never(input_)
        if self._view is not None:
            effects += self._decide(self._view.job, self._view.round, now.mono_ms)
        return effects

    def _notice_stall(self, now_ms: int) -> None:
        """A member that was itself stopped for a while (suspended, starved) has not read what the others sent."""
        if self._view is None or self._wake_at is None:
            return
        if now_ms > self._wake_at + self._view.job.terms.progress_deadline_ms // STALL_PART:
            self._stage_since_ms = now_ms

    def _see(self, view: LedgerView, now_ms: int) -> None:
        self._view = view
        stage = (view.round.phase, view.round.attempt)
        if stage != self._stage:
            # A new phase: everybody gets a whole deadline, and nothing of the old one is handed in again.
            self._stage, self._stage_since_ms = stage, now_ms
            self._heard_ms.clear()
            self._sent.clear()

    def _announce(self, detail: str, now_ms: int) -> list[Effect]:
        view = self._view
        if view is None or view.round.phase is Phase.CLOSED:
            return []
        if self._announced_ms is not None and now_ms < self._announced_ms + ANNOUNCE_EVERY_MS:
            return []
        self._announced_ms = now_ms
        return [Announce(view.round.training_round, view.round.phase.name.lower(), detail)]

    def _decide(self, job: JobView, record: Record, now_ms: int) -> list[Effect]:
        works, says = self._phase(job, record)
        effects: list[Effect] = []
        for work in [work for work in self._running if work not in works]:
            del self._running[work]
            self._failed.pop(work, None)
            effects.append(Cancel(work))
        for work in works:
            if work not in self._running and work not in self._done and not self._gave_up(work):
                self._running[work] = None
                effects.append(Begin(work))
        says += [("late", payload) for payload in self._lates(job, record, now_ms)]
        effects += self._submissions(says, now_ms)
        self._wake_at = self._next_wake(job, record, says)
        return effects

    def _gave_up(self, work: Work) -> bool:
        return isinstance(work, Train | Prepare) and work in self._failed

    def _phase(self, job: JobView, record: Record) -> tuple[list[Work], list[tuple[str, object]]]:
        """The work that the phase asks of this member, and what it has to say on the ledger."""
        match record.phase:
            case Phase.COMMITTING:
                return self._committing(job, record)
            case Phase.PREPARING:
                return self._preparing(job, record)
            case Phase.REDUCING:
                return self._reducing(job, record)
            case Phase.CLOSED if record.training_round == 0:
                # The others were faster. The learner ends what it is at: to stop it would be to end its process.
                return [work for work in self._running if isinstance(work, Prepare)], []
            case Phase.CLOSING | Phase.CLOSED:
                return self._closing(job, record)
            case _:
                assert_never(record.phase)

    def _committing(self, job: JobView, record: Record) -> tuple[list[Work], list[tuple[str, object]]]:
        committed = any(made.org == self._org for made in record.commitments)
        if self._org not in record.cohort or committed or self._org in record.dropped:
            return [], []
        work = Train(record.training_round)
        if work in self._failed:
            # Whoever cannot train says so: nobody has to wait a deadline for it.
            payload = Late(job.id, record.training_round, record.phase, record.attempt, self._org)
            return [work], [("late", payload)]
        made = self._done.get(work)
        if not isinstance(made, Committed):
            return [work], []
        return [work], [("commit", Commit(job.id, record.training_round, made.root, made.peak_exponent, made.clipped))]

    def _preparing(self, job: JobView, record: Record) -> tuple[list[Work], list[tuple[str, object]]]:
        if self._org not in record.cohort:
            return [], []
        statements: list[Work] = [ObtainStatement(owner) for owner in record.candidates if owner != self._org]
        says = self._complaints(job, record, statements)
        prepare = Prepare(record.candidates)
        works = statements if any(work not in self._done for work in statements) else [*statements, prepare]
        if any(report.org == self._org for report in record.prepared):
            return works, says
        made = self._done.get(prepare)
        if isinstance(made, Preparation):
            payload = Prepared(job.id, record.attempt, made.preparation, made.model, made.length)
            says.append(("prepared", payload))
        elif prepare in self._failed:
            says.append(("unable", Unable(job.id, record.attempt, in_words(self._failed[prepare]))))
        return works, says

    def _reducing(self, job: JobView, record: Record) -> tuple[list[Work], list[tuple[str, object]]]:
        if self._org not in record.candidates:
            return [], []
        mine = [range_ for range_ in record.ranges if range_.reducer == self._org]
        inputs: list[Work] = []
        for range_ in record.ranges:
            if range_.reducer == self._org:
                inputs += self._inputs(range_, record.candidates)
            elif range_.second == self._org:
                inputs += self._inputs(range_, (range_.reducer,))
        says = self._complaints(job, record, inputs)
        # The copies as second are part of it: once all ranges are reported, one vanished reducer costs no input.
        held = all(work in self._done for work in inputs)
        sums: list[Work] = [Reduce(range_.start, range_.stop, record.candidates) for range_ in mine]
        sums = [work for work in sums if self._summable(work)]
        for index, range_ in enumerate(record.ranges):
            root = self._done.get(Reduce(range_.start, range_.stop, record.candidates))
            if held and range_.reducer == self._org and range_.root is None and isinstance(root, bytes):
                payload = Reduced(job.id, record.training_round, record.attempt, index, Digest(root))
                says.append(("reduced", payload))
        return [*inputs, *sums], says

    def _closing(self, job: JobView, record: Record) -> tuple[list[Work], list[tuple[str, object]]]:
        works: list[Work] = []
        complete = True
        for range_ in record.ranges:
            if range_.start == range_.stop:
                continue
            gather = Gather(range_.start, range_.stop, range_.root or ZERO_DIGEST, range_.reducer, range_.second)
            reduce = Reduce(range_.start, range_.stop, record.candidates)
            if gather in self._done or self._done.get(reduce) == range_.root:
                continue
            complete = False
            works.append(gather)
            # A reducer that lost its sum makes it again; the second does, once the result cannot be got.
            if self._org == range_.reducer or (self._org == range_.second and gather in self._failed):
                works += self._inputs(range_, record.candidates)
                works += [reduce] if self._summable(reduce) else []
        if not complete:
            return works, []
        apply_ = Apply(record.training_round)
        model = self._done.get(apply_)
        reported = any(report.org == self._org for report in record.haves)
        if not isinstance(model, bytes) or reported or record.phase is Phase.CLOSED or self._org not in record.cohort:
            return [apply_], []
        return [apply_], [("have", Have(job.id, record.training_round, Digest(model)))]

    def _inputs(self, range_: LeafRange, owners: tuple[OrgId, ...]) -> list[Work]:
        if range_.start == range_.stop:
            return []
        return [Obtain(owner, range_.start, range_.stop) for owner in owners if owner != self._org]

    def _summable(self, work: Work) -> bool:
        """Whether all inputs of a `Reduce` are here. An empty range has none."""
        assert isinstance(work, Reduce)
        return work.start == work.stop or all(
            owner == self._org or Obtain(owner, work.start, work.stop) in self._done for owner in work.contributors
        )

    def _complaints(self, job: JobView, record: Record, works: list[Work]) -> list[tuple[str, object]]:
        owners = sorted(
            {work.owner for work in works if isinstance(work, Obtain | ObtainStatement) and work in self._failed}
        )
        made = {complaint.member for complaint in record.missing if complaint.by == self._org}
        return [
            ("missing", Missing(job.id, record.training_round, record.attempt, owner))
            for owner in owners
            if owner not in made
        ]

    def _awaited(self, record: Record) -> set[OrgId]:
        """Whom the phase waits for, as the contract sees it, without this member itself."""
        if self._org not in record.cohort:
            return set()
        waiting: set[OrgId] = set()
        if record.phase is Phase.COMMITTING:
            waiting = set(record.cohort) - {made.org for made in record.commitments} - set(record.dropped)
        if record.phase is Phase.REDUCING:
            waiting = {range_.reducer for range_ in record.ranges if range_.root is None}
        said = {complaint.member for complaint in record.lates if complaint.by == self._org}
        return waiting - said - {self._org}

    def _late_at(self, job: JobView, member: OrgId) -> int:
        since = max(self._stage_since_ms, self._heard_ms.get(member, 0))
        return since + job.terms.progress_deadline_ms

    def _lates(self, job: JobView, record: Record, now_ms: int) -> list[Late]:
        return [
            Late(job.id, record.training_round, record.phase, record.attempt, member)
            for member in sorted(self._awaited(record))
            if now_ms >= self._late_at(job, member)
        ]

    def _submissions(self, says: list[tuple[str, object]], now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        for method, payload in says:
            sent = self._sent.get((method, payload), _Sent(now_ms, now_ms, RESUBMIT_FIRST_MS))
            if now_ms >= sent.again_ms:
                again = _Sent(sent.first_ms, now_ms + sent.wait_ms, min(2 * sent.wait_ms, RESUBMIT_MAX_MS))
                self._sent[method, payload] = again
                effects.append(Submit(method, payload))
        # Who has acted and waits for the ledger is not silent: while no blocks are made, nobody is to blame here.
        if any(now_ms >= moment for moment in self._pending_ms(says)):
            effects += self._announce("waiting for the ledger", now_ms)
        return effects

    def _pending_ms(self, says: list[tuple[str, object]]) -> list[int]:
        """From when on each of this member's own reports is overdue on the ledger."""
        pending = [self._sent[say] for say in says if say in self._sent and say[0] != "late"]
        return [sent.first_ms + ANNOUNCE_EVERY_MS for sent in pending]

    def _next_wake(self, job: JobView, record: Record, says: list[tuple[str, object]]) -> int | None:
        said = {payload.member for _, payload in says if isinstance(payload, Late)}
        moments = [self._late_at(job, member) for member in self._awaited(record) if member not in said]
        moments += [self._sent[say].again_ms for say in says if say in self._sent]
        announced_ms = self._announced_ms
        for moment in self._pending_ms(says):
            moments.append(moment if announced_ms is None else max(moment, announced_ms + ANNOUNCE_EVERY_MS))
        return min(moments, default=None)


def in_words(reason: str) -> str:
    """A reason as the ledger takes it: one line, bounded."""
    return " ".join("".join(char if char.isprintable() else " " for char in reason).split())[:REASON_CHARACTERS_MAX]
