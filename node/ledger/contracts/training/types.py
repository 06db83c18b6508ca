"""What members ask of the contract, and what it keeps: payloads, jobs, training rounds."""

import enum
from dataclasses import dataclass

from node.base.types import Digest, Height, OrgId

NAME_CHARACTERS_MAX = 100
REASON_CHARACTERS_MAX = 300
RECIPE_BYTES_MAX = 32 << 10
PARTICIPANTS_MAX = 64
ROUNDS_MAX = 100_000
ROWS_MAX = 10**12
USED_MAX = 16
DEADLINE_MS_MIN = 200
DEADLINE_MS_MAX = 3_600_000
WEIGHT_CAP_PERMILLE_MAX = 1_000_000
EXPONENT_MIN = -40
EXPONENT_MAX = 40
EXPONENT_STEP_MAX = 3
"""How far the scale moves from one training round to the next: one member's lie cannot blind the others at once."""
LEAF_VALUES = 256
"""Values in one leaf: 1 KiB as int32."""
MODEL_VALUES_MAX = 1 << 28


class JobState(enum.IntEnum):
    """Where a job stands."""

    PROPOSED = 1
    PREPARING = 2
    TRAINING = 3
    DONE = 4
    FAILED = 5
    REFUSED = 6
    WITHDRAWN = 7


class Phase(enum.IntEnum):
    """Where a training round stands. Training round 0 goes from `COMMITTING` over `PREPARING` to `CLOSED`."""

    COMMITTING = 1
    PREPARING = 2
    REDUCING = 3
    CLOSING = 4
    CLOSED = 5


@dataclass(frozen=True, slots=True)
class JobTerms:
    """`propose`: what is to be trained, by whom, under which rules. The job's id is the transaction's digest."""

    name: str
    participants: tuple[OrgId, ...]
    """Ascending; empty means all members at the time of the proposal."""
    rounds: int
    minimum: int
    """Fewest contributors of a training round; with fewer the job fails."""
    recipe: bytes
    """For the learner; opaque here."""
    exponent: int = 2
    """Updates of training round 1 lie in [-2^e, 2^e); later exponents follow what was declared."""
    progress_deadline_ms: int = 5_000
    """A member without a byte or heartbeat for this long may be called late."""
    weight_cap_permille: int = 1_500
    """No member's share of the weight exceeds this over 1000 n."""


@dataclass(frozen=True, slots=True)
class Used:
    """A registered data set that a participant trains on."""

    data: str
    """`owner/name`."""
    version: int
    basis: Digest | None
    """What lets it: a granted request, or an `authorize` of sharing. None for its own data."""


@dataclass(frozen=True, slots=True)
class Approve:
    """`approve`: a participant takes part, with a data set of so many training rows."""

    job: Digest
    data: Digest
    """The salted commitment of the data; of a registered data set the fingerprint that the ledger has of it."""
    rows: int
    used: tuple[Used, ...] = ()
    """Ascending by name and version; empty where the rows are no registered data set."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """`refuse`: a participant does not take part, which ends the job."""

    job: Digest
    why: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """`withdraw`: the proposer takes back what not all have approved yet."""

    job: Digest


@dataclass(frozen=True, slots=True)
class Commit:
    """`commit`: root of the salted leaves of an update; in training round 0 the salted digest of the statistics."""

    job: Digest
    training_round: int
    root: Digest
    peak_exponent: int
    """The smallest p with every |value| < 2^p, before clipping."""
    clipped: int
    """Values that did not fit the scale."""


@dataclass(frozen=True, slots=True)
class Late:
    """`late`: no byte or heartbeat from `member` for one deadline. Signed by the member itself it gives up at once."""

    job: Digest
    training_round: int
    phase: Phase
    attempt: int
    member: OrgId


@dataclass(frozen=True, slots=True)
class Missing:
    """`missing`: what `member` committed to cannot be got, neither from it nor over others."""

    job: Digest
    training_round: int
    attempt: int
    member: OrgId


@dataclass(frozen=True, slots=True)
class Prepared:
    """`prepared`: what a member derived from the candidates' statistics."""

    job: Digest
    attempt: int
    preparation: Digest
    model: Digest
    length: int
    """Values in the flat model."""


