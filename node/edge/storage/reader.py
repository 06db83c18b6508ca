"""Reads the ledger's database: the state, the chain, and for verifying it the bytes as they are stored.

Read-only and synchronous: a look-up takes microseconds, where a way through another thread takes hundreds.
Writing is `node.edge.storage.sqlite`'s.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from node.base.codec import DecodeError, decode
from node.base.ports import TransactionRecord
from node.base.types import Block, Certificate, CertifiedBlock, CertifiedHeader, Digest, Header, Height, Receipt
from node.edge.storage.errors import StoreDamaged, StoreForeign, StoreMissing, database_trouble
from node.edge.storage.pages import PageKey, checked, node_of, place, unpacked, upper_pages
from node.ledger.stored import StoredBlock

SCHEMA = 5
CACHE_KIB = 1_024
PAGES_KEPT_MAX = 512
"""Pages of the state tree of at most 2 KiB: a block asks for several nodes of each, and writes to some that the block
before it wrote to. Of so many only the upper ones are kept further. A daemon must not grow with its state."""
WAIT_S = 5.0
"""How long a locked database is waited for."""

# A changed byte may also turn a column's kind or make text of SQLite's own messages that is not UTF-8.
_TROUBLE = (sqlite3.Error, UnicodeDecodeError)

PAGE_BY_NUMBER = "SELECT nodes FROM pages WHERE number = ?"
PAGE_BY_PATH = "SELECT nodes FROM deep_pages WHERE path = ?"

KeptPages = dict[PageKey, bytes | None]
"""Pages of the state tree as they are stored, None where there is none."""

T = TypeVar("T")


class SqliteReader:
    """Implements `StateReader`, `ChainReader` and `StoredChain`. Every method raises `StoreDamaged` in words."""

    def __init__(self, path: Path, *, frozen: bool = False) -> None:
        """Open the database at `path`. Raises `StoreMissing`, `StoreForeign`, `StoreError`.

        `frozen`: everything is read as of now, while the member may go on writing; for commands that read much. Such
        a one may be handed to another thread.
        """
        self._path = path
        self._pages: KeptPages | None = None
        self._base: Height | None = None
        if not path.is_file():
            raise StoreMissing(f"there is no database at {path}: start the member once, or check the folder")
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=WAIT_S, check_same_thread=not frozen
            )
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            if frozen:
                self._connection.execute("BEGIN")
            found = dict(self._connection.execute("SELECT key, value FROM meta"))
        except _TROUBLE as error:
            raise database_trouble(path, error) from error
        if found.get("schema") != SCHEMA:
            raise StoreForeign(f"{path} has the layout {found.get('schema')}, this version reads {SCHEMA}")
        self._chain_id = self._blob(found.get("chain"))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, key: bytes) -> bytes | None:
        """The value at `key` of the state."""
        return self._value("SELECT value FROM state WHERE key = ?", key)

    def node(self, path: bytes) -> bytes | None:
        """The stored form of one node of the state tree."""
        top, slot = place(path)
        if self._pages is None:
            page = self._stored_page(top)
        elif top in self._pages:
            page = self._pages[top]
        else:
            if len(self._pages) >= PAGES_KEPT_MAX:
                self._pages = upper_pages(self._pages)
            page = self._pages[top] = self._stored_page(top)
        return node_of(page, slot)

    def _stored_page(self, top: PageKey) -> bytes | None:
        page = self._value(PAGE_BY_NUMBER if isinstance(top, int) else PAGE_BY_PATH, top)
        return None if page is None else checked(page)

    def begin(self, pages: KeptPages, base: Height | None = None) -> None:
        """Nobody writes until `end` is said: all is read as of now, and pages are kept beside `pages`, the newest.

        `base` is what `base` gives, where that is known; it is asked for after every block.
        """
        self._connection.execute("BEGIN")
        self._pages = pages
        self._base = base

    def end(self) -> tuple[KeptPages, Height | None]:
        """From now on everything is read anew; the pages that were kept, and the base if it was asked for."""
        self._connection.commit()
        (pages, base), self._pages, self._base = (self._pages, self._base), None, None
        assert pages is not None, "it was begun"
        return pages, base

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys of the state with this prefix and their values, ascending; all of one moment."""
        after = _after(prefix)
        if after is None:
            return self._pairs("SELECT key, value FROM state WHERE key >= ? ORDER BY key", (prefix,))
        return self._pairs("SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key", (prefix, after))

    def height(self) -> Height:
        """The height of the last committed block; 0 with none."""
        ((height,),) = self._rows("SELECT max(height) FROM blocks", ())
        return Height(int(height or 0))

    def base(self) -> Height:
        """The lowest height from which on every block is kept whole."""
        if self._base is not None:
            return self._base
        rows = self._rows("SELECT value FROM meta WHERE key = 'base'", ())
        if len(rows) != 1 or not isinstance(rows[0][0], int) or rows[0][0] < 1:
            raise self._damaged("it does not say from where on its blocks are whole")
        base = Height(rows[0][0])
        if self._pages is not None:
            self._base = base
        return base

    def certified_header(self, height: Height) -> CertifiedHeader | None:
        """The header at `height` with its certificate, also of a pruned block."""
        found = self.block(height)
        if found is not None:
            return CertifiedHeader(found.block.header, found.certificate)
        rows = self._rows("SELECT header, certificate FROM headers WHERE height = ?", (height,))
        if not rows:
            return None
        ((header, certificate),) = rows
        return CertifiedHeader(self._decoded(Header, header, height), self._decoded(Certificate, certificate, height))

    def block(self, height: Height) -> CertifiedBlock | None:
        """The block at `height` with its certificate; None below the base."""
        rows = self._rows("SELECT block, certificate FROM blocks WHERE height = ?", (height,))
        if not rows:
            return None
        ((block, certificate),) = rows
        return CertifiedBlock(self._decoded(Block, block, height), self._decoded(Certificate, certificate, height))

    def receipts(self, height: Height) -> tuple[Receipt, ...] | None:
        """The receipts of the block at `height`, in its order."""
        if not self._rows("SELECT 1 FROM blocks WHERE height = ?", (height,)):
            return None
        rows = self._rows("SELECT receipt FROM receipts WHERE height = ? ORDER BY idx", (height,))
        return tuple(self._decoded(Receipt, receipt, height) for (receipt,) in rows)

    def heights_holding(self, needles: Sequence[bytes]) -> Iterator[Height]:
        """The heights of whole blocks in whose bytes one of the needles stands, ascending; blocks are not decoded."""
        found = " OR ".join("instr(block, ?)" for _ in needles)
        try:
            for (height,) in self._connection.execute(
                f"SELECT height FROM blocks WHERE {found} ORDER BY height", needles
            ):
                yield Height(height)
        except _TROUBLE as error:
            raise self._damaged(error) from error

    def transaction(self, id_: Digest) -> TransactionRecord | None:
        """Where the transaction was included."""
        rows = self._rows(
            "SELECT height, idx, receipt FROM transactions JOIN receipts USING (height, idx) WHERE id = ?", (id_,)
        )
        if not rows:
            return None
        ((height, index, receipt),) = rows
        return TransactionRecord(Height(height), index, self._decoded(Receipt, receipt, height))

    def chain_id(self) -> bytes:
        """The chain that the database was made for."""
        return self._chain_id

    def stored_block(self, height: int) -> StoredBlock | None:
        """What is stored for `height`, not decoded."""
        rows = self._rows("SELECT digest, block, certificate FROM blocks WHERE height = ?", (height,))
        if not rows:
            return None
        ((digest, block, certificate),) = rows
        receipts = self._rows("SELECT idx, receipt FROM receipts WHERE height = ? ORDER BY idx", (height,))
        if [at for at, _ in receipts] != list(range(len(receipts))):
            raise StoreDamaged(f"the receipts of height {height} are not numbered from 0 on")
        return StoredBlock(
            self._blob(digest),
            self._blob(block),
            self._blob(certificate),
            tuple(self._blob(receipt) for _, receipt in receipts),
        )

    def stored_header(self, height: int) -> tuple[bytes, bytes] | None:
        """Header and certificate that are kept of a block below the base."""
        rows = self._rows("SELECT header, certificate FROM headers WHERE height = ?", (height,))
        return (self._blob(rows[0][0]), self._blob(rows[0][1])) if rows else None

    def stored_header_heights(self) -> Iterator[int]:
        """The heights of those, ascending."""
        yield from (int(row[0]) for row in self._rows("SELECT height FROM headers ORDER BY height", ()))

    def stored_place(self, id_: Digest) -> tuple[int, int] | None:
        """Height and index that the index of transactions has for this one."""
        rows = self._rows("SELECT height, idx FROM transactions WHERE id = ?", (id_,))
        return rows[0] if rows else None

    def stored_counts(self) -> tuple[int, int, int]:
        """How many blocks, receipts and indexed transactions there are in all."""
        (counts,) = self._rows(
            "SELECT (SELECT count(*) FROM blocks), (SELECT count(*) FROM receipts),"
            " (SELECT count(*) FROM transactions)",
            (),
        )
        return (int(counts[0]), int(counts[1]), int(counts[2]))

    def stored_state(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values of the state, ascending."""
        return self._pairs("SELECT key, value FROM state ORDER BY key", ())

    def stored_nodes(self) -> Iterator[tuple[bytes, bytes]]:
        """All paths and nodes of the state tree, ascending."""
        pages = [
            *self._rows("SELECT number, nodes FROM pages", ()),
            *self._rows("SELECT path, nodes FROM deep_pages", ()),
        ]
        yield from sorted(
            unpacked((key if isinstance(key, int) else self._blob(key), self._blob(nodes)) for key, nodes in pages)
        )

    def _value(self, query: str, key: bytes | int) -> bytes | None:
        try:
            row = self._connection.execute(query, (key,)).fetchone()
        except _TROUBLE as error:
            raise self._damaged(error) from error
        return None if row is None else self._blob(row[0])

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except _TROUBLE as error:
            raise self._damaged(error) from error

    def _pairs(self, query: str, values: Sequence[Any]) -> Iterator[tuple[bytes, bytes]]:
        try:
            for key, value in self._connection.execute(query, values):
                yield self._blob(key), self._blob(value)
        except _TROUBLE as error:
            raise self._damaged(error) from error

    def _blob(self, value: object) -> bytes:
        if not isinstance(value, bytes):
            raise self._damaged("a value is not of the kind that was written")
        return value

    def _decoded(self, kind: type[T], stored: object, height: int) -> T:
        try:
            return decode(kind, self._blob(stored))
        except DecodeError as error:
            raise StoreDamaged(
                f"the {kind.__name__.lower()} at height {height} in {self._path} is damaged: "
                "stop the member and run `lepton chain verify`"
            ) from error

    def _damaged(self, error: Exception | str) -> StoreDamaged:
        return StoreDamaged(f"cannot read {self._path} ({error}): stop the member and run `lepton chain verify`")


def _after(prefix: bytes) -> bytes | None:
    """The first key after all that start with `prefix`; None where there is no end."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None
