"""What verifying reads of a ledger on disk, as bytes, and the checks of single pieces that every way of it shares."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol, TypeVar

from node.base.codec import DecodeError, decode
from node.base.types import FIRST_HEIGHT, Digest, Height
from node.ledger.errors import ChainBroken

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

    def base(self) -> int:
        """The lowest whole block; 1 for a chain that reaches back to its genesis."""
        ...

    def stored_header(self, height: int) -> tuple[bytes, bytes] | None:
        """Header and certificate that are kept of a block below the base."""
        ...

    def stored_header_heights(self) -> Iterator[int]:
        """The heights of those, ascending."""
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

    def stored_tree(self) -> Iterator[tuple[bytes, bytes]]:
        """The state's tree as `tree_rows` gives it."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """What a chain that holds comes to."""

    height: Height
    head_digest: Digest
    """The chain's id at height 0."""
    state_root: Digest
    transactions: int
    base: Height = FIRST_HEIGHT
    """From here on blocks are kept; below it, nothing could be executed again."""


def check_counts(height: int, counts: tuple[int, int, int], blocks: int, transactions: int) -> None:
    """Raises `ChainBroken` for rows that belong to no block of the chain."""
    expected = (blocks, transactions, transactions)
    for words, found, wanted in zip(("blocks", "receipts", "indexed transactions"), counts, expected, strict=True):
        if found != wanted:
            raise ChainBroken(height, f"there are {found} {words} in the database, the chain has {wanted}")


def check_rows(
    height: int,
    words: str,
    stored: Callable[[], Iterator[tuple[bytes, bytes]]],
    expected: Iterable[tuple[bytes, bytes]],
) -> None:
    """Raises `ChainBroken`, with the first key, unless exactly these rows are stored."""
    try:
        for found, wanted in zip_longest(stored(), expected):
            if found != wanted:
                first = min(row[0] for row in (found, wanted) if row is not None)
                raise ChainBroken(height, f"the {words} is not what the blocks give, from key {_shown(first)} on")
    except OSError as error:
        raise ChainBroken(height, f"the {words} cannot be read: {error}") from error


def read_stored(height: int, read: Callable[[], T]) -> T:
    """What `read` gives; its `OSError` as a `ChainBroken` at this height."""
    try:
        return read()
    except OSError as error:
        raise ChainBroken(height, str(error)) from error


def stored_as(height: int, kind: type[T], stored: bytes, words: str) -> T:
    """The value of these bytes. Raises `ChainBroken`."""
    try:
        return decode(kind, stored)
    except DecodeError as error:
        raise ChainBroken(height, f"the {words} is damaged: {error}") from error


def _shown(key: bytes) -> str:
    """A key for people: text where it is text, else hexadecimal."""
    text = key.decode(errors="replace")
    return text if text.isprintable() else key.hex()
