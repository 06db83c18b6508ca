"""The mempool: the bounded set of transactions that wait for a block."""

from node.core.mempool.mempool import (
    Admitted,
    Committed,
    Effect,
    Input,
    Limits,
    Mempool,
    PeerFault,
    Received,
    Refused,
    Submitted,
    Tick,
)

__all__ = [
    "Admitted",
    "Committed",
    "Effect",
    "Input",
    "Limits",
    "Mempool",
    "PeerFault",
    "Received",
    "Refused",
    "Submitted",
    "Tick",
]
