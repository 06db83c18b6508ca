"""A job before and around its training rounds: proposed, approved, refused, withdrawn; members that come back."""

from dataclasses import replace

from node.base.types import Digest, OrgId
from node.ledger.contracts.contract import Context, Rejected, is_text
from node.ledger.contracts.training.rounds import open_round
from node.ledger.contracts.training.store import emit, job_key, proposed_key
from node.ledger.contracts.training.types import (
    DEADLINE_MS_MAX,
    DEADLINE_MS_MIN,
    EXPONENT_MAX,
    EXPONENT_MIN,
    NAME_CHARACTERS_MAX,
    PARTICIPANTS_MAX,
    REASON_CHARACTERS_MAX,
    RECIPE_BYTES_MAX,
    ROUNDS_MAX,
    ROWS_MAX,
    WEIGHT_CAP_PERMILLE_MAX,
    Approval,
    Approve,
    Job,
    JobState,
    JobTerms,
    Present,
    Proposed,
    Refuse,
    Withdraw,
)
from node.ledger.contracts.training.using import check_used
from node.ledger.contracts.training.weights import weights_of


def propose(context: Context, terms: JobTerms) -> None:
    """Any member may propose, also a job that it takes no part in."""
    if context.org not in context.members.keys:
        raise Rejected("not-member", "only a member proposes a job")
    terms = replace(terms, participants=terms.participants or context.members.orgs)
    for code, holds, reason in _conditions(context, terms):
        if not holds:
            raise Rejected(code, reason)
    id_ = context.transaction
    context.store(proposed_key(id_), Proposed(terms, context.org, context.height, context.time_ms))
    context.store(job_key(id_), Job(JobState.PROPOSED, "", (), (), context.height, 0, (), (), None, 0, None))
    emit(context, "proposed", id_, 0, terms.name)


def _conditions(context: Context, terms: JobTerms) -> list[tuple[str, bool, str]]:
    orgs = terms.participants
    name_fits = bool(terms.name) and is_text(terms.name, NAME_CHARACTERS_MAX)
    known = all(org in context.members.keys for org in orgs)
    return [
        ("bad-name", name_fits, f"name the job in 1 to {NAME_CHARACTERS_MAX} printable characters"),
        ("bad-participants", orgs == tuple(sorted(set(orgs))), "list each participant once, in ascending order"),
        ("bad-participants", 0 < len(orgs) <= PARTICIPANTS_MAX, f"a job has 1 to {PARTICIPANTS_MAX} participants"),
        ("not-member", known, "every participant must be a member of the network"),
        ("bad-rounds", 1 <= terms.rounds <= ROUNDS_MAX, f"ask for 1 to {ROUNDS_MAX} training rounds"),
        ("bad-minimum", 1 <= terms.minimum <= len(orgs), "the minimum is between 1 and the number of participants"),
        ("bad-recipe", len(terms.recipe) <= RECIPE_BYTES_MAX, f"a recipe has at most {RECIPE_BYTES_MAX} bytes"),
        (
            "bad-exponent",
            EXPONENT_MIN <= terms.exponent <= EXPONENT_MAX,
            f"the exponent is between {EXPONENT_MIN} and {EXPONENT_MAX}",
        ),
        (
            "bad-deadline",
            DEADLINE_MS_MIN <= terms.progress_deadline_ms <= DEADLINE_MS_MAX,
            f"the progress deadline is between {DEADLINE_MS_MIN} and {DEADLINE_MS_MAX} milliseconds",
        ),
        (
            "bad-cap",
            1000 <= terms.weight_cap_permille <= WEIGHT_CAP_PERMILLE_MAX,
            "the weight cap is at least 1000, which weighs all alike",
        ),
    ]


