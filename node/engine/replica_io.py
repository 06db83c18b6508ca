"""What a replica is told and what it asks for. The effects of one step are performed strictly in order."""

from dataclasses import dataclass

from node.base.ports import Silence, Writes
from node.base.types import CertifiedBlock, Digest, Heard, Height, OrgId, Receipt, Statement, Transaction


@dataclass(frozen=True, slots=True)
class Started:
    """The first input: chain, state and vote log are read, and agreement goes on where it was."""


@dataclass(frozen=True, slots=True)
class PeerSent:
    """A control message of an authenticated peer: the byte form of a `PeerMessage`, if the peer is honest."""

    peer: OrgId
    message: bytes


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A control link came up or went down."""

    peer: OrgId
    up: bool


@dataclass(frozen=True, slots=True)
class Submitted:
    """This member's own operator or scheduler wants the transactions in a block."""

    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """The block of `CommitBlock` is on disk; nothing else is given between the two."""

    height: Height


@dataclass(frozen=True, slots=True)
class HoldBlocks:
    """Whether blocks are not to be fetched now, because a snapshot is."""

    active: bool


@dataclass(frozen=True, slots=True)
class Rebased:
    """The store holds another block and state now, further on: everything is read anew."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The store keeps fewer blocks whole now: the chain's base is read anew, and told."""


@dataclass(frozen=True, slots=True)
class Tick:
    """`wake_at` has come."""


@dataclass(frozen=True, slots=True)
class HaltAt:
    """The operator's word: no block above this height is agreed on or applied; None ends the halt."""

    height: Height | None


@dataclass(frozen=True, slots=True)
class EndSilence:
    """The operator's word: sign from the next height on, though what was signed there is unknown."""


OwnInput = Submitted | LinkChanged | HaltAt | EndSilence | HoldBlocks | Rebased | Pruned
"""What does not come from a peer's bytes, the disk or the clock."""
Input = Started | PeerSent | Committed | Tick | OwnInput


@dataclass(frozen=True, slots=True)
class AppendVotes:
    """Write these, all of this height, to the vote log and sync once, before any later effect."""

    height: Height
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class KeepSilent:
    """Write the silence into the vote log, synced, before any later effect."""

    silence: Silence


@dataclass(frozen=True, slots=True)
class Send:
    """Queue one control message; it may be lost."""

    peer: OrgId
    message: bytes


@dataclass(frozen=True, slots=True)
class CommitBlock:
    """Write the block, its receipts and its writes in one transaction; then give `Committed`."""

    certified: CertifiedBlock
    receipts: tuple[Receipt, ...]
    writes: Writes
    durable: bool
    """Whether to sync it. Not in the middle of a fetched row: nothing is signed before the row's end is durable."""


@dataclass(frozen=True, slots=True)
class SyncBlocks:
    """Make the committed blocks durable before any later effect: a fetched row ended before its last block."""


@dataclass(frozen=True, slots=True)
class PeerFault:
    """A peer did what no correct member does."""

    peer: OrgId
    reason: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """A submitted transaction waits for a block now."""

    transaction: Digest


@dataclass(frozen=True, slots=True)
class Refused:
    """A transaction does not wait, or one that waited will not be included."""

    transaction: Digest
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class HeardFrom:
    """A peer is making progress in a training round."""

    peer: OrgId
    heard: Heard


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """Submit to the ledger, as this member, that somebody signed these two different statements."""

    first: Statement
    second: Statement


Effect = (
    AppendVotes
    | KeepSilent
    | Send
    | CommitBlock
    | SyncBlocks
    | PeerFault
    | Admitted
    | Refused
    | HeardFrom
    | ReportEvidence
)
