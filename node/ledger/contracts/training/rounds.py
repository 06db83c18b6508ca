"""A training round on the ledger: who committed, who is late, who sums what, when it closes (DESIGN, section 4).

No method asks who conducts a phase: a phase ends by what the cohort's members signed, so any of them may vanish.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from node.base.types import ZERO_DIGEST, Digest, OrgId
from node.ledger.contracts.contract import Context, Rejected, View, is_text
from node.ledger.contracts.training.store import emit, job_key, proposed_key, round_key, training_round
from node.ledger.contracts.training.types import (
    EXPONENT_MAX,
    EXPONENT_MIN,
    EXPONENT_STEP_MAX,
    MODEL_VALUES_MAX,
    REASON_CHARACTERS_MAX,
    Commit,
    Commitment,
    Complaint,
    Have,
    HaveBy,
    Job,
    JobState,
    JobTerms,
    Late,
    Missing,
    Phase,
    Prepared,
    PreparedBy,
    Proposed,
    Reduced,
    TrainingRound,
    Unable,
    leaf_count,
    more_than_third,
    quorum,
)
from node.ledger.contracts.training.using import leave_out
from node.ledger.contracts.training.weights import map_ranges, without


@dataclass(slots=True)
class _Open:
    """One transaction's copy of the open training round and its job; `save` writes both back."""

    context: Context
    id: Digest
    terms: JobTerms
    job: Job
    round: TrainingRound

    def save(self) -> None:
        self.context.store(round_key(self.id, self.round.training_round), self.round)
        self.context.store(job_key(self.id), self.job)

    def move(self, phase: Phase) -> None:
        """Enter a phase. Complaints of the old one no longer count."""
        self.round = replace(self.round, phase=phase, lates=(), missing=())
        emit(self.context, "phase", self.id, self.round.training_round, phase.name.lower())

    def fail(self, reason: str) -> None:
        """End the job without a model of this training round."""
        self.job = replace(self.job, state=JobState.FAILED, reason=reason)
        emit(self.context, "failed", self.id, self.round.training_round, reason)


def open_round(context: Context, id_: Digest, terms: JobTerms, job: Job, exponent: int | None = None) -> None:
    """Open training round `job.training_round` for all participants that are not absent, and store both records.

    Whoever may no longer use its data is left out, from now on.
    """
    job = leave_out(context, id_, job)
    gone = {*job.absent, *(left.org for left in job.left_out)}
    cohort = tuple(org for org in terms.participants if org not in gone)
    if len(cohort) < terms.minimum:
        left = "1 member is" if len(cohort) == 1 else f"{len(cohort)} members are"
        reason = f"{left} left and the job asks for {terms.minimum}"
        context.store(job_key(id_), replace(job, state=JobState.FAILED, reason=reason))
        emit(context, "failed", id_, job.training_round, reason)
        return
    opened = TrainingRound(
        training_round=job.training_round,
        phase=Phase.COMMITTING,
        attempt=0,
        cohort=cohort,
        exponent=terms.exponent if exponent is None else exponent,
        base=job.model or ZERO_DIGEST,
        opened_ms=context.time_ms,
        commitments=(),
        lates=(),
        missing=(),
        candidates=(),
        dropped=(),
        ranges=(),
        prepared=(),
        haves=(),
        conflicts=(),
        model=None,
    )
    context.store(round_key(id_, job.training_round), opened)
    context.store(job_key(id_), job)
    emit(context, "opened", id_, job.training_round)


def commit(context: Context, asked: Commit) -> None:
    """A member of the cohort has trained (in training round 0: summed up its rows) and says to what it is bound."""
    open_ = _load(context, asked.job, asked.training_round, Phase.COMMITTING)
    if context.org in _committed(open_.round):
        raise Rejected("already", "you have committed to this training round")
    if context.org in open_.round.dropped:
        raise Rejected("dropped", "you were called late; announce that you are present to join the next one")
    if not EXPONENT_MIN <= asked.peak_exponent <= EXPONENT_MAX:
        raise Rejected("bad-exponent", f"the peak exponent is between {EXPONENT_MIN} and {EXPONENT_MAX}")
    if not 0 <= asked.clipped <= open_.job.length:
        raise Rejected("bad-clipped", "no more values are clipped than the model has")
    made = Commitment(context.org, asked.root, asked.peak_exponent, asked.clipped)
    open_.round = replace(open_.round, commitments=(*open_.round.commitments, made))
    _end_committing(open_)
    open_.save()


