"""Tactics of proposing: two blocks in one round, blocks that are false, proposals out of turn."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from node.base.types import (
    Block,
    BodiesRequest,
    BodiesResponse,
    Digest,
    Header,
    Height,
    OrgId,
    PeerMessage,
    PreparedBlock,
    Proposal,
    VoteKind,
    certificate_digest,
    header_digest,
)
from node.testing.simulation.liars.kit import Kit
from node.testing.simulation.liars.tactic import Said, Tactic

HOUR_MS = 3_600_000


class TwoBlocks(Tactic):
    """Proposes one valid block to some and another to the others, and votes for both."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._misled = kit.half()
        self._other: tuple[tuple[int, int], Block] | None = None

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """To the misled the other block."""
        kit = self.kit
        if not isinstance(message, Proposal) or message.prepared is not None or message.header.height != kit.height:
            return (message,)
        at = (message.header.height, message.round)
        if self._other is None or self._other[0] != at:
            self._other = (at, kit.block((), message.header.time_ms + 1))
        block = self._other[1]
        other = kit.proposal(message.round, block, message.round_changes)
        chosen = other if peer in self._misled else message
        votes = (kit.vote(VoteKind.PREPARE, message.round, header_digest(p.header)) for p in (message, other))
        both = kit.rng.random() < 0.2
        return (chosen, *((message if chosen is other else other,) if both else ()), *votes)


def _random(kit: Kit) -> Digest:
    return Digest(kit.rng.randbytes(32))


_Spoiler = Callable[[Kit, Header], Header]
SPOILERS: tuple[_Spoiler, ...] = (
    lambda kit, header: replace(header, state_root=_random(kit)),
    lambda kit, header: replace(header, receipts_root=_random(kit)),
    lambda kit, header: replace(header, transactions_root=_random(kit)),
    lambda kit, header: replace(header, parent=_random(kit)),
    lambda kit, header: replace(header, last_certificate=_random(kit)),
    lambda kit, header: replace(header, members=_random(kit)),
    lambda kit, header: replace(header, next_members=_random(kit)),
    lambda kit, header: replace(header, parameters=_random(kit)),
    lambda kit, header: replace(header, chain=_random(kit)),
    lambda kit, header: replace(header, version=header.version + 1),
    lambda kit, header: replace(header, height=Height(header.height + kit.rng.choice((-1, 1)))),
    lambda kit, header: replace(header, author=kit.rng.choice(kit.peers)),
    lambda kit, header: replace(header, time_ms=header.time_ms + 1),
)
"""Ways in which a header is not what executing its block gives."""


class FalseBlocks(Tactic):
    """In its turn proposes headers that are false in one field, rightly signed."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """A false proposal, or a false prepared block, in place of a true one."""
        kit = self.kit
        if isinstance(message, Proposal):
            header = kit.rng.choice(SPOILERS)(kit, message.header)
            block = Block(header, (), message.last_certificate)
            ids = message.transactions
            return (
                replace(kit.proposal(message.round, block, message.round_changes, message.prepared), transactions=ids),
            )
        if isinstance(message, PreparedBlock):
            block = message.block
            header = kit.rng.choice(SPOILERS)(kit, block.header)
            spoilt = Block(header, block.transactions, block.last_certificate)
            fewer = replace(message.certificate, signatures=message.certificate.signatures[1:])
            return (PreparedBlock(spoilt, message.certificate), PreparedBlock(block, fewer))
        return (message,)


class WrongTimes(Tactic):
    """In its turn proposes valid blocks an hour away from everybody's clock, or no later than the parent."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """The same proposal with another time."""
        kit = self.kit
        if not isinstance(message, Proposal) or message.prepared is not None or message.header.height != kit.height:
            return (message,)
        shift_ms = kit.rng.choice((HOUR_MS, -HOUR_MS, 11_000 + HOUR_MS))
        return (kit.proposal(message.round, kit.block((), kit.wall_ms() + shift_ms), message.round_changes),)


class WorthlessContent(Tactic):
    """In its turn proposes transactions that no block may carry: included already, forged, of another chain, over."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """A block of those, first all bodies, then the proposal; or ids that nobody has, or one id twice."""
        kit = self.kit
        if not isinstance(message, Proposal) or message.prepared is not None or message.header.height != kit.height:
            return (message,)
        if kit.rng.random() < 0.2:
            more = kit.rng.choice((message.transactions, (Digest(kit.rng.randbytes(32)),)))
            return (replace(message, transactions=message.transactions + more),)
        last = kit.disk.block(kit.disk.height())
        old = () if last is None else last.block.transactions
        block = kit.block(kit.rng.choice((old, kit.worthless())), message.header.time_ms)
        return (BodiesResponse(block.transactions), kit.proposal(message.round, block, message.round_changes))

    def hears(self, peer: OrgId, message: PeerMessage) -> None:
        """Whoever asks for bodies gets them all."""
        if isinstance(message, BodiesRequest):
            last = self.kit.disk.block(self.kit.disk.height())
            old = () if last is None else last.block.transactions
            self.kit.post(peer, BodiesResponse((*old, *self.kit.worthless())))


class WrongParentCertificates(Tactic):
    """In its turn proposes blocks that carry another certificate for their parent: older, shorter, forged."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """The own block with that certificate, its header true to it."""
        kit = self.kit
        if not isinstance(message, Proposal) or message.prepared is not None or message.last_certificate is None:
            return (message,)
        certificate = message.last_certificate
        before = kit.disk.block(Height(certificate.height - 1))
        forged = tuple(replace(signed, signature=kit.forged()) for signed in certificate.signatures)
        wrong = kit.rng.choice(
            (
                replace(certificate, signatures=certificate.signatures[:1]),
                replace(certificate, signatures=forged),
                replace(certificate, signatures=certificate.signatures[:1] * len(certificate.signatures)),
                certificate if before is None else before.certificate,
            )
        )
        header = replace(message.header, last_certificate=certificate_digest(wrong))
        proposal = kit.proposal(message.round, Block(header, (), wrong), message.round_changes)
        return (replace(proposal, transactions=message.transactions),)


class ForgedProposals(Tactic):
    """In its turn proposes under a signature that is not its own."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """The true proposal, forged."""
        return (replace(message, signature=self.kit.forged()),) if isinstance(message, Proposal) else (message,)


class OutOfTurn(Tactic):
    """Proposes in rounds that are others', without waiting for anybody."""

    def acts(self) -> None:
        """A valid block for some round."""
        kit = self.kit
        if kit.rng.random() < 0.5:
            kit.post_all(kit.proposal(kit.rng.randint(0, 3), kit.block()))


TACTICS: tuple[type[Tactic], ...] = (
    TwoBlocks,
    FalseBlocks,
    WrongTimes,
    WorthlessContent,
    WrongParentCertificates,
    ForgedProposals,
    OutOfTurn,
)
