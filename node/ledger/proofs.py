"""Verifies a stored chain offline, from the genesis file alone: every block is executed again.

Nothing stored is believed. Blocks, certificates, receipts, the index of transactions, the state and its tree are
each compared with what the genesis and the rules give; the first height that differs is named.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Protocol, TypeVar

from node.base import crypto
from node.base.codec import DecodeError, decode, encode
from node.base.ports import Verifier
from node.base.types import Block, Certificate, Digest, Genesis, Height, VoteKind, chain_id
from node.ledger import apply, system
from node.ledger.certificates import verify_certificate
from node.ledger.errors import ChainBroken, InvalidBlock, InvalidGenesis
from node.ledger.genesis import genesis_writes, verify_genesis
from node.ledger.memory import MemoryState
from node.ledger.tree import state_root

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One height as it stands on disk, not decoded."""

    digest: bytes
    block: bytes
    certificate: bytes
    receipts: tuple[bytes, ...]
    """In the order of their index, which runs from 0 without a gap."""


class StoredChain(Protocol):
    """A member's ledger on disk, as bytes. Every method raises `OSError` in words where it cannot be read."""

    def chain_id(self) -> bytes:
        """The chain that the store says it holds."""
        ...

    def height(self) -> int:
        """The highest height with a block; 0 with none."""
        ...

    def stored_block(self, height: int) -> StoredBlock | None:
        """What is stored for `height`."""
        ...

    def stored_place(self, id_: Digest) -> tuple[int, int] | None:
        """Height and index that the index of transactions has for this one."""
        ...

    def stored_counts(self) -> tuple[int, int, int]:
        """How many blocks, receipts and indexed transactions there are in all."""
        ...

    def stored_state(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values, ascending."""
        ...

    def stored_nodes(self) -> Iterator[tuple[bytes, bytes]]:
        """All paths and nodes of the state tree, ascending."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """What a chain that holds comes to."""

    height: Height
    head_digest: Digest
    """The chain's id at height 0."""
    state_root: Digest
    transactions: int


def verify_chain(
    genesis: Genesis,
    stored: StoredChain,
    verify: Verifier = crypto.verify,
    progress: Callable[[int], None] = lambda height: None,
) -> Verified:
    """Execute the whole chain again. Raises `ChainBroken` with the first height at which something stored differs.

    Height 0 stands for the genesis; a difference in the stored state is named at the head, with its key.
    `progress` is called with each height that holds.
    """
    try:
        verify_genesis(genesis, verify)
    except InvalidGenesis as error:
        raise ChainBroken(0, f"the genesis file cannot found a chain: {error}") from error
    replay = _Replay(genesis, verify)
    if _read(0, stored.chain_id) != replay.chain:
        raise ChainBroken(0, "the database holds the chain of another genesis file")
    height = _read(0, stored.height)
    for at in range(1, height + 1):
        kept = _read(at, partial(stored.stored_block, at))
        if kept is None:
            raise ChainBroken(at, "the block is missing")
        for index, id_ in enumerate(replay.take(at, kept)):
            if _read(at, partial(stored.stored_place, id_)) != (at, index):
                raise ChainBroken(at, "the index of transactions is not what the block holds")
        progress(at)
    _check_counts(height, _read(height, stored.stored_counts), replay.transactions)
    _check_rows(height, "state", stored.stored_state, sorted(replay.state.values.items()))
    _check_rows(height, "state tree", stored.stored_nodes, sorted(replay.state.nodes.items()))
    return Verified(Height(height), replay.parent, state_root(replay.state.node), replay.transactions)


class _Replay:
    """The chain executed so far, on a state in memory."""

    def __init__(self, genesis: Genesis, verify: Verifier) -> None:
        self.chain = chain_id(genesis.body)
        self.parent = self.chain
        self.state = MemoryState()
        self.state.apply(genesis_writes(genesis))
        self.transactions = 0
        self._verify = verify

    def take(self, height: int, stored: StoredBlock) -> tuple[Digest, ...]:
        """Execute one block and compare what is stored for it; returns its transactions' ids."""
        block = _decoded(height, Block, stored.block, "block")
        certificate = _decoded(height, Certificate, stored.certificate, "certificate")
        members = apply.members_at_head(self.state)
        header = block.header
        position = apply.Position(
            chain=self.chain,
            height=Height(height),
            time_ms=header.time_ms,
            parent=self.parent,
            last_certificate=block.last_certificate,
            author=header.author,
            members=members,
            parameters=system.parameters(self.state),
        )
        try:
            executed = apply.execute_block(self.state, position, block, self._verify)
        except InvalidBlock as error:
            raise ChainBroken(height, error.reason) from error
        if stored.digest != block.digest:
            raise ChainBroken(height, "the digest stored beside the block is not the block's")
        if certificate.height != height or certificate.block != block.digest:
            raise ChainBroken(height, "the certificate is not for this block")
        if reason := verify_certificate(self.chain, members, certificate, VoteKind.COMMIT, self._verify):
            raise ChainBroken(height, reason)
        if stored.receipts != tuple(encode(receipt) for receipt in executed.receipts):
            raise ChainBroken(height, "the receipts are not what executing the block gives")
        self.state.apply(executed.writes)
        self.parent = block.digest
        self.transactions += len(block.transactions)
        return tuple(transaction.id for transaction in block.transactions)


def _check_counts(height: int, counts: tuple[int, int, int], transactions: int) -> None:
    """Rows that belong to no block of the chain."""
    expected = (height, transactions, transactions)
    for words, found, wanted in zip(("blocks", "receipts", "indexed transactions"), counts, expected, strict=True):
        if found != wanted:
            raise ChainBroken(height, f"there are {found} {words} in the database, the chain has {wanted}")


def _check_rows(
    height: int, words: str, stored: Callable[[], Iterator[tuple[bytes, bytes]]], expected: list[tuple[bytes, bytes]]
) -> None:
    try:
        for found, wanted in zip_longest(stored(), expected):
            if found != wanted:
                first = min(row[0] for row in (found, wanted) if row is not None)
                raise ChainBroken(height, f"the {words} is not what the blocks give, from key {_shown(first)} on")
    except OSError as error:
        raise ChainBroken(height, f"the {words} cannot be read: {error}") from error


def _read(height: int, read: Callable[[], T]) -> T:
    try:
        return read()
    except OSError as error:
        raise ChainBroken(height, str(error)) from error


def _decoded(height: int, kind: type[T], stored: bytes, words: str) -> T:
    try:
        return decode(kind, stored)
    except DecodeError as error:
        raise ChainBroken(height, f"the {words} is damaged: {error}") from error


def _shown(key: bytes) -> str:
    """A key for people: text where it is text, else hexadecimal."""
    text = key.decode(errors="replace")
    return text if text.isprintable() else key.hex()
