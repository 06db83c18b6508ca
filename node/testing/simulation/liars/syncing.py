"""Tactics against those who are behind: false tips, false blocks, answers that are none."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from node.base.types import (
    BlocksResponse,
    BodiesResponse,
    CertifiedBlock,
    Digest,
    Height,
    OrgId,
    PeerMessage,
    Signature,
    SignedBy,
    Tip,
    VoteKind,
)
from node.testing.simulation.liars.kit import Kit
from node.testing.simulation.liars.tactic import Said, Tactic


class FalseTips(Tactic):
    """Says it is far ahead, then that it is not, and names heads that nobody has (CVE-2025-24371)."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Another tip."""
        return (self._tip(),) if isinstance(message, Tip) else (message,)

    def acts(self) -> None:
        """One now and then, another one for each."""
        for peer in self.kit.peers:
            self.kit.post(peer, self._tip())

    def _tip(self) -> Tip:
        kit = self.kit
        height = kit.rng.choice((0, 1, kit.height - 1, kit.height, kit.height + 1, kit.height + 50, 2**62))
        return replace(Tip(Height(0), kit.chain), height=Height(height), head=Digest(kit.rng.randbytes(32)))


def _other_time(kit: Kit, first: CertifiedBlock) -> CertifiedBlock:
    header = replace(first.block.header, time_ms=first.block.header.time_ms + 1)
    return replace(first, block=replace(first.block, header=header))


def _certified_by_itself(kit: Kit, first: CertifiedBlock) -> CertifiedBlock:
    """A false block with the liar's own commit, and forged ones of the others."""
    block = _other_time(kit, first).block
    height, round_ = first.certificate.height, first.certificate.round
    own = kit.vote(VoteKind.COMMIT, round_, block.digest, height).signature
    signed = tuple(
        SignedBy(s.org, own if s.org == kit.org else Signature(kit.rng.randbytes(64)))
        for s in first.certificate.signatures
    )
    return CertifiedBlock(block, replace(first.certificate, block=block.digest, signatures=signed))


def _certified_once(kit: Kit, first: CertifiedBlock) -> CertifiedBlock:
    """A false block with the liar's own commit as often as a quorum."""
    block = _other_time(kit, first).block
    height, round_ = first.certificate.height, first.certificate.round
    own = SignedBy(kit.org, kit.vote(VoteKind.COMMIT, round_, block.digest, height).signature)
    signed = (own,) * len(first.certificate.signatures)
    return CertifiedBlock(block, replace(first.certificate, block=block.digest, signatures=signed))


def _few_signatures(kit: Kit, first: CertifiedBlock) -> CertifiedBlock:
    few = first.certificate.signatures[: max(0, kit.members.quorum - 1)]
    return replace(first, certificate=replace(first.certificate, signatures=few))


def _without_transactions(kit: Kit, first: CertifiedBlock) -> CertifiedBlock:
    return replace(first, block=replace(first.block, transactions=()))


def _other_certificate(kit: Kit, first: CertifiedBlock) -> CertifiedBlock:
    before = kit.disk.block(Height(first.block.header.height - 1))
    return first if before is None else replace(first, certificate=before.certificate)


def _signed_by_strangers(kit: Kit, first: CertifiedBlock) -> CertifiedBlock:
    """One signature more, of an organisation that nobody knows."""
    stranger = SignedBy(OrgId("zz-nobody"), Signature(kit.rng.randbytes(64)))
    signatures = (*first.certificate.signatures, stranger)
    return replace(first, certificate=replace(first.certificate, signatures=signatures))


_Lie = Callable[[Kit, CertifiedBlock], CertifiedBlock]
LIES: tuple[_Lie, ...] = (
    _other_time,
    _certified_by_itself,
    _certified_once,
    _few_signatures,
    _without_transactions,
    _other_certificate,
    _signed_by_strangers,
)
"""Ways in which a block that is handed over is not the chain's."""


class FalseBlocksServed(Tactic):
    """Answers requests for blocks with blocks that are not the chain's, others than asked for, or none."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Another answer."""
        if not isinstance(message, BlocksResponse) or not message.blocks:
            return (message,)
        kit, (first, *rest) = self.kit, message.blocks
        draw = kit.rng.random()
        if draw < 0.1:
            return (replace(message, blocks=()),)
        if draw < 0.2:
            return (replace(message, blocks=(*reversed(message.blocks), first)),)
        if draw < 0.3:
            return (replace(message, start=Height(message.start + 1)), message)
        return (replace(message, blocks=(kit.rng.choice(LIES)(kit, first), *rest)),)

    def acts(self) -> None:
        """Blocks that nobody asked for."""
        kit = self.kit
        last = kit.disk.block(kit.disk.height())
        if last is not None and kit.rng.random() < 0.2:
            lie = kit.rng.choice(LIES)(kit, last)
            kit.post_all(BlocksResponse(kit.disk.height(), (lie,)))


class FalseRowsServed(Tactic):
    """Answers requests for blocks with rows that turn false somewhere. For `rows`: drawn, it would change old seeds."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Another answer, as often as not."""
        rng = self.kit.rng
        if not isinstance(message, BlocksResponse) or not message.blocks or rng.random() < 0.5:
            return (message,)
        at = rng.randrange(len(message.blocks))
        false = rng.choice(LIES)(self.kit, message.blocks[at])
        return (replace(message, blocks=(*message.blocks[:at], false, *message.blocks[at + 1 :])),)


class FalseBodies(Tactic):
    """Answers requests for transactions with the same ones under other signatures."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Bodies that the header's root does not cover."""
        if not isinstance(message, BodiesResponse):
            return (message,)
        return (BodiesResponse(tuple(replace(t, signature=self.kit.forged()) for t in message.transactions)),)


TACTICS: tuple[type[Tactic], ...] = (FalseTips, FalseBlocksServed, FalseBodies)
