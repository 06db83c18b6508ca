"""Reads the ledger's database: the state, the chain, and for verifying it the bytes as they are stored.

Read-only and synchronous: a look-up takes microseconds, where a way through another thread takes hundreds.
Writing is `node.edge.storage.sqlite`'s.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from node.base.codec import DecodeError, decode
from node.base.crown import Crown, CrownEntry
from node.base.ports import TransactionRecord
from node.base.types import Block, Certificate, CertifiedBlock, CertifiedHeader, Digest, Header, Height, Receipt
from node.edge.storage.crown import slice_entries, touched_prefixes
from node.edge.storage.errors import StoreDamaged, StoreForeign, StoreMissing, database_trouble
from node.ledger.stored import StoredBlock
from node.ledger.tree import bottom_entry, fill, is_page, tree_rows

SCHEMA = 7
CACHE_KIB = 1_024
WAIT_S = 5.0
"""How long a locked database is waited for."""

# A changed byte may also turn a column's kind or make text of SQLite's own messages that is not UTF-8.
_TROUBLE = (sqlite3.Error, UnicodeDecodeError)

T = TypeVar("T")


class SqliteReader:
    """Implements `StateReader`, `ChainReader` and `StoredChain`. Every method raises `StoreDamaged` in words."""

    def __init__(self, path: Path, *, frozen: bool = False) -> None:
        """Open the database at `path`. Raises `StoreMissing`, `StoreForeign`, `StoreError`.

        `frozen`: everything is read as of now, while the member may go on writing; for commands that read much. Such
        a one may be handed to another thread.
        """
        self._path = path
        self._crown: Crown | None = None
        self._is_begun = False
        self._base: Height | None = None
        if not path.is_file():
            raise StoreMissing(f"there is no database at {path}: start the member once, or check the folder")
        try:
            self._own = self._connection = sqlite3.connect(
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
        """Close its own connection."""
        self._own.close()

    def get(self, key: bytes) -> bytes | None:
        """The value at `key` of the state."""
        return self._value("SELECT value FROM state WHERE key = ?", key)

    @property
    def crown(self) -> Crown:
        """The upper levels of the state's tree: read when they are first asked for, then kept by who writes."""
        if self._crown is None:
            crown = Crown()
            fill(crown, self._bottom())
            self._crown = crown
        return self._crown

    def _bottom(self) -> Iterator[CrownEntry]:
        for number, packed in self._rows("SELECT number, nodes FROM crown", ()):
            yield from slice_entries(number, self._blob(packed))
        touched = self._rows("SELECT prefixes FROM touched", ())
        for prefix in {prefix for (packed,) in touched for prefix in touched_prefixes(self._blob(packed))}:
            yield bottom_entry(self.page, prefix)

    def turn(self) -> int:
        """How many slices of the crown have been written in turn."""
        ((turn,),) = self._rows("SELECT max(turn) FROM touched", ())
        return turn or 0

    def page(self, number: int) -> bytes | None:
        """A page of the state's tree."""
        page = self._value("SELECT keys FROM pages WHERE number = ?", number)
        if page is not None and not is_page(page):
            raise self._damaged("a page of the state's tree is not of the form that was written")
        return page

    def begin(self, writer: sqlite3.Connection, base: Height | None = None) -> None:
        """Nobody writes until `end` is said: all is read as of now, through the connection that writes.

        That one keeps what it read and wrote, where every block voids the cache of any other connection. `base` is
        what `base` gives, where that is known; it is asked for after every block. Raises `StoreError`.
        """
        try:
            writer.execute("BEGIN")
        except sqlite3.Error as error:
            raise database_trouble(self._path, error) from error
        self._connection = writer
        self._is_begun = True
        self._base = base

    def end(self) -> Height | None:
        """From now on everything is read anew, through its own connection; the base if it was asked for."""
        self._connection.commit()
        self._connection = self._own
        base, self._is_begun, self._base = self._base, False, None
        return base

    def replaced(self, crown: Crown) -> None:
        """The state is another one, with this crown."""
        self._crown = crown

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
        if self._is_begun:
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

    def stored_tree(self) -> Iterator[tuple[bytes, bytes]]:
        """The state's tree as `tree_rows` gives it."""
        yield from tree_rows(self._numbered(), self.crown)

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        try:
            for number, page in self._connection.execute("SELECT number, keys FROM pages ORDER BY number"):
                if number <= 0:
                    raise self._damaged("a page of the state's tree has a number that none has")
                yield number, self._blob(page)
        except _TROUBLE as error:
            raise self._damaged(error) from error

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
