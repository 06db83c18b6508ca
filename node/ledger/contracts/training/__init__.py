"""Training jobs on the ledger: proposed, approved by every participant, trained round by round, done.

`jobs` a job before and around its training rounds; `rounds` the phases of one; `weights` whole numbers from rows;
`using` whether registered data sets may be trained on; `types` what is asked and kept; `store` where it is kept, and
the views of it.

=============================  =================================================
key                            value
=============================  =================================================
``proposed/<job>``             `Proposed`: terms, proposer; never rewritten
``job/<job>``                  `Job`: state, weights, absent members, last model
``round/<job>/<number>``       `TrainingRound`
=============================  =================================================
"""

from node.ledger.contracts.contract import Contract, Method
from node.ledger.contracts.training.jobs import approve, present, propose, refuse, withdraw
from node.ledger.contracts.training.rounds import commit, companions, have, late, missing, prepared, reduced, unable
from node.ledger.contracts.training.store import (
    CONTRACT,
    JobView,
    active_jobs,
    job,
    jobs,
    training_round,
    training_rounds,
)
from node.ledger.contracts.training.types import (
    REASON_CHARACTERS_MAX,
    Approval,
    Approve,
    Commit,
    Commitment,
    Complaint,
    Have,
    HaveBy,
    JobEvent,
    JobState,
    JobTerms,
    Late,
    LeafRange,
    LeftOut,
    Missing,
    Phase,
    Prepared,
    PreparedBy,
    Present,
    Reduced,
    Refuse,
    TrainingRound,
    Unable,
    Used,
    Withdraw,
    leaf_count,
    more_than_third,
    quorum,
)
from node.ledger.contracts.training.using import why_not_used

TRAINING = Contract(
    CONTRACT,
    {
        "propose": Method(JobTerms, propose),
        "withdraw": Method(Withdraw, withdraw),
        "approve": Method(Approve, approve),
        "refuse": Method(Refuse, refuse),
        "present": Method(Present, present),
        "commit": Method(Commit, commit, companions),
        "late": Method(Late, late),
        "missing": Method(Missing, missing),
        "prepared": Method(Prepared, prepared, companions),
        "unable": Method(Unable, unable),
        "reduced": Method(Reduced, reduced, companions),
        "have": Method(Have, have, companions),
    },
)

__all__ = [
    "CONTRACT",
    "REASON_CHARACTERS_MAX",
    "TRAINING",
    "Approval",
    "Approve",
    "Commit",
    "Commitment",
    "Complaint",
    "Have",
    "HaveBy",
    "JobEvent",
    "JobState",
    "JobTerms",
    "JobView",
    "Late",
    "LeafRange",
    "LeftOut",
    "Missing",
    "Phase",
    "Prepared",
    "PreparedBy",
    "Present",
    "Reduced",
    "Refuse",
    "TrainingRound",
    "Unable",
    "Used",
    "Withdraw",
    "active_jobs",
    "job",
    "jobs",
    "leaf_count",
    "more_than_third",
    "quorum",
    "training_round",
    "training_rounds",
    "why_not_used",
]
