"""Where the contract keeps its records, and reading them for the members, the operator's API and the command line."""

from collections.abc import Iterator
from dataclasses import dataclass

from node.base.codec import decode, encode
from node.base.types import Digest, Height, OrgId
from node.ledger.contracts.contract import Context, View
from node.ledger.contracts.training.types import (
    Approval,
    Job,
    JobEvent,
    JobState,
    JobTerms,
    LeftOut,
    Phase,
    Proposed,
    TrainingRound,
)

CONTRACT = "training"


@dataclass(frozen=True, slots=True)
class JobView:
    """Everything that a person wants to know of a job."""

    id: Digest
    name: str
    state: JobState
    reason: str
    proposer: OrgId
    proposed: Height
    started: Height
    terms: JobTerms
    approvals: tuple[Approval, ...]
    weights: tuple[int, ...]
    """In the order of `terms.participants`; empty until all have approved."""
    absent: tuple[OrgId, ...]
    left_out: tuple[LeftOut, ...]
    training_round: int
    preparation: Digest | None
    length: int
    model: Digest | None
    current: TrainingRound | None
    """The open training round, or the last one."""

    @property
    def active(self) -> bool:
        """Whether its participants have work to do."""
        return self.state in (JobState.PREPARING, JobState.TRAINING)

    @property
    def phase(self) -> Phase | None:
        """The open training round's phase."""
        return self.current.phase if self.current is not None else None

    def weight(self, org: OrgId) -> int:
        """A participant's weight in every sum. Raises `ValueError` for others and before the start."""
        return self.weights[self.terms.participants.index(org)]


def job(view: View, id_: Digest) -> JobView | None:
    """One job, as the last block left it. `view` is the part of the contract `training`."""
    proposed = view.load(Proposed, proposed_key(id_))
    found = view.load(Job, job_key(id_))
    if proposed is None or found is None:
        return None
    return _job_view(view, id_, proposed, found)


def jobs(view: View) -> list[JobView]:
    """All jobs, in the order of their ids."""
    found = []
    for key, value in view.scan("job/"):
        id_ = Digest(bytes.fromhex(key.removeprefix("job/")))
        proposed = view.load(Proposed, proposed_key(id_))
        assert proposed is not None, "a job without its terms"
        found.append(_job_view(view, id_, proposed, decode(Job, value)))
    return found


def active_jobs(view: View) -> list[JobView]:
    """The jobs whose participants have work to do, in the order in which they started."""
    ids = [
        Digest(bytes.fromhex(key.removeprefix("job/")))
        for key, value in view.scan("job/")
        if decode(Job, value).state in (JobState.PREPARING, JobState.TRAINING)
    ]
    found = [job(view, id_) for id_ in ids]
    return sorted((one for one in found if one is not None), key=lambda one: (one.started, one.id))


def training_round(view: View, id_: Digest, number: int) -> TrainingRound | None:
    """One training round's record; 0 is the preparation."""
    return view.load(TrainingRound, round_key(id_, number))


def training_rounds(view: View, id_: Digest) -> Iterator[TrainingRound]:
    """All training rounds of a job so far, ascending."""
    for _, value in view.scan(f"round/{id_.hex()}/"):
        yield decode(TrainingRound, value)


def _job_view(view: View, id_: Digest, proposed: Proposed, found: Job) -> JobView:
    return JobView(
        id=id_,
        name=proposed.terms.name,
        state=found.state,
        reason=found.reason,
        proposer=proposed.proposer,
        proposed=proposed.height,
        started=found.started,
        terms=proposed.terms,
        approvals=found.approvals,
        weights=found.weights,
        absent=found.absent,
        left_out=found.left_out,
        training_round=found.training_round,
        preparation=found.preparation,
        length=found.length,
        model=found.model,
        current=training_round(view, id_, found.training_round),
    )


def proposed_key(id_: Digest) -> str:
    """Where a job's terms stand."""
    return f"proposed/{id_.hex()}"


def job_key(id_: Digest) -> str:
    """Where a job stands."""
    return f"job/{id_.hex()}"


def round_key(id_: Digest, number: int) -> str:
    """Where a training round stands; the padding keeps the order of keys that of the numbers."""
    return f"round/{id_.hex()}/{number:06d}"


def emit(context: Context, name: str, id_: Digest, number: int, detail: str = "") -> None:
    """Tell schedulers and operators what happened; the body is a `JobEvent`."""
    context.emit(name, encode(JobEvent(id_, number, detail)))
