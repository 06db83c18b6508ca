"""What a liar knows and can do: it has heard everything of the height at hand, and signs anything with its own key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from node.base.codec import encode
from node.base.types import (
    Block,
    Certificate,
    Digest,
    Header,
    Height,
    MemberSet,
    OrgId,
    PeerMessage,
    PreparedBlock,
    Proposal,
    RoundChange,
    Signature,
    SignedBy,
    Transaction,
    TransactionBody,
    Vote,
    VoteKind,
    header_digest,
    round_change_signing_bytes,
    transaction_signing_bytes,
    vote_signing_bytes,
)
from node.ledger.apply import Position, build_block, members_at_head
from node.ledger.contracts.sharing import Register
from node.testing.simulation.disk import Disk
from node.testing.simulation.founding import Founded

HEARD_MAX = 400
"""Messages of one height that a liar remembers."""
_MESSAGE: Any = PeerMessage


@dataclass(slots=True)
class Heard:
    """What was said at one height, by anybody, the liar included."""

    proposals: list[Proposal] = field(default_factory=list)
    votes: dict[tuple[VoteKind, int, Digest, OrgId], Vote] = field(default_factory=dict)
    round_changes: dict[tuple[int, OrgId], RoundChange] = field(default_factory=dict)
    prepared: list[PreparedBlock] = field(default_factory=list)


class Kit:
    """One liar's hands."""

    def __init__(
        self,
        org: OrgId,
        founded: Founded,
        disk: Disk,
        rng: Random,
        read: Callable[[Any, bytes], Any],
        wall_ms: Callable[[], int],
        post: Callable[[OrgId, bytes], None],
    ) -> None:
        self.org = org
        self.chain = founded.chain
        self.rng = rng
        self.read = read
        """The codec's `decode`, or what gives the same."""
        self.disk = disk
        self.wall_ms = wall_ms
        self._founded = founded
        self._post = post
        self._heard_at = Height(0)
        self._heard = Heard()
        self._worthless: dict[int, tuple[Transaction, ...]] = {}

    @property
    def height(self) -> Height:
        """The height that is being agreed on."""
        return Height(self.disk.height() + 1)

    @property
    def members(self) -> MemberSet:
        """Who votes at it."""
        return members_at_head(self.disk.state)

    @property
    def peers(self) -> tuple[OrgId, ...]:
        """Everybody else."""
        return tuple(org for org in self._founded.orgs if org != self.org)

    @property
    def heard(self) -> Heard:
        """What was said at this height."""
        if self._heard_at != self.height:
            self._heard_at, self._heard = self.height, Heard()
        return self._heard

    def learn(self, message: PeerMessage) -> None:
        """Remember what was said."""
        heard = self.heard
        if len(heard.votes) + len(heard.round_changes) + len(heard.proposals) > HEARD_MAX:
            return
        match message:
            case Proposal() if message.header.height == self.height:
                heard.proposals.append(message)
            case Vote() if message.height == self.height:
                heard.votes[message.kind, message.round, message.block, message.org] = message
            case RoundChange() if message.height == self.height:
                heard.round_changes[message.round, message.org] = message
            case PreparedBlock() if message.certificate.height == self.height:
                heard.prepared.append(message)
            case _:
                pass

    def post(self, peer: OrgId, *messages: PeerMessage | bytes) -> None:
        """Send, beside what the replica says."""
        for message in messages:
            self._post(peer, to_bytes(message))

    def post_all(self, *messages: PeerMessage | bytes) -> None:
        """Send to everybody."""
        for peer in self.peers:
            self.post(peer, *messages)

    # What it signs

    def vote(self, kind: VoteKind, round_: int, block: Digest, height: int | None = None) -> Vote:
        """A vote, rightly signed."""
        at = self.height if height is None else Height(height)
        signature = self.sign(vote_signing_bytes(self.chain, kind, at, round_, block))
        return Vote(kind, at, round_, block, self.org, signature)

    def round_change(
        self, round_: int, claimed_round: int | None = None, claimed: Digest | None = None, height: int | None = None
    ) -> RoundChange:
        """A round change with any claim, rightly signed."""
        at = self.height if height is None else Height(height)
        signed = round_change_signing_bytes(self.chain, at, round_, claimed_round, claimed)
        return RoundChange(at, round_, claimed_round, claimed, self.org, self.sign(signed))

    def proposal(
        self,
        round_: int,
        block: Block,
        round_changes: Sequence[RoundChange] = (),
        prepared: Certificate | None = None,
        header: Header | None = None,
    ) -> Proposal:
        """A proposal of the block, or of another header over its transactions, rightly signed."""
        header = header or block.header
        ids = tuple(transaction.id for transaction in block.transactions)
        prepare = self.vote(VoteKind.PREPARE, round_, header_digest(header), header.height)
        return Proposal(
            round_, header, ids, block.last_certificate, tuple(round_changes), prepared, self.org, prepare.signature
        )

    def sign(self, message: bytes) -> Signature:
        """With its own key."""
        return Signature(self._founded.signers[self.org].sign(message))

    def forged(self) -> Signature:
        """64 bytes that are nobody's signature."""
        return Signature(self.rng.randbytes(64))

    # What it builds

    def block(self, transactions: Sequence[Transaction] = (), time_ms: int | None = None) -> Block:
        """A valid fresh block of its own; another time gives another block."""
        last = self.disk.block(self.disk.height())
        position = Position(
            chain=self.chain,
            height=self.height,
            time_ms=self.wall_ms() if time_ms is None else time_ms,
            parent=self.chain if last is None else last.block.digest,
            last_certificate=None if last is None else last.certificate,
            author=self.org,
            members=self.members,
            parameters=self._founded.genesis.body.parameters,
        )
        return build_block(self.disk.state, position, transactions, self._founded.verify).block

    def transaction(self, nonce: int, until_ms: int | None = None, chain: Digest | None = None) -> Transaction:
        """A transaction of its own; of another chain, or over, if asked for."""
        call = Register(f"noise{self.rng.randint(0, 9)}", Digest(self.rng.randbytes(32)))
        until_ms = self.wall_ms() + 60_000 if until_ms is None else until_ms
        body = TransactionBody(chain or self.chain, self.org, nonce, until_ms, "sharing", "register", encode(call))
        return Transaction(body, Signature(self.sign(transaction_signing_bytes(body))))

    def worthless(self) -> tuple[Transaction, ...]:
        """One transaction that no block may carry, the same for one height: forged, of another chain, or over."""
        nonce = 5_000_000 + self.height
        good = self.transaction(nonce)
        honest = replace(good.body, org=self.peers[self.height % len(self.peers)])
        choices = (
            Transaction(honest, good.signature),
            self.transaction(nonce, chain=Digest(bytes(32))),
            self.transaction(nonce, until_ms=1),
        )
        return self._worthless.setdefault(self.height, (choices[self.height % len(choices)],))

    def certificate(self, kind: VoteKind, round_: int, block: Digest) -> Certificate:
        """All that members signed of this kind, a quorum or not."""
        votes = [
            vote for (of, at, digest, _), vote in self.heard.votes.items() if (of, at, digest) == (kind, round_, block)
        ]
        signed = sorted((vote.org, vote.signature) for vote in votes)
        return Certificate(self.height, round_, block, tuple(SignedBy(org, signature) for org, signature in signed))

    def asked_for(self, round_: int) -> list[RoundChange]:
        """The round changes for a round that were heard, by organisation."""
        return [change for (at, _), change in sorted(self.heard.round_changes.items()) if at == round_]

    def known_digests(self) -> list[Digest]:
        """Blocks that were proposed at this height."""
        return sorted({header_digest(proposal.header) for proposal in self.heard.proposals})

    def any_digest(self) -> Digest:
        """Of a block that is known, or of none at all."""
        known = self.known_digests()
        return self.rng.choice(known) if known and self.rng.random() < 0.7 else Digest(self.rng.randbytes(32))

    def half(self) -> frozenset[OrgId]:
        """Some of the peers, never all."""
        return frozenset(self.rng.sample(self.peers, self.rng.randint(1, max(1, len(self.peers) - 1))))


def to_bytes(message: PeerMessage | bytes) -> bytes:
    """As it travels."""
    return message if isinstance(message, bytes) else encode(message, _MESSAGE)
