"""Who is who: cards, the genesis that all founders sign, and the set of members that votes at a height."""

import re
from dataclasses import dataclass
from functools import cached_property

from node.base.codec import encode
from node.base.crypto import digest
from node.base.types.names import Digest, OrgId, PublicKey, Signature

CEL_VERSION = "0.1.3"
"""What a new chain decides by."""

_CEL_VERSION = re.compile(r"[0-9a-z.+-]{1,32}\Z")

TLS_DOMAIN = "member.lepton.internal"
"""Every certificate of a member has one DNS name, below this one and unique to its key. Who a peer is follows from the
certificate's bytes, never from a name; the name lets a dialler ask for one of several while a key is renewed."""


@dataclass(frozen=True, slots=True)
class CardBody:
    """What an organisation says of itself; signed with its organisation key."""

    org: OrgId
    sequence: int
    """Counts the organisation's cards up from 1; the highest holds."""
    organisation_key: PublicKey
    """Ed25519; signs cards and nothing else. The daemon does not hold it."""
    node_key: PublicKey
    """Ed25519; signs transactions and votes."""
    data_key: PublicKey
    """X25519; what others seal to this organisation."""
    tls_certificate: bytes
    """The whole self-signed P-256 certificate, DER."""
    tls_until_ms: int
    """The certificate's term, judged by block time. After it the organisation may only renew its membership's keys;
    the certificate itself carries no term, because gRPC's core would cut the link that the renewal needs."""
    addresses: tuple[str, ...]
    """`host:port` where the daemon listens, most useful first."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card with its organisation's signature over `card_signing_bytes`."""

    body: CardBody
    signature: Signature


def card_signing_bytes(body: CardBody) -> bytes:
    """What the organisation key signs. Not bound to a chain: the card exists before any."""
    return b"lepton/card\x00" + encode(body)


def endorsement_signing_bytes(body: CardBody) -> bytes:
    """What the old organisation key signs so that a card with a new organisation key may follow its own."""
    return b"lepton/endorsement\x00" + encode(body)


def is_cel_version(text: str) -> bool:
    """Whether it can be a version."""
    return _CEL_VERSION.match(text) is not None


@dataclass(frozen=True)
class Parameters:
    """Numbers that all members must share; part of the genesis and so of the chain's name."""

    block_bytes_max: int = 1 << 20
    block_transactions_max: int = 2_000
    organisation_transactions_max: int = 1_000
    """Transactions of one organisation in one block: a member that floods leaves room for others."""
    round_timeout_ms: int = 1_000
    """The base of the consensus's time-outs; doubled each round."""
    round_timeout_max_ms: int = 16_000
    time_tolerance_ms: int = 10_000
    """How far a fresh proposal's time may stand from a member's own clock."""
    heartbeat_ms: int = 600_000
    """An empty block is due this long after the last block, so that a silent network still proves that it lives."""
    motion_ms: int = 7 * 24 * 3_600_000
    """How long an open motion collects supporters, by block time."""
    cel_version: str = CEL_VERSION
    """Of cel-expr-python, which decides by organisations' conditions: another one may decide otherwise."""
    suspend_equivocators: bool = True
    """Whether proof that a member signed two contradicting statements suspends it without a motion."""

    @cached_property
    def digest(self) -> Digest:
        """What headers carry of them."""
        return Digest(digest("lepton/parameters", encode(self)))


@dataclass(frozen=True)
class GenesisBody:
    """What all founders sign."""

    name: str
    time_ms: int
    cards: tuple[Card, ...]
    """In ascending order of organisation."""
    parameters: Parameters

    @cached_property
    def digest(self) -> Digest:
        """The chain's name."""
        return Digest(digest("lepton/genesis", encode(self)))


@dataclass(frozen=True, slots=True)
class Genesis:
    """A genesis with one signature per founder's organisation key, in the order of its cards."""

    body: GenesisBody
    signatures: tuple[Signature, ...]


def chain_id(body: GenesisBody) -> Digest:
    """The chain's name: part of every signature, so that nothing signed for one chain counts on another."""
    return body.digest


def genesis_signing_bytes(body: GenesisBody) -> bytes:
    """What every founder's organisation key signs."""
    return b"lepton/genesis\x00" + chain_id(body)


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation that votes, with the key in force."""

    org: OrgId
    node_key: PublicKey


@dataclass(frozen=True)
class MemberSet:
    """The members that vote at one height, in ascending order of organisation."""

    members: tuple[Member, ...]

    @cached_property
    def keys(self) -> dict[OrgId, PublicKey]:
        """Each member's node key."""
        return {member.org: member.node_key for member in self.members}

    @cached_property
    def orgs(self) -> tuple[OrgId, ...]:
        """The members' names, ascending."""
        return tuple(member.org for member in self.members)

    @cached_property
    def digest(self) -> Digest:
        """What headers carry of it."""
        return Digest(digest("lepton/members", encode(self)))

    @property
    def quorum(self) -> int:
        """Strictly more than two thirds: floor(2n/3) + 1 for every n.

        Never 2f + 1, which forks when n is not 3f + 1.
        """
        return 2 * len(self.members) // 3 + 1

    @property
    def faults_max(self) -> int:
        """f = floor((n - 1) / 3)."""
        return (len(self.members) - 1) // 3

    def proposer(self, height: int, round_: int) -> OrgId:
        """Index (height + round) mod n of the members in order."""
        return self.members[(height + round_) % len(self.members)].org


def member_set_digest(members: MemberSet) -> Digest:
    """What headers carry of the member set in force."""
    return members.digest


def parameters_digest(parameters: Parameters) -> Digest:
    """What headers carry of the chain's parameters."""
    return parameters.digest