def approve(context: Context, asked: Approve) -> None:
    """A participant takes part; with the last approval the weights are fixed and training round 0 opens."""
    proposed, job = _proposed_for(context, asked.job)
    if any(approval.org == context.org for approval in job.approvals):
        raise Rejected("already", "you have approved this job; it starts when all participants have")
    if not 1 <= asked.rows <= ROWS_MAX:
        raise Rejected("bad-rows", f"a data set has 1 to {ROWS_MAX} training rows")
    check_used(context, asked.used)
    job = replace(job, approvals=(*job.approvals, Approval(context.org, asked.data, asked.rows, asked.used)))
    emit(context, "approved", asked.job, 0, context.org)
    if len(job.approvals) < len(proposed.terms.participants):
        context.store(job_key(asked.job), job)
        return
    ordered = tuple(sorted(job.approvals, key=lambda approval: approval.org))
    weights = weights_of([approval.rows for approval in ordered], proposed.terms.weight_cap_permille)
    job = replace(
        job, state=JobState.PREPARING, approvals=ordered, weights=weights, started=context.height, training_round=0
    )
    open_round(context, asked.job, proposed.terms, job)


def refuse(context: Context, asked: Refuse) -> None:
    """A participant does not take part: the job ends before it begins."""
    _, job = _proposed_for(context, asked.job)
    if not is_text(asked.why, REASON_CHARACTERS_MAX):
        raise Rejected("bad-reason", f"give the reason in at most {REASON_CHARACTERS_MAX} printable characters")
    reason = f"{context.org} refused: {asked.why}" if asked.why else f"{context.org} refused"
    context.store(job_key(asked.job), replace(job, state=JobState.REFUSED, reason=reason))
    emit(context, "refused", asked.job, 0, reason)


def withdraw(context: Context, asked: Withdraw) -> None:
    """The proposer takes the job back while somebody has yet to approve it."""
    proposed, job = _load(context, asked.job)
    if context.org != proposed.proposer:
        raise Rejected("not-proposer", f"only {proposed.proposer}, who proposed the job, withdraws it")
    if job.state is not JobState.PROPOSED:
        raise Rejected("wrong-state", f"the job is {job.state.name.lower()}; only a proposed job can be withdrawn")
    context.store(job_key(asked.job), replace(job, state=JobState.WITHDRAWN, reason="withdrawn by its proposer"))
    emit(context, "withdrawn", asked.job, 0)


def present(context: Context, asked: Present) -> None:
    """A member that was late joins the next cohort."""
    proposed, job = _load(context, asked.job)
    _require_participant(proposed, context.org)
    if job.state not in (JobState.PREPARING, JobState.TRAINING):
        raise Rejected("wrong-state", f"the job is {job.state.name.lower()}; there is no training round to join")
    if any(left.org == context.org for left in job.left_out):
        raise Rejected("left-out", "the data that you approved with may no longer be used; only a new job takes other")
    if context.org not in job.absent:
        raise Rejected("already", "you are not absent: the next training round counts on you")
    absent = tuple(org for org in job.absent if org != context.org)
    context.store(job_key(asked.job), replace(job, absent=absent))
    emit(context, "present", asked.job, job.training_round, context.org)


def _proposed_for(context: Context, id_: Digest) -> tuple[Proposed, Job]:
    proposed, job = _load(context, id_)
    _require_participant(proposed, context.org)
    if job.state is not JobState.PROPOSED:
        raise Rejected("wrong-state", f"the job is {job.state.name.lower()} and takes no more answers")
    return proposed, job


def _load(context: Context, id_: Digest) -> tuple[Proposed, Job]:
    proposed, job = context.load(Proposed, proposed_key(id_)), context.load(Job, job_key(id_))
    if proposed is None or job is None:
        raise Rejected("unknown-job", "no job has this id; list the jobs to see theirs")
    return proposed, job


def _require_participant(proposed: Proposed, org: OrgId) -> None:
    if org not in proposed.terms.participants:
        raise Rejected("not-participant", "the job's terms do not name you as a participant")