def late(context: Context, asked: Late) -> None:
    """A quorum of the cohort heard nothing of a member for a deadline each; a member may give up itself at once."""
    open_ = _load(context, asked.job, asked.training_round, asked.phase, asked.attempt)
    if asked.member not in _awaited(open_.round):
        raise Rejected("not-awaited", f"nobody waits for {asked.member} in this phase")
    open_.round = replace(open_.round, lates=_with(open_.round.lates, Complaint(asked.member, context.org)))
    signed = sum(complaint.member == asked.member for complaint in open_.round.lates)
    if context.org == asked.member or signed >= quorum(len(open_.round.cohort)):
        _drop(open_, asked.member, "late")
    open_.save()


def missing(context: Context, asked: Missing) -> None:
    """More than a third of the cohort cannot get what a candidate committed to: one of them is honest."""
    open_ = _load(context, asked.job, asked.training_round, None, asked.attempt)
    if open_.round.phase not in (Phase.PREPARING, Phase.REDUCING) or asked.member not in open_.round.candidates:
        raise Rejected("not-candidate", f"nothing of {asked.member} is exchanged in this phase")
    if asked.member == context.org:
        raise Rejected("not-candidate", "a member cannot miss what is its own")
    open_.round = replace(open_.round, missing=_with(open_.round.missing, Complaint(asked.member, context.org)))
    signed = sum(complaint.member == asked.member for complaint in open_.round.missing)
    if signed >= more_than_third(len(open_.round.cohort)):
        _drop(open_, asked.member, "missing")
    open_.save()


def prepared(context: Context, asked: Prepared) -> None:
    """A member combined the candidates' statistics; a quorum of equal outcomes opens training round 1."""
    open_ = _load(context, asked.job, 0, Phase.PREPARING, asked.attempt)
    if not 1 <= asked.length <= MODEL_VALUES_MAX:
        raise Rejected("bad-length", f"a model has 1 to {MODEL_VALUES_MAX} values")
    if not _report(open_, PreparedBy(context.org, asked.preparation, asked.model, asked.length)):
        open_.save()
        return
    open_.job = replace(
        open_.job, state=JobState.TRAINING, preparation=asked.preparation, length=asked.length, model=asked.model
    )
    _close(open_, asked.model, open_.terms.exponent)


def unable(context: Context, asked: Unable) -> None:
    """The statistics give no preparation; the job fails when a quorum of the cohort says so."""
    open_ = _load(context, asked.job, 0, Phase.PREPARING, asked.attempt)
    if not is_text(asked.why, REASON_CHARACTERS_MAX):
        raise Rejected("bad-reason", f"give the reason in at most {REASON_CHARACTERS_MAX} printable characters")
    if _report(open_, PreparedBy(context.org, ZERO_DIGEST, ZERO_DIGEST, 0)):
        open_.fail(f"the data cannot be prepared: {asked.why}")
    open_.save()


def _report(open_: _Open, made: PreparedBy) -> bool:
    """Count one outcome of the preparation; whether a quorum came to the same."""
    if any(report.org == made.org for report in open_.round.prepared):
        raise Rejected("already", "you have reported your preparation")
    open_.round = replace(open_.round, prepared=(*open_.round.prepared, made))
    outcomes = Counter((report.preparation, report.model, report.length) for report in open_.round.prepared)
    agreed = outcomes[made.preparation, made.model, made.length] >= quorum(len(open_.round.cohort))
    if not agreed and _hopeless(open_.round, outcomes.values()):
        open_.fail("the members derived different preparations from the same statistics")
    return agreed


