"""Agreement on the next block: QBFT (Moniz, arXiv 2002.03613), one instance per height, as a pure `step`.

`consensus` the machine, on its layers: `agreement` what it knows of one height, `seat` what they share, `rounds` which
round and how long, `blocks` what this member proposes, prepares, commits and decides, `messages` what the others say;
`inputs` and `effects` what goes in and comes out; `pen` what this member signs and never signs twice; `votes` what the
others signed, bounded; `justification` the checks of proposals; `standing` what an operator is told; `witness` who
signed two different statements; `reports` when such a proof goes to the ledger; `recovery` from which height on a
member that lost its vote log may sign again.
"""

from node.core.consensus.consensus import Consensus
from node.core.consensus.effects import (
    Broadcast,
    Build,
    Decide,
    Effect,
    Equivocated,
    ExecuteBlock,
    ExecuteProposal,
    PeerFault,
    PersistVotes,
    SendTo,
)
from node.core.consensus.inputs import (
    Built,
    ConsensusMessage,
    Executed,
    Input,
    Overtaken,
    PeerLinked,
    Received,
    Restored,
    SignFrom,
    StartHeight,
    Tick,
    ToldOf,
    WorkAvailable,
    height_of,
)
from node.core.consensus.recovery import (
    ABOVE_TIP,
    Advanced,
    Answered,
    Ask,
    AskAgain,
    Concluded,
    FalseTip,
    Linked,
    MembersAt,
    Recovery,
    RecoveryEffect,
    RecoveryInput,
)
from node.core.consensus.reports import Reports
from node.core.consensus.rounds import ROUND_MAX
from node.core.consensus.standing import Standing

__all__ = [
    "ABOVE_TIP",
    "ROUND_MAX",
    "Advanced",
    "Answered",
    "Ask",
    "AskAgain",
    "Broadcast",
    "Build",
    "Built",
    "Concluded",
    "Consensus",
    "ConsensusMessage",
    "Decide",
    "Effect",
    "Equivocated",
    "ExecuteBlock",
    "ExecuteProposal",
    "Executed",
    "FalseTip",
    "Input",
    "Linked",
    "MembersAt",
    "Overtaken",
    "PeerFault",
    "PeerLinked",
    "PersistVotes",
    "Received",
    "Recovery",
    "RecoveryEffect",
    "RecoveryInput",
    "Reports",
    "Restored",
    "SendTo",
    "SignFrom",
    "Standing",
    "StartHeight",
    "Tick",
    "ToldOf",
    "WorkAvailable",
    "height_of",
]
