"""Agreement on the next block: QBFT (Moniz, arXiv 2002.03613), one instance per height, as a pure `step`.

`consensus` the machine; `inputs` and `effects` what goes in and comes out; `pen` what this member signs and never
signs twice; `votes` what the others signed, bounded; `justification` the checks of proposals; `standing` what an
operator is told.
"""

from node.core.consensus.consensus import ROUND_MAX, Consensus
from node.core.consensus.effects import (
    Broadcast,
    Build,
    Decide,
    Effect,
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
    StartHeight,
    Tick,
    WorkAvailable,
    height_of,
)
from node.core.consensus.standing import Standing

__all__ = [
    "ROUND_MAX",
    "Broadcast",
    "Build",
    "Built",
    "Consensus",
    "ConsensusMessage",
    "Decide",
    "Effect",
    "ExecuteBlock",
    "ExecuteProposal",
    "Executed",
    "Input",
    "Overtaken",
    "PeerFault",
    "PeerLinked",
    "PersistVotes",
    "Received",
    "Restored",
    "SendTo",
    "Standing",
    "StartHeight",
    "Tick",
    "WorkAvailable",
    "height_of",
]
