"""When a member takes over a snapshot instead of blocks, from whom, and which chunk it asks of whom.

`machine` the pure machine. Whether a head or a chunk is true is found out by who performs; here only the answer counts.
"""

from node.core.sync.machine import (
    CHUNKS_PER_PEER_MAX,
    Ask,
    Discard,
    Effect,
    Failed,
    Fetch,
    Hold,
    Input,
    Install,
    Installed,
    Offer,
    Offered,
    Open,
    Opened,
    PeerFault,
    Standing,
    Stored,
    Sync,
    Tick,
)

__all__ = [
    "CHUNKS_PER_PEER_MAX",
    "Ask",
    "Discard",
    "Effect",
    "Failed",
    "Fetch",
    "Hold",
    "Input",
    "Install",
    "Installed",
    "Offer",
    "Offered",
    "Open",
    "Opened",
    "PeerFault",
    "Standing",
    "Stored",
    "Sync",
    "Tick",
]