@dataclass(frozen=True, slots=True)
class Unable:
    """`unable`: the candidates' statistics give no preparation; the learner is deterministic, so all say the same."""

    job: Digest
    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class Reduced:
    """`reduced`: a reducer holds all inputs of a range, its copy as second, and the sum with this root."""

    job: Digest
    training_round: int
    attempt: int
    range_index: int
    root: Digest


@dataclass(frozen=True, slots=True)
class Have:
    """`have`: the new model is on this member's disk and its checks passed."""

    job: Digest
    training_round: int
    model: Digest


@dataclass(frozen=True, slots=True)
class Present:
    """`present`: a member that was late is back and joins the next training round."""

    job: Digest


@dataclass(frozen=True, slots=True)
class Proposed:
    """Kept once per job, never rewritten."""

    terms: JobTerms
    """With the participants filled in."""
    proposer: OrgId
    height: Height
    time_ms: int


@dataclass(frozen=True, slots=True)
class Approval:
    """One participant's consent."""

    org: OrgId
    data: Digest
    rows: int
    used: tuple[Used, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A participant that may no longer use the data that it approved with: it trains in no later cohort."""

    org: OrgId
    why: str


@dataclass(frozen=True, slots=True)
class Job:
    """The changing part of a job."""

    state: JobState
    reason: str
    """Why it failed or was refused, else empty."""
    approvals: tuple[Approval, ...]
    """In order of arrival until the job starts, then in the order of the participants."""
    weights: tuple[int, ...]
    """Per participant, in their order; empty until the last approval."""
    started: Height
    """The height of the last approval; 0 before."""
    training_round: int
    absent: tuple[OrgId, ...]
    """Participants that the next cohort leaves out."""
    left_out: tuple[LeftOut, ...]
    """And those that no cohort takes any more."""
    preparation: Digest | None
    length: int
    """Values in the flat model; 0 until training round 0 is closed."""
    model: Digest | None
    """The last closed training round's model."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """One member's commit."""

    org: OrgId
    root: Digest
    peak_exponent: int
    clipped: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """One member's word against another's."""

    member: OrgId
    by: OrgId


@dataclass(frozen=True, slots=True)
class LeafRange:
    """Who sums the leaves [start, stop), and who takes over."""

    start: int
    stop: int
    reducer: OrgId
    second: OrgId
    """The reducer itself where no other candidate is left."""
    root: Digest | None
    """Of the result's leaves, once reported for the current attempt."""


@dataclass(frozen=True, slots=True)
class PreparedBy:
    """One member's `prepared`; zeros for `unable`."""

    org: OrgId
    preparation: Digest
    model: Digest
    length: int


@dataclass(frozen=True, slots=True)
class HaveBy:
    """One member's `have`."""

    org: OrgId
    model: Digest


@dataclass(frozen=True, slots=True)
class TrainingRound:
    """One training round of one job."""

    training_round: int
    phase: Phase
    attempt: int
    """Grows with every candidate that is dropped; reports of an older attempt do not count."""
    cohort: tuple[OrgId, ...]
    exponent: int
    base: Digest
    """The model it starts from; zero in training round 0."""
    opened_ms: int
    commitments: tuple[Commitment, ...]
    lates: tuple[Complaint, ...]
    missing: tuple[Complaint, ...]
    candidates: tuple[OrgId, ...]
    """Ascending. From `CLOSING` on they are the contributors."""
    dropped: tuple[OrgId, ...]
    ranges: tuple[LeafRange, ...]
    prepared: tuple[PreparedBy, ...]
    haves: tuple[HaveBy, ...]
    conflicts: tuple[HaveBy, ...]
    """Second, different `have`s of one member: evidence, not counted."""
    model: Digest | None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """The body of every event of this contract."""

    job: Digest
    training_round: int
    detail: str


def quorum(count: int) -> int:
    """Strictly more than two thirds: floor(2c/3) + 1."""
    return 2 * count // 3 + 1


def more_than_third(count: int) -> int:
    """At least one honest member among that many: floor(c/3) + 1."""
    return count // 3 + 1


def leaf_count(length: int) -> int:
    """Leaves of a flat model of `length` values; the last is filled up with zeros."""
    return -(-length // LEAF_VALUES)
