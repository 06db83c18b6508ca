"""Verifies a chain that does not reach back to its genesis: pruned, or joined by a snapshot.

What is not there cannot be executed again. Instead the head is trusted by a path from the genesis, the state and its
tree must be what the head's header covers, and every block and header that is kept must carry its certificate and lead
by its digests to the head. Reads what is stored as bytes and believes none of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from node.base import crypto
from node.base.ports import Verifier, Writes
from node.base.types import (
    Block,
    Certificate,
    CertifiedBlock,
    CertifiedHeader,
    Digest,
    Genesis,
    Header,
    Height,
    MemberSet,
    Receipt,
    VoteKind,
    chain_id,
    header_digest,
    member_set_digest,
)
from node.ledger import system
from node.ledger.certificates import verify_certificate
from node.ledger.errors import ChainBroken, Unprovable, Untrusted
from node.ledger.light import build_path, verify_path
from node.ledger.memory import MemoryState
from node.ledger.snapshot import check_body
from node.ledger.stored import StoredChain, Verified, check_counts, check_rows, read_stored, stored_as
from node.ledger.tree import tree_rows, updated


def verify_based(
    genesis: Genesis,
    stored: StoredChain,
    verify: Verifier = crypto.verify,
    progress: Callable[[int], None] = lambda height: None,
) -> Verified:
    """Check all that is kept. Raises `ChainBroken` with the height at which something stored does not hold."""
    chain = chain_id(genesis.body)
    height, base = read_stored(0, stored.height), read_stored(0, stored.base)
    if read_stored(0, stored.chain_id) != chain:
        raise ChainBroken(0, "the database holds the chain of another genesis file")
    if not 1 <= base <= height:
        raise ChainBroken(height, f"the lowest whole block is said to be {base}, the highest {height}")
    state, root = _state(height, stored)
    kept = _Kept(chain, stored, list(_sets(height, state)), verify)
    try:
        path = build_path(kept.sets, kept.certified_header, Height(height))
        trusted = verify_path(genesis, path, verify)
    except (Untrusted, Unprovable) as error:
        raise ChainBroken(height, f"the head does not follow from the genesis: {error}") from error
    if trusted.header.state_root != root:
        raise ChainBroken(height, "the state is not the one that the head's header covers")
    check_rows(height, "state tree", stored.stored_tree, tree_rows(sorted(state.pages.items()), state.crown))
    transactions = kept.check_from(base, height, header_digest(trusted.header), progress)
    kept.check_headers_below(base)
    check_counts(height, read_stored(height, stored.stored_counts), height - base + 1, transactions)
    return Verified(Height(height), header_digest(trusted.header), root, transactions, Height(base))


def _state(height: int, stored: StoredChain) -> tuple[MemoryState, Digest]:
    """The stored state with its own root and tree."""
    changes = tuple(read_stored(height, lambda: list(stored.stored_state())))
    state = MemoryState()
    tree = updated(state, changes)
    state.apply(Writes(changes, tree.pages, tree.crown))
    return state, tree.root


def _sets(height: int, state: MemoryState) -> list[tuple[Height, MemberSet]]:
    try:
        return list(system.set_history(state))
    except ValueError as error:
        raise ChainBroken(height, f"the history of member sets in the state is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class _Kept:
    """Blocks and headers as they are stored."""

    chain: Digest
    stored: StoredChain
    sets: list[tuple[Height, MemberSet]]
    verify: Verifier

    def certified_header(self, height: Height) -> CertifiedHeader | None:
        """The header of a kept block or of one below."""
        if (block := self.block(height)) is not None:
            return CertifiedHeader(block[0].block.header, block[0].certificate)
        row = read_stored(height, lambda: self.stored.stored_header(height))
        if row is None:
            return None
        header, certificate = row
        return CertifiedHeader(
            stored_as(height, Header, header, "header"), stored_as(height, Certificate, certificate, "certificate")
        )

    def block(self, height: int) -> tuple[CertifiedBlock, tuple[Receipt, ...], bytes] | None:
        """The block with its receipts, and the digest that stands beside it."""
        row = read_stored(height, lambda: self.stored.stored_block(height))
        if row is None:
            return None
        block = stored_as(height, Block, row.block, "block")
        certificate = stored_as(height, Certificate, row.certificate, "certificate")
        receipts = tuple(stored_as(height, Receipt, receipt, "receipt") for receipt in row.receipts)
        return CertifiedBlock(block, certificate), receipts, row.digest

    def check_from(self, base: int, height: int, head: Digest, progress: Callable[[int], None]) -> int:
        """Every block from the base to the head, from the top down; returns how many transactions they hold."""
        expected, transactions = head, 0
        for at in range(height, base - 1, -1):
            found = self.block(at)
            if found is None:
                raise ChainBroken(at, "the block is missing")
            certified, receipts, digest = found
            if certified.block.digest != expected or digest != expected or certified.block.header.height != at:
                raise ChainBroken(at, "the block is not the one that the chain above it leads to")
            try:
                check_body(certified, receipts)
            except Untrusted as error:
                raise ChainBroken(at, str(error)) from error
            self._check_certificate(at, CertifiedHeader(certified.block.header, certified.certificate))
            self._check_places(at, certified, receipts)
            expected = certified.block.header.parent
            transactions += len(receipts)
            progress(height - at + 1)
        below = self.certified_header(Height(base - 1)) if base > 1 else None
        if below is not None and header_digest(below.header) != expected:
            raise ChainBroken(base - 1, "the header is not the one that the chain above it leads to")
        return transactions

    def check_headers_below(self, base: int) -> None:
        """Headers of pruned blocks, and those of the trust path: certified each, linked where they are neighbours."""
        above: Header | None = None
        for height in reversed(read_stored(base, lambda: list(self.stored.stored_header_heights()))):
            if not 1 <= height < base:
                raise ChainBroken(height, "a header is kept beside whole blocks")
            certified = self.certified_header(Height(height))
            assert certified is not None, "its height was listed"
            self._check_certificate(height, certified)
            linked = above is not None and above.height == height + 1
            if linked and above is not None and above.parent != header_digest(certified.header):
                raise ChainBroken(height, "the header is not the one that the chain above it leads to")
            above = certified.header

    def _check_certificate(self, height: int, certified: CertifiedHeader) -> None:
        members = [members for first, members in self.sets if first <= height]
        header, certificate = certified.header, certified.certificate
        if not members or header.members != member_set_digest(members[-1]) or header.height != height:
            raise ChainBroken(height, "the header does not name the member set of its height")
        if certificate.height != height or certificate.block != header_digest(header):
            raise ChainBroken(height, "the certificate is not for this block")
        if reason := verify_certificate(self.chain, members[-1], certificate, VoteKind.COMMIT, self.verify):
            raise ChainBroken(height, reason)

    def _check_places(self, height: int, certified: CertifiedBlock, receipts: tuple[Receipt, ...]) -> None:
        for index, transaction in enumerate(certified.block.transactions):
            place = read_stored(height, lambda id_=transaction.id: self.stored.stored_place(id_))  # type: ignore[misc]
            if place != (height, index) or receipts[index].transaction != transaction.id:
                raise ChainBroken(height, "the index of transactions is not what the block holds")
