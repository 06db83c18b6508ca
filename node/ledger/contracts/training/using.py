"""Whether participants may train on the registered data sets that they approved with: asked anew at each opening.

A withdrawn or expired agreement, a revoked grant and a withdrawn authorisation never stand again, so whoever is left
out stays out.
"""

from dataclasses import replace

from node.base.types import Digest, OrgId, data_owner
from node.ledger.contracts import access, sharing
from node.ledger.contracts.agreements import Operation
from node.ledger.contracts.contract import Context, Readable, Rejected
from node.ledger.contracts.training.store import emit
from node.ledger.contracts.training.types import USED_MAX, Job, LeftOut, Used


def why_not_used(ledger: Readable, used: tuple[Used, ...], org: OrgId, *, time_ms: int) -> str | None:
    """Why the member may not train on these data sets at this time; None if it may."""
    for one in used:
        if one.basis is None:
            continue
        why = access.why_not_usable(ledger, one.basis, org, one.data, Operation.TRAIN, time_ms=time_ms)
        if why is not None:
            return f"{one.data}: {why}"
    return None


def check_used(context: Context, used: tuple[Used, ...]) -> None:
    """Refuse an approval with data sets that do not exist, or that the caller may not train on."""
    names = [(one.data, one.version) for one in used]
    if len(used) > USED_MAX or names != sorted(set(names)):
        raise Rejected("bad-used", f"name at most {USED_MAX} data sets, each once, in ascending order")
    for one in used:
        if sharing.version(context.other(sharing.NAME), one.data, one.version) is None:
            raise Rejected("unknown-data", "no such version of this data set is registered; list the data sets")
        if one.basis is None and data_owner(one.data) != context.org:
            raise Rejected("no-basis", "the data set is another's: name the grant that lets you train on it")
    if (why := why_not_used(context.ledger, used, context.org, time_ms=context.time_ms)) is not None:
        raise Rejected("not-usable", why)


def leave_out(context: Context, id_: Digest, job: Job) -> Job:
    """The job without those who may no longer use their data; an event for each says why."""
    out = {left.org for left in job.left_out}
    for approval in job.approvals:
        if approval.org in out:
            continue
        why = why_not_used(context.ledger, approval.used, approval.org, time_ms=context.time_ms)
        if why is None:
            continue
        absent = tuple(org for org in job.absent if org != approval.org)
        job = replace(job, absent=absent, left_out=(*job.left_out, LeftOut(approval.org, why)))
        emit(context, "left-out", id_, job.training_round, f"{approval.org}: {why}")
    return job