def reduced(context: Context, asked: Reduced) -> None:
    """A reducer holds a range's inputs and sum; when all ranges are reported, the candidates are contributors."""
    open_ = _load(context, asked.job, asked.training_round, Phase.REDUCING, asked.attempt)
    ranges = open_.round.ranges
    if not 0 <= asked.range_index < len(ranges):
        raise Rejected("unknown-range", f"the ranges of this training round are 0 to {len(ranges) - 1}")
    if ranges[asked.range_index].reducer != context.org:
        raise Rejected("not-reducer", f"{ranges[asked.range_index].reducer} sums this range")
    if ranges[asked.range_index].root is not None:
        raise Rejected("already", "you have reported this range")
    done = tuple(
        replace(range_, root=asked.root) if at == asked.range_index else range_ for at, range_ in enumerate(ranges)
    )
    open_.round = replace(open_.round, ranges=done)
    if all(range_.root is not None for range_ in done):
        open_.move(Phase.CLOSING)
    open_.save()


def have(context: Context, asked: Have) -> None:
    """The new model is on a member's disk; a quorum of equal ones closes the training round."""
    open_ = _load(context, asked.job, asked.training_round, Phase.CLOSING)
    made = HaveBy(context.org, asked.model)
    before = [report for report in open_.round.haves if report.org == context.org]
    if before and (before[0] == made or any(report.org == context.org for report in open_.round.conflicts)):
        raise Rejected("already", "you have reported the new model")
    if before:
        open_.round = replace(open_.round, conflicts=(*open_.round.conflicts, made))
        emit(context, "conflict", asked.job, asked.training_round, context.org)
        open_.save()
        return
    open_.round = replace(open_.round, haves=(*open_.round.haves, made))
    models = Counter(report.model for report in open_.round.haves)
    if models[asked.model] >= quorum(len(open_.round.cohort)):
        _close(open_, asked.model, _next_exponent(open_.round))
        return
    if _hopeless(open_.round, models.values()):
        open_.fail("the members derived different models from the same results")
    open_.save()


def companions(view: View, asked: Commit | Prepared | Reduced | Have) -> frozenset[OrgId]:
    """Whose calls end the phase that this one belongs to: all members of a phase are done at about the same time."""
    number = 0 if isinstance(asked, Prepared) else asked.training_round
    round_ = training_round(view, asked.job, number)
    if round_ is None:
        return frozenset()
    match asked:
        case Commit() if round_.phase is Phase.COMMITTING:
            return frozenset(_awaited(round_))
        case Prepared() if round_.phase is Phase.PREPARING:
            return frozenset(round_.cohort) - {made.org for made in round_.prepared}
        case Reduced() if round_.phase is Phase.REDUCING:
            return frozenset(_awaited(round_))
        case Have() if round_.phase is Phase.CLOSING:
            return frozenset(round_.cohort) - {made.org for made in round_.haves}
        case _:
            return frozenset()


def _load(context: Context, id_: Digest, number: int, phase: Phase | None, attempt: int | None = None) -> _Open:
    """The open training round, if it is the one meant and the asker is of its cohort. Raises `Rejected`."""
    proposed, job = context.load(Proposed, proposed_key(id_)), context.load(Job, job_key(id_))
    if proposed is None or job is None:
        raise Rejected("unknown-job", "no job has this id; list the jobs to see theirs")
    if job.state not in (JobState.PREPARING, JobState.TRAINING):
        raise Rejected("wrong-state", f"the job is {job.state.name.lower()}: no training round is open")
    if number != job.training_round:
        raise Rejected("wrong-round", f"training round {job.training_round} is open, not {number}")
    found = context.load(TrainingRound, round_key(id_, number))
    assert found is not None, "an active job has an open training round"
    if context.org not in found.cohort:
        raise Rejected("not-in-cohort", "this training round's cohort was fixed without you")
    if phase is not None and found.phase is not phase:
        raise Rejected("wrong-phase", f"the training round is {found.phase.name.lower()}, not {phase.name.lower()}")
    if attempt is not None and found.attempt != attempt:
        raise Rejected("wrong-attempt", f"attempt {found.attempt} is under way, not {attempt}")
    return _Open(context, id_, proposed.terms, job, found)


