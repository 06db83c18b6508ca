"""What travels between members beside votes: tips, blocks for those who are behind, transactions, missing bodies.

`gossip` the machine; `catch_up` whom to ask for blocks; `bodies` whom to ask for transactions that a proposal names;
`outbox` who gets a new transaction from this member.
Whether a block is true is for others to say; here it is only fetched.
"""

from node.core.gossip.catch_up import BLOCKS_PER_REQUEST_MAX
from node.core.gossip.gossip import (
    Advanced,
    Apply,
    BlockRefused,
    BlocksReceived,
    Effect,
    Gossip,
    Held,
    Input,
    Linked,
    NewTransactions,
    PeerFault,
    Send,
    SendPending,
    Tick,
    TipReceived,
    Wanted,
)
from node.core.gossip.outbox import batches, message_of

__all__ = [
    "BLOCKS_PER_REQUEST_MAX",
    "Advanced",
    "Apply",
    "BlockRefused",
    "BlocksReceived",
    "Effect",
    "Gossip",
    "Held",
    "Input",
    "Linked",
    "NewTransactions",
    "PeerFault",
    "Send",
    "SendPending",
    "Tick",
    "TipReceived",
    "Wanted",
    "batches",
    "message_of",
]
