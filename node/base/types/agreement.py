"""What members sign when they agree: proposals, votes, round changes, certificates (QBFT, arXiv 2002.03613).

Every signature covers a fixed layout: tag, chain, kind, height, round, digest; a round change also its prepared
round and digest, or an explicit none. A proposal is signed as its proposer's prepare: who proposes a block prepares it.
"""

import enum
import struct
from dataclasses import dataclass

from node.base.codec import encode
from node.base.crypto import digest
from node.base.types.names import Digest, Height, OrgId, Signature

_LAYOUT = struct.Struct(">13s32sBqq32s")
_TAG = b"lepton/vote\x00\x01"


class VoteKind(enum.IntEnum):
    """The kinds of signed statement at one height; a signature of one never counts as another.

    The numbers are signed, so they stay what they are; 1 was a proposal's, when it was signed besides its prepare.
    """

    PREPARE = 2
    COMMIT = 3
    ROUND_CHANGE = 4


def vote_signing_bytes(chain: Digest, kind: VoteKind, height: int, round_: int, block: Digest) -> bytes:
    """What a prepare or commit signs, and a proposal, which is a prepare."""
    return _LAYOUT.pack(_TAG, chain, kind.value, height, round_, block)


def round_change_signing_bytes(
    chain: Digest, height: int, round_: int, prepared_round: int | None, prepared: Digest | None
) -> bytes:
    """What a round change signs: the round it asks for, and what the member has prepared, or an explicit none."""
    head = vote_signing_bytes(chain, VoteKind.ROUND_CHANGE, height, round_, Digest(bytes(32)))
    if prepared_round is None or prepared is None:
        return head + b"\x00"
    return head + b"\x01" + prepared_round.to_bytes(8, "big") + prepared


@dataclass(frozen=True, slots=True)
class Vote:
    """A signed prepare or commit."""

    kind: VoteKind
    height: Height
    round: int
    block: Digest
    org: OrgId
    signature: Signature


@dataclass(frozen=True, slots=True)
class SignedBy:
    """One signature of a certificate."""

    org: OrgId
    signature: Signature


@dataclass(frozen=True, slots=True)
class Certificate:
    """A quorum of votes of one kind for one block in one round, in ascending order of organisation.

    Of commits it makes a block final; of prepares it justifies a re-proposal. The kind is not a field: who reads
    one knows which it must be, and the signatures decide.
    """

    height: Height
    round: int
    block: Digest
    signatures: tuple[SignedBy, ...]


def certificate_digest(certificate: Certificate | None) -> Digest:
    """What the next header carries of it; zero for none."""
    if certificate is None:
        return Digest(bytes(32))
    return Digest(digest("lepton/certificate", encode(certificate)))


@dataclass(frozen=True, slots=True)
class RoundChange:
    """A signed wish to move to `round`, with the highest block that the member has prepared at this height."""

    height: Height
    round: int
    prepared_round: int | None
    prepared: Digest | None
    org: OrgId
    signature: Signature
