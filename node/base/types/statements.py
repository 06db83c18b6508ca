"""One signed word of a member about one height and round, cut down to what its signature covers: for evidence."""

from dataclasses import dataclass
from typing import assert_never

from node.base.types.agreement import (
    RoundChange,
    Vote,
    VoteKind,
    round_change_signing_bytes,
    vote_signing_bytes,
)
from node.base.types.names import ZERO_DIGEST, Digest, Height, OrgId, Signature
from node.base.types.proposals import Proposal


@dataclass(frozen=True, slots=True)
class Statement:
    """What `org` signed. Two of one member, kind, height and round that sign different bytes prove a fault."""

    kind: VoteKind
    org: OrgId
    height: Height
    round: int
    block: Digest
    """Zero for a round change."""
    prepared_round: int | None
    """Of a round change, as it was signed; None for the other kinds."""
    prepared: Digest | None
    signature: Signature


def statement_of(message: Proposal | Vote | RoundChange) -> Statement:
    """The statement that a message makes."""
    match message:
        case Proposal():
            return statement_of(message.prepare)
        case Vote():
            return Statement(
                message.kind, message.org, message.height, message.round, message.block, None, None, message.signature
            )
        case RoundChange():
            return Statement(
                VoteKind.ROUND_CHANGE,
                message.org,
                message.height,
                message.round,
                ZERO_DIGEST,
                message.prepared_round,
                message.prepared,
                message.signature,
            )
        case _:
            assert_never(message)


def statement_signing_bytes(chain: Digest, statement: Statement) -> bytes:
    """What the signature must cover. Statements are told apart by these bytes alone, never by their fields."""
    if statement.kind is VoteKind.ROUND_CHANGE:
        return round_change_signing_bytes(
            chain, statement.height, statement.round, statement.prepared_round, statement.prepared
        )
    return vote_signing_bytes(chain, statement.kind, statement.height, statement.round, statement.block)