def _committed(round_: TrainingRound) -> set[OrgId]:
    return {commitment.org for commitment in round_.commitments}


def _awaited(round_: TrainingRound) -> set[OrgId]:
    """Whom the open phase waits for: those who have not committed, or reducers that have not reported."""
    if round_.phase is Phase.COMMITTING:
        return set(round_.cohort) - _committed(round_) - set(round_.dropped)
    if round_.phase is Phase.REDUCING:
        return {range_.reducer for range_ in round_.ranges if range_.root is None}
    return set()


def _with(complaints: tuple[Complaint, ...], made: Complaint) -> tuple[Complaint, ...]:
    if made in complaints:
        raise Rejected("already", f"you have said this of {made.member}")
    return (*complaints, made)


def _hopeless(round_: TrainingRound, counts: Iterable[int]) -> bool:
    """Whether no outcome can still reach the quorum, even if all who are silent agreed with the most common one."""
    reported = sum(counts := list(counts))
    return max(counts) + len(round_.cohort) - reported < quorum(len(round_.cohort))


def _drop(open_: _Open, member: OrgId, why: str) -> None:
    """Leave a member out of this training round, and out of the next ones until it says that it is present."""
    if member not in open_.job.absent:
        open_.job = replace(open_.job, absent=tuple(sorted((*open_.job.absent, member))))
    emit(open_.context, why, open_.id, open_.round.training_round, member)
    open_.round = replace(open_.round, dropped=(*open_.round.dropped, member))
    if open_.round.phase is Phase.COMMITTING:
        _end_committing(open_)
        return
    candidates = tuple(org for org in open_.round.candidates if org != member)
    open_.round = replace(
        open_.round, attempt=open_.round.attempt + 1, candidates=candidates, lates=(), missing=(), prepared=()
    )
    if _enough(open_):
        open_.round = replace(open_.round, ranges=without(open_.round.ranges, member, candidates))


def _end_committing(open_: _Open) -> None:
    """Once everybody of the cohort has committed or is late, those who committed are the candidates."""
    if _awaited(open_.round):
        return
    open_.round = replace(open_.round, candidates=tuple(sorted(_committed(open_.round))))
    if not _enough(open_):
        return
    if open_.round.training_round == 0:
        open_.move(Phase.PREPARING)
        return
    ranges = map_ranges(leaf_count(open_.job.length), open_.round.candidates)
    open_.round = replace(open_.round, ranges=ranges)
    open_.move(Phase.REDUCING)


def _enough(open_: _Open) -> bool:
    left = len(open_.round.candidates)
    if left >= open_.terms.minimum:
        return True
    open_.fail(
        f"{left} contributors are left in training round {open_.round.training_round}"
        f" and the job asks for {open_.terms.minimum}"
    )
    return False


def _next_exponent(round_: TrainingRound) -> int:
    """One step of headroom above the largest update, not far from the last scale."""
    peaks = [made.peak_exponent for made in round_.commitments if made.org in round_.candidates]
    wanted = max(peaks) + 1
    near = min(max(wanted, round_.exponent - EXPONENT_STEP_MAX), round_.exponent + EXPONENT_STEP_MAX)
    return min(max(near, EXPONENT_MIN), EXPONENT_MAX)


def _close(open_: _Open, model: Digest, next_exponent: int) -> None:
    """Close the training round with its model; open the next one, or end the job."""
    number = open_.round.training_round
    open_.round = replace(open_.round, model=model)
    open_.move(Phase.CLOSED)
    open_.job = replace(open_.job, model=model)
    emit(open_.context, "closed", open_.id, number, model.hex())
    if number == open_.terms.rounds:
        open_.job = replace(open_.job, state=JobState.DONE)
        emit(open_.context, "done", open_.id, number, model.hex())
        open_.save()
        return
    open_.save()
    open_.job = replace(open_.job, training_round=number + 1)
    open_round(open_.context, open_.id, open_.terms, open_.job, next_exponent)
