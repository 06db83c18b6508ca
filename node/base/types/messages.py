"""What members send each other on the control connection: small, bounded, each with a right to be sent or not.

Bulk (leaves, models, statistics) goes as requests and chunks on a connection of its own and is not here.
"""

from dataclasses import dataclass

from node.base.types.agreement import Certificate, RoundChange, Vote
from node.base.types.ledger import Transaction
from node.base.types.names import FIRST_HEIGHT, Digest, Height
from node.base.types.proposals import CertifiedBlock, PreparedBlock, Proposal
from node.base.types.statements import Statement


@dataclass(frozen=True, slots=True)
class Tip:
    """How far the sender's chain goes; sent on connection, after each block, and in answer to a stale vote."""

    height: Height
    head: Digest
    base: Height = FIRST_HEIGHT
    """The lowest block that the sender can serve; above the height where it has none."""


@dataclass(frozen=True, slots=True)
class BlocksRequest:
    """Asks for certified blocks from `start` on, ascending."""

    start: Height
    count: int


@dataclass(frozen=True, slots=True)
class BlocksResponse:
    """Certified blocks in ascending order; fewer than asked where the size or the chain ends."""

    start: Height
    blocks: tuple[CertifiedBlock, ...]


@dataclass(frozen=True, slots=True)
class BodiesRequest:
    """Asks for transactions that a proposal names and the sender does not hold."""

    ids: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class BodiesResponse:
    """The transactions of the request that the answerer holds."""

    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """A sign of progress in a training round; whoever receives it will not call the sender late yet."""

    job: Digest
    training_round: int
    phase: str
    detail: str
    """For people: `epoch 3 of 5, loss 0.412`."""


@dataclass(frozen=True, slots=True)
class TipRequest:
    """Asks how far the answerer is, by a member whose vote log is missing."""

    nonce: Digest
    """New at each start: an answer to an earlier one must not count."""


@dataclass(frozen=True, slots=True)
class CertifiedTip:
    """The answer to a `TipRequest`: the answerer's last block, and the commits that made it final; at height 0 none."""

    nonce: Digest
    height: Height
    head: Digest
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Transactions:
    """Transactions that wait for a block, on their way to every member."""

    forms: tuple[bytes, ...]
    """The byte form of a `Transaction` each: one that waits already is known without decoding it."""


PeerMessage = (
    Proposal
    | Vote
    | RoundChange
    | Transactions
    | Tip
    | BlocksRequest
    | BlocksResponse
    | BodiesRequest
    | BodiesResponse
    | Heard
    | PreparedBlock
    | TipRequest
    | CertifiedTip
    | Statement
)
"""Everything that can stand in a control frame. The order is the wire's: append only."""
