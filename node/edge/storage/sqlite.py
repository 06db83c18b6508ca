"""The member's ledger in one SQLite file: one SQLite transaction per block, synced before it counts.

One connection writes (SQLite's WAL had a corruption with two writers), in aiosqlite's thread or, where that is short,
on the loop's. Reading is `SqliteReader`'s: through the same connection while nobody writes, so that what a block reads
is at hand when it is written and the next one is read, and through one of its own while the thread writes. A restart at
any instant finds the state after some whole block.

=================================  ============================================
table                              holds
=================================  ============================================
``meta(key, value)``               `schema` (the layout's number), `chain`, `base` (the lowest whole block), `syncs`
``blocks(height, digest, block, certificate)``
``headers(height, header, certificate)``  of blocks below the base: pruned ones, and those that a trust path needs
``receipts(height, idx, receipt)`` in the order of the block's transactions
``transactions(id, height, idx)``  where each transaction stands
``state(key, value)``              after the last block
``pages(number, keys)``            the lower part of the state's Merkle tree
``crown(number, nodes)``           its upper part, by slices of a level, some of them older than the last block
``touched(turn, prefixes)``        which pages were changed since the oldest slice was written
=================================  ============================================
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiosqlite

from node.base.codec import encode
from node.base.crown import Crown
from node.base.ports import NewBase, Writes
from node.base.types import CertifiedBlock, CertifiedHeader, Digest, Height, Receipt
from node.edge.storage.crown import crown_statements, turn_after, whole_crown
from node.edge.storage.errors import StoreDamaged, StoreError, StoreForeign, database_trouble
from node.edge.storage.reader import SCHEMA, WAIT_S, SqliteReader

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    "CREATE TABLE blocks (height INTEGER PRIMARY KEY, digest BLOB NOT NULL, block BLOB NOT NULL,"
    " certificate BLOB NOT NULL)",
    "CREATE TABLE headers (height INTEGER PRIMARY KEY, header BLOB NOT NULL, certificate BLOB NOT NULL)",
    "CREATE TABLE receipts (height INTEGER NOT NULL, idx INTEGER NOT NULL, receipt BLOB NOT NULL,"
    " PRIMARY KEY (height, idx)) WITHOUT ROWID",
    "CREATE TABLE transactions (id BLOB PRIMARY KEY, height INTEGER NOT NULL, idx INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    # By number, because SQLite keeps whole rows in the inner nodes of a table without: seven to read on the way to one.
    "CREATE TABLE pages (number INTEGER PRIMARY KEY, keys BLOB NOT NULL)",
    "CREATE TABLE crown (number INTEGER PRIMARY KEY, nodes BLOB NOT NULL)",
    "CREATE TABLE touched (turn INTEGER PRIMARY KEY, prefixes BLOB NOT NULL)",
)

CACHE_KIB = 2_048
PAGE_BYTES = 2_048
"""A block changes keys all over the state, each on a page that is read, summed and logged whole. Of a new database; one
that is there keeps its own."""
PRUNED_AT_ONCE = 200
FEW_ROWS = 512
SHORT_S = 0.002
"""Few rows on a disk that is usually done in this time are written where it is asked for: the way to the writer's
thread and back costs a member more than that, on the path of every block. A slower disk must not hold up the loop."""
_BY_HEIGHT = ("blocks", "receipts", "transactions")
_REPLACED = ("blocks", "headers", "receipts", "transactions", "state", "pages", "crown", "touched")

_Statement = tuple[str, Sequence[tuple[Any, ...]] | None]
"""A statement and the rows to run it with, None for one without rows."""


class SqliteStore:
    """Implements the port `Store`. Made by `open`; one per database at a time."""

    def __init__(self, path: Path, writer: "_Writer", reader: SqliteReader) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._writing = asyncio.Lock()
        self._crown = reader.crown
        # A daemon that will need it in a month must find out today that the machine is too small.
        self._crown.reserve()
        self._turn = reader.turn()
        """How many slices of the crown have been written in turn."""
        self._usual_s = 0.0
        """What writing few rows takes."""

    @classmethod
    async def open(cls, path: Path, chain: Digest, founding: Writes) -> Self:
        """Open the chain's database, made with the genesis state `founding` where there is none.

        Raises `StoreForeign` for another chain's database, `StoreDamaged` where the tree is not that of the last block,
        `StoreError` where the disk refuses.
        """
        async with AsyncExitStack() as opened:
            writer = await _connected(path)
            opened.push_async_callback(writer.close)
            if await _is_empty(path, writer):
                await _create(path, writer, chain, founding)
            reader = SqliteReader(path)
            opened.callback(reader.close)
            if reader.chain_id() != chain:
                raise StoreForeign(f"{path} holds another chain than the genesis file: each network has its own folder")
            reader.begin(writer.here)
            _check_crown(reader, founding)
            store = cls(path, writer, reader)
            opened.pop_all()
        return store

    @property
    def state(self) -> SqliteReader:
        """Reads the state."""
        return self._reader

    @property
    def chain(self) -> SqliteReader:
        """Reads the chain."""
        return self._reader

    async def commit(
        self, certified: CertifiedBlock, receipts: Sequence[Receipt], writes: Writes, *, durable: bool = True
    ) -> None:
        """Write block, certificate, receipts and state in one transaction.

        A `durable` one is synced before this returns, with all before it; another may be lost with the power, never
        in part and never before an older one. Raises `StoreError` when the disk refuses; then nothing of it is
        written. A cancelled caller leaves no half: what was begun is finished.
        """
        statements, done = self._statements(certified, receipts, writes), partial(self._done, writes)
        if len(receipts) + len(writes.state) + len(writes.pages) > FEW_ROWS:
            await self._write(statements, durable=durable, done=done)
            return
        since = time.monotonic()
        here = self._usual_s < SHORT_S and not self._writing.locked()
        if here:
            self._write_here(statements, durable, done)
        else:
            await self._write(statements, durable=durable, done=done)
        self._usual_s += (time.monotonic() - since - self._usual_s) / 16
        if here:
            # Of a row of blocks that are taken over, each lets others have their turn.
            await asyncio.sleep(0)

    def _statements(
        self, certified: CertifiedBlock, receipts: Sequence[Receipt], writes: Writes
    ) -> Iterator[_Statement]:
        """Asked for when it is this block's turn: they depend on what the one before it did to the crown."""
        yield from _block_statements(certified, receipts)
        yield from _writes_statements(writes)
        yield from crown_statements(self._crown, writes.crown, self._turn)

    def _done(self, writes: Writes) -> None:
        self._turn = turn_after(self._turn, writes.crown)
        self._crown.apply(writes.crown)

    async def replace(self, base: NewBase) -> None:
        """Put this block and state in the place of everything, in one transaction, synced before this returns.

        The state root is checked before it counts. Raises `StoreError`, and what reading `base.writes` raises; then
        everything is as before.
        """
        header, crown = base.certified.block.header, Crown()

        def statements() -> Iterator[_Statement]:
            for table in _REPLACED:
                yield f"DELETE FROM {table}", None
            for part in base.writes():
                yield from _writes_statements(part)
                crown.apply(part.crown)
            if crown.digest(1) != header.state_root:
                raise StoreDamaged("the state that was put together is not the one that the block covers")
            yield whole_crown(crown)
            yield from _block_statements(base.certified, base.receipts)
            yield from _header_statements(kept for kept in base.headers if kept.header.height < header.height)
            yield "UPDATE meta SET value = ? WHERE key = ?", [(header.height, "base")]

        def done() -> None:
            crown.reserve()
            self._crown, self._turn = crown, 0
            self._reader.replaced(crown)

        await self._write(statements(), durable=True, same_base=False, done=done)

    async def prune(self, base: Height) -> None:
        """Keep of the blocks below `base` their headers and certificates only. Raises `StoreError`.

        In steps of `PRUNED_AT_ONCE`, so that a block need not wait long for the writer.
        """
        low = self._reader.base()
        while low < base:
            stop = min(base, low + PRUNED_AT_ONCE)
            headers = await asyncio.to_thread(_headers, self._path, low, stop)
            statements = [
                *_header_statements(headers),
                *((f"DELETE FROM {table} WHERE height < ?", [(stop,)]) for table in _BY_HEIGHT),
                ("UPDATE meta SET value = ? WHERE key = ?", [(stop, "base")]),
            ]
            await self._write(statements, durable=True, same_base=False)
            low = Height(stop)

    async def sync(self) -> None:
        """Make durable all that was committed. Raises `StoreError`."""
        # SQLite syncs its log with a transaction that writes, and leaves out a write that changes nothing.
        count = "INSERT INTO meta VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET value = value + 1"
        await self._write([(count, [("syncs",)])], durable=True)

    async def _write(
        self,
        statements: Iterable[_Statement],
        *,
        durable: bool,
        same_base: bool = True,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        await asyncio.shield(asyncio.ensure_future(self._in_turn(statements, durable, same_base, done)))

    async def _in_turn(
        self, statements: Iterable[_Statement], durable: bool, same_base: bool, done: Callable[[], None]
    ) -> None:
        async with self._writing:
            base = self._reader.end()
            try:
                await self._writer.transaction(self._path, statements, durable=durable)
                done()
            finally:
                self._reader.begin(self._writer.here, base if same_base else None)

    def _write_here(self, statements: Iterable[_Statement], durable: bool, done: Callable[[], None]) -> None:
        """Nobody else is writing, and nobody comes between."""
        base = self._reader.end()
        try:
            self._writer.transaction_here(self._path, statements, durable=durable)
            done()
        finally:
            self._reader.begin(self._writer.here, base)

    async def close(self) -> None:
        """Finish what is being written and close the file."""
        async with self._writing:
            self._reader.end()
            self._reader.close()
            await self._writer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Writer(aiosqlite.Connection):
    """The writing connection. A transaction is one way to its thread and back, not one for each statement; or none."""

    def __init__(self, path: Path) -> None:
        def connected() -> sqlite3.Connection:
            return sqlite3.connect(path, isolation_level=None, timeout=WAIT_S, check_same_thread=False)

        super().__init__(connected, iter_chunk_size=64)
        self._synced = True

    @property
    def here(self) -> sqlite3.Connection:
        """The connection, for this thread, while nothing is under way on the own one."""
        return self._conn

    async def transaction(self, path: Path, statements: Iterable[_Statement], *, durable: bool) -> None:
        """All statements or none. Raises `StoreError`, and what the statements raise."""
        try:
            await self._execute(self._run, statements, durable)  # type: ignore[no-untyped-call]
        except sqlite3.Error as error:
            raise database_trouble(path, error) from error

    def transaction_here(self, path: Path, statements: Iterable[_Statement], *, durable: bool) -> None:
        """As `transaction`, on this thread, while nothing is under way on the own one."""
        try:
            self._run(statements, durable)
        except sqlite3.Error as error:
            raise database_trouble(path, error) from error

    def _run(self, statements: Iterable[_Statement], durable: bool) -> None:
        connection = self.here
        if durable != self._synced:
            # In WAL mode NORMAL leaves out the sync after a commit and nothing else: the order of commits holds, and
            # the next FULL one makes those before it durable, too.
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._synced = durable
        try:
            connection.execute("BEGIN IMMEDIATE")
            for words, rows in statements:
                if rows is None:
                    connection.execute(words)
                elif rows:
                    connection.executemany(words, rows)
            connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after most troubles of the disk, and then refuses this.
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


async def _connected(path: Path) -> _Writer:
    try:
        writer = _Writer(path)
        await writer
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {path} ({error}): check the folder's owner and the disk") from error
    try:
        await writer.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        await writer.execute("PRAGMA journal_mode = WAL")
        await writer.execute("PRAGMA synchronous = FULL")
        await writer.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except sqlite3.Error as error:
        await writer.close()
        raise database_trouble(path, error) from error
    return writer


async def _is_empty(path: Path, writer: aiosqlite.Connection) -> bool:
    try:
        async with writer.execute("SELECT count(*) FROM sqlite_master") as cursor:
            row = await cursor.fetchone()
    except sqlite3.Error as error:
        raise database_trouble(path, error) from error
    return row is not None and row[0] == 0


async def _create(path: Path, writer: _Writer, chain: Digest, founding: Writes) -> None:
    """All tables and the genesis state, at once or not at all."""
    statements: list[_Statement] = [(table, None) for table in _TABLES]
    statements.append(("INSERT INTO meta VALUES (?, ?)", [("schema", SCHEMA), ("chain", chain), ("base", 1)]))
    statements.extend(_writes_statements(founding))
    crown = Crown()
    crown.apply(founding.crown)
    statements.append(whole_crown(crown))
    await writer.transaction(path, statements, durable=True)


def _check_crown(reader: SqliteReader, founding: Writes) -> None:
    """Raises `StoreDamaged` where the tree that was read is not the one that the last block covers.

    Every later block would come out false, and its proposers would be blamed.
    """
    last = reader.block(reader.height())
    expected = founding.crown[-1][2] if last is None else last.block.header.state_root
    if reader.crown.digest(1) != expected:
        raise StoreDamaged("the state's tree is not the one that the last block covers: run `lepton chain verify`")


def _block_statements(certified: CertifiedBlock, receipts: Sequence[Receipt]) -> list[_Statement]:
    block, height = certified.block, certified.block.header.height
    assert len(receipts) == len(block.transactions), "one receipt for each transaction"
    row = (height, block.digest, encode(block), encode(certified.certificate))
    return [
        ("INSERT INTO blocks VALUES (?, ?, ?, ?)", [row]),
        (
            "INSERT INTO receipts VALUES (?, ?, ?)",
            [(height, index, encode(receipt)) for index, receipt in enumerate(receipts)],
        ),
        (
            "INSERT INTO transactions VALUES (?, ?, ?)",
            [(transaction.id, height, index) for index, transaction in enumerate(block.transactions)],
        ),
    ]


def _headers(path: Path, start: int, stop: int) -> list[CertifiedHeader]:
    reader = SqliteReader(path, frozen=True)
    try:
        return [found for at in range(start, stop) if (found := reader.certified_header(Height(at)))]
    finally:
        reader.close()


def _header_statements(headers: Iterable[CertifiedHeader]) -> list[_Statement]:
    rows = [(kept.header.height, encode(kept.header), encode(kept.certificate)) for kept in headers]
    return [("INSERT OR IGNORE INTO headers VALUES (?, ?, ?)", rows)]


def _writes_statements(writes: Writes) -> list[_Statement]:
    return [
        ("DELETE FROM state WHERE key = ?", [(key,) for key, value in writes.state if value is None]),
        (
            "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [(key, value) for key, value in writes.state if value is not None],
        ),
        ("DELETE FROM pages WHERE number = ?", [(number,) for number, page in writes.pages if page is None]),
        ("INSERT OR REPLACE INTO pages VALUES (?, ?)", [row for row in writes.pages if row[1] is not None]),
    ]
