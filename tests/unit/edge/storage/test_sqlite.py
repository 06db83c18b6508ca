"""The ledger on disk: whole blocks or nothing, one chain per file, and a verifier that finds any changed byte."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, get_ident

import pytest

from node.base.crypto import digest
from node.base.ports import Writes
from node.base.types import Digest, Genesis, Height
from node.edge.storage import crown
from node.edge.storage import sqlite as sqlite_module
from node.edge.storage.errors import StoreDamaged, StoreError, StoreForeign, StoreMissing
from node.edge.storage.reader import SqliteReader
from node.edge.storage.sqlite import FEW_ROWS, SHORT_S, SqliteStore
from node.ledger.contracts.contract import view
from node.ledger.contracts.sharing import Register, data_set
from node.ledger.errors import ChainBroken
from node.ledger.genesis import genesis_writes
from node.ledger.memory import MemoryState
from node.ledger.proofs import verify_chain
from node.ledger.tree import state_root, tree_rows, updated
from node.testing.founding import Founding, MemoryChain
from node.testing.signing import verify_hash

BLOCKS = 5


async def open_store(path: Path, founding: Founding) -> SqliteStore:
    return await SqliteStore.open(path, founding.chain, genesis_writes(founding.genesis))


def whole_tree(chain: MemoryChain) -> list[tuple[bytes, bytes]]:
    return list(tree_rows(sorted(chain.state.pages.items()), chain.state.crown))


async def write(store: SqliteStore, chain: MemoryChain, count: int = 1) -> None:
    """Grow the chain by blocks with two transactions each, one of them refused."""
    for _ in range(count):
        at = chain.height
        good = chain.founding.transaction("ada", at, "sharing", "register", Register(f"d{at}", Digest(digest("c"))))
        bad = chain.founding.transaction("bob", at, "sharing", "authorize", b"")
        executed = chain.extend(good, bad)
        await store.commit(chain.certified[-1], executed.receipts, executed.writes)


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[tuple[SqliteStore, MemoryChain]]:
    chain = MemoryChain(Founding())
    async with await open_store(tmp_path / "ledger.sqlite", chain.founding) as store:
        await write(store, chain, BLOCKS)
        yield store, chain


async def test_what_was_committed_is_read(written: tuple[SqliteStore, MemoryChain]) -> None:
    store, chain = written
    assert store.chain.height() == BLOCKS
    for at in range(1, BLOCKS + 1):
        assert store.chain.block(Height(at)) == chain.certified[at - 1]
        assert store.chain.receipts(Height(at)) == chain.executed[at - 1].receipts
    assert store.chain.block(Height(BLOCKS + 1)) is None
    assert store.chain.receipts(Height(BLOCKS + 1)) is None
    transaction = chain.certified[2].block.transactions[1]
    record = store.chain.transaction(transaction.id)
    assert record is not None
    assert (record.height, record.index, record.receipt) == (3, 1, chain.executed[2].receipts[1])
    assert store.chain.transaction(Digest(bytes(32))) is None


async def test_few_rows_are_written_where_it_is_asked_for_until_the_disk_is_slow(
    written: tuple[SqliteStore, MemoryChain],
) -> None:
    store, chain = written
    connection, threads = store._writer.here, set()
    connection.set_trace_callback(partial(note_writer, threads))
    await write(store, chain)
    assert threads == {get_ident()}

    connection.create_function("wait_for_the_disk", 0, lambda: time.sleep(20 * SHORT_S))
    connection.execute("CREATE TEMP TRIGGER slow AFTER INSERT ON blocks BEGIN SELECT wait_for_the_disk(); END")
    await write(store, chain)
    threads.clear()
    await write(store, chain)
    assert get_ident() not in threads
    assert store.chain.height() == BLOCKS + 3


async def test_many_rows_are_written_on_a_thread_of_their_own(written: tuple[SqliteStore, MemoryChain]) -> None:
    store, chain = written
    executed, threads = chain.extend(), set()
    many = tuple((b"many/%04d" % number, b"value") for number in range(FEW_ROWS))
    store._writer.here.set_trace_callback(partial(note_writer, threads))
    await store.commit(chain.certified[-1], executed.receipts, replace(executed.writes, state=many))

    assert threads
    assert get_ident() not in threads
    assert store.state.get(b"many/0000") == b"value"


def note_writer(threads: set[int], words: str) -> None:
    if words.startswith("INSERT"):
        threads.add(get_ident())


async def test_what_was_committed_is_read_as_it_was_while_the_thread_writes(
    written: tuple[SqliteStore, MemoryChain],
) -> None:
    store, chain = written
    executed, begun, may_end = chain.extend(), Event(), Event()
    many = tuple((b"many/%04d" % number, b"value") for number in range(FEW_ROWS))
    store._writer.here.create_function("wait_until_it_was_read", 0, lambda: begun.set() or may_end.wait(60))
    store._writer.here.execute(
        "CREATE TEMP TRIGGER held AFTER INSERT ON blocks BEGIN SELECT wait_until_it_was_read(); END"
    )
    commit = asyncio.ensure_future(
        store.commit(chain.certified[-1], executed.receipts, replace(executed.writes, state=many))
    )
    assert await asyncio.to_thread(begun.wait, 60)
    try:
        assert store.chain.height() == BLOCKS
        assert store.state.get(b"many/0000") is None
    finally:
        may_end.set()
    await commit
    assert store.chain.height() == BLOCKS + 1
    assert store.state.get(b"many/0000") == b"value"


async def test_a_block_is_read_through_the_connection_that_wrote_it(written: tuple[SqliteStore, MemoryChain]) -> None:
    """Another connection's cache is void after every block."""
    store, chain = written
    await write(store, chain)
    asked: list[str] = []
    store._writer.here.set_trace_callback(asked.append)
    assert store.chain.height() == BLOCKS + 1
    assert asked


async def test_what_the_disk_refuses_is_not_there_wherever_it_was_written(
    written: tuple[SqliteStore, MemoryChain],
) -> None:
    store, chain = written
    store._writer.here.execute(
        "CREATE TEMP TRIGGER full AFTER INSERT ON transactions BEGIN SELECT raise(ABORT, 'disk is full'); END"
    )
    with pytest.raises(StoreError):
        await write(store, chain)

    assert store.chain.height() == BLOCKS
    assert store.chain.block(Height(BLOCKS + 1)) is None
    assert list(store.state.stored_tree()) != whole_tree(chain)


async def test_the_state_is_the_one_in_memory(written: tuple[SqliteStore, MemoryChain]) -> None:
    store, chain = written
    assert dict(store.state.scan(b"")) == chain.state.values
    assert list(store.state.stored_tree()) == whole_tree(chain)
    assert state_root(store.state) == chain.certified[-1].block.header.state_root
    assert list(store.state.scan(b"sharing/data/")) == list(chain.state.scan(b"sharing/data/"))
    assert data_set(view(store.state, "sharing"), "ada/d0") is not None
    assert store.state.get(b"nothing") is None


async def test_the_crown_is_read_from_slices_of_any_age(tmp_path: Path) -> None:
    """Every block changes so much that it writes half of them, so notes are dropped on the way."""
    chain, path, kept = MemoryChain(Founding()), tmp_path / "ledger.sqlite", []
    state = MemoryState()
    state.apply(genesis_writes(chain.founding.genesis))
    async with await open_store(path, chain.founding) as store:
        for block in range(4):
            changes = tuple((b"%d/%05d" % (block % 3, number), b"%d" % block) for number in range(9 * crown.SLICES))
            tree = updated(state, changes)
            writes = Writes(changes, tree.pages, tree.crown)
            executed = chain.extend()
            await store.commit(chain.certified[-1], executed.receipts, writes)
            state.apply(writes)
            kept.append(store._writer.here.execute("SELECT count(*) FROM touched").fetchone()[0])
            reader = SqliteReader(path)
            assert list(reader.stored_tree()) == list(tree_rows(sorted(state.pages.items()), state.crown))
            reader.close()
    assert kept == [1, 2, 2, 2]


async def test_a_store_takes_the_crowns_memory_when_it_opens_and_no_more(tmp_path: Path) -> None:
    def taken() -> int:
        return sum({id(part): sys.getsizeof(part) for part in store.state.crown.segments}.values())

    chain = MemoryChain(Founding())
    async with await open_store(tmp_path / "ledger.sqlite", chain.founding) as store:
        before = taken()
        await write(store, chain, 20)

        assert state_root(store.state) == state_root(chain.state)
        assert taken() == before > 32 << 20


async def test_the_crown_is_whole_when_few_slices_were_written(written: tuple[SqliteStore, MemoryChain]) -> None:
    store, chain = written
    reader = SqliteReader(store._path)
    assert reader.turn() == store._turn < crown.SLICES
    assert reader.crown is not store.state.crown
    assert list(reader.stored_tree()) == whole_tree(chain)
    reader.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE crown SET nodes = substr(nodes, 1, 64) || randomblob(2048)",
        "UPDATE crown SET nodes = x'00'",
        "DELETE FROM touched",
        "UPDATE pages SET keys = substr(keys, 1, length(keys) - 1) || x'ff'",
    ],
)
async def test_a_tree_that_is_not_the_last_blocks_is_not_opened(tmp_path: Path, damage: str) -> None:
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    async with await open_store(path, chain.founding) as store:
        await write(store, chain, 2)
    with sqlite3.connect(path) as other:
        other.execute(damage)
    other.close()
    with pytest.raises(StoreDamaged, match="lepton chain verify"):
        await open_store(path, chain.founding)


async def test_a_block_builds_on_the_stored_state(written: tuple[SqliteStore, MemoryChain]) -> None:
    store, chain = written
    in_memory = chain.build()
    memory_state, chain.state = chain.state, store.state  # type: ignore[assignment]
    assert chain.build() == in_memory
    chain.state = memory_state


async def test_it_opens_again_where_it_was(tmp_path: Path) -> None:
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    for _ in range(3):
        async with await open_store(path, chain.founding) as store:
            assert store.chain.height() == chain.height
            await write(store, chain)


async def test_another_chains_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    async with await open_store(path, Founding()):
        pass
    with pytest.raises(StoreForeign, match="another chain"):
        await open_store(path, Founding(name="other"))


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreForeign):
        await open_store(path, Founding())
    with pytest.raises(StoreForeign):
        SqliteReader(path)
    with pytest.raises(StoreMissing):
        SqliteReader(tmp_path / "elsewhere")


async def test_a_disk_that_refuses_leaves_nothing_of_the_block(tmp_path: Path) -> None:
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    async with await open_store(path, chain.founding) as store:
        await write(store, chain)
        before, tree = dict(store.state.scan(b"")), whole_tree(chain)
        with sqlite3.connect(path) as other:
            # The block's last table refuses, after all others were written.
            other.execute("CREATE TRIGGER full BEFORE INSERT ON pages BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        other.close()
        with pytest.raises(StoreError, match="disk full"):
            await write(store, chain)
        assert store.chain.height() == 1
        assert dict(store.state.scan(b"")) == before
        assert list(store.state.stored_tree()) == tree
        assert store.chain.stored_counts() == (1, 2, 2)
        with sqlite3.connect(path) as other:
            other.execute("DROP TRIGGER full")
        other.close()
        executed = chain.executed[-1]
        await store.commit(chain.certified[-1], executed.receipts, executed.writes)
        assert store.chain.height() == 2


@pytest.mark.parametrize("cut", range(6))
async def test_a_crash_at_any_instant_leaves_whole_blocks(tmp_path: Path, cut: int) -> None:
    """A copy of the files in mid-flight, the log cut at any place: what a power loss leaves."""
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    crashed = tmp_path / "crashed.sqlite"
    async with await open_store(path, chain.founding) as store:
        await write(store, chain, 3)
        log = (tmp_path / "ledger.sqlite-wal").read_bytes()
        crashed.write_bytes(path.read_bytes())
        (tmp_path / "crashed.sqlite-wal").write_bytes(log[: len(log) * (cut + 5) // 10 - 7 * cut])
    async with await open_store(crashed, chain.founding) as store:
        height = store.chain.height()
        found = verify_chain(chain.founding.genesis, store.chain, verify_hash)
        assert found.height == height <= 3
        for at in range(height, 3):
            executed = chain.executed[at]
            await store.commit(chain.certified[at], executed.receipts, executed.writes)
        assert verify_chain(chain.founding.genesis, store.chain, verify_hash).height == 3


async def test_a_damaged_block_is_an_error_in_words(tmp_path: Path) -> None:
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    async with await open_store(path, chain.founding) as store:
        await write(store, chain, 2)
        with sqlite3.connect(path) as other:
            other.execute("UPDATE blocks SET block = x'00' WHERE height = 2")
        other.close()
        with pytest.raises(StoreDamaged, match="lepton chain verify"):
            store.chain.block(Height(2))


async def test_a_running_member_is_verified_as_of_one_moment(tmp_path: Path) -> None:
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    async with await open_store(path, chain.founding) as store:
        await write(store, chain, 2)
        frozen = SqliteReader(path, frozen=True)
        await write(store, chain)
        assert (frozen.height(), store.chain.height()) == (2, 3)
        assert verify_chain(chain.founding.genesis, frozen, verify_hash).height == 2
        frozen.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Founding, int]:
    """The bytes of a closed database, with its founding and height."""
    path = tmp_path_factory.mktemp("image") / "ledger.sqlite"
    chain = MemoryChain(Founding())

    async def make() -> None:
        async with await open_store(path, chain.founding) as store:
            await write(store, chain, BLOCKS)

    asyncio.run(make())
    assert not path.with_name("ledger.sqlite-wal").exists()
    return path.read_bytes(), chain.founding, BLOCKS


@pytest.fixture
def copy(tmp_path: Path, image: tuple[bytes, Founding, int]) -> Path:
    path = tmp_path / "copy.sqlite"
    path.write_bytes(image[0])
    return path


def broken(path: Path, genesis: Genesis) -> ChainBroken:
    reader = SqliteReader(path)
    try:
        with pytest.raises(ChainBroken) as caught:
            verify_chain(genesis, reader, verify_hash)
    finally:
        reader.close()
    return caught.value


def test_a_whole_chain_verifies(copy: Path, image: tuple[bytes, Founding, int]) -> None:
    reader = SqliteReader(copy)
    seen: list[int] = []
    found = verify_chain(image[1].genesis, reader, verify_hash, seen.append)
    reader.close()
    assert (found.height, found.transactions) == (BLOCKS, 2 * BLOCKS)
    assert seen == list(range(1, BLOCKS + 1))


def test_another_genesis_does_not_verify(copy: Path) -> None:
    assert broken(copy, Founding(name="other").genesis).height == 0


def _flips(length: int) -> Iterator[int]:
    """Places of a value to change: its first bytes, its last, and some between."""
    yield from sorted({*range(0, length, max(1, length // 40)), length - 1})


@pytest.mark.parametrize("column", ["digest", "block", "certificate"])
@pytest.mark.parametrize("height", [1, 3, BLOCKS])
def test_any_flipped_byte_of_a_block_is_named_by_height(
    copy: Path, image: tuple[bytes, Founding, int], column: str, height: int
) -> None:
    with sqlite3.connect(copy) as database:
        query = f"SELECT {column} FROM blocks WHERE height = ?"
        ((whole,),) = database.execute(query, (height,)).fetchall()
    for at in _flips(len(whole)):
        changed = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
        with database:
            database.execute(f"UPDATE blocks SET {column} = ? WHERE height = ?", (changed, height))
        assert broken(copy, image[1].genesis).height == height, f"byte {at} of {column}"
    database.close()


@pytest.mark.parametrize(
    ("change", "height"),
    [
        ("UPDATE receipts SET receipt = substr(receipt, 1, 40) || x'00' WHERE height = 2 AND idx = 1", 2),
        ("UPDATE receipts SET idx = 7 WHERE height = 3 AND idx = 1", 3),
        ("UPDATE receipts SET height = 99 WHERE height = 4", 4),
        ("DELETE FROM receipts WHERE height = 4", 4),
        ("INSERT INTO receipts VALUES (99, 0, x'00')", BLOCKS),
        ("UPDATE transactions SET id = zeroblob(32) WHERE height = 2 AND idx = 0", 2),
        ("UPDATE transactions SET height = 1 WHERE height = 2 AND idx = 0", 2),
        ("INSERT INTO transactions VALUES (zeroblob(32), 99, 0)", BLOCKS),
        ("DELETE FROM blocks WHERE height = 3", 3),
        ("UPDATE blocks SET height = 1000 WHERE height = 5", 5),
        ("UPDATE blocks SET block = (SELECT block FROM blocks WHERE height = 2) WHERE height = 3", 3),
        ("UPDATE blocks SET certificate = (SELECT certificate FROM blocks WHERE height = 2) WHERE height = 3", 3),
        ("DELETE FROM blocks WHERE height = 5", BLOCKS - 1),
        ("UPDATE state SET value = value || x'00' WHERE key = CAST('sharing/data/ada/d0' AS BLOB)", BLOCKS),
        ("DELETE FROM state WHERE key = CAST('sys/nonce/ada' AS BLOB)", BLOCKS),
        ("INSERT INTO state VALUES (CAST('sharing/data/eve/d0' AS BLOB), x'00')", BLOCKS),
        ("UPDATE pages SET keys = keys || x'00' WHERE number = (SELECT max(number) FROM pages)", BLOCKS),
        ("DELETE FROM pages WHERE number = (SELECT max(number) FROM pages)", BLOCKS),
        ("UPDATE touched SET prefixes = prefixes || x'ffffffff' WHERE turn = 1", BLOCKS),
        ("UPDATE crown SET nodes = nodes || x'00' WHERE number = 0", BLOCKS),
        ("UPDATE meta SET value = zeroblob(32) WHERE key = 'chain'", 0),
    ],
)
def test_a_changed_row_is_named_by_height(
    copy: Path, image: tuple[bytes, Founding, int], change: str, height: int
) -> None:
    with sqlite3.connect(copy) as database:
        assert database.execute(change).rowcount > 0
    database.close()
    assert broken(copy, image[1].genesis).height == height


def test_a_changed_state_names_its_key(copy: Path, image: tuple[bytes, Founding, int]) -> None:
    with sqlite3.connect(copy) as database:
        database.execute("DELETE FROM state WHERE key = CAST('sys/nonce/ada' AS BLOB)")
    database.close()
    assert "sys/nonce/ada" in str(broken(copy, image[1].genesis))


def test_a_flip_in_the_file_itself_is_found(copy: Path, image: tuple[bytes, Founding, int]) -> None:
    """One byte of each block's, receipt's and value's own bytes, where they stand in the file."""
    whole, founding, _ = image
    with sqlite3.connect(copy) as database:
        cells = [row[0] for row in database.execute("SELECT block FROM blocks UNION ALL SELECT value FROM state")]
    database.close()
    found = 0
    for cell in cells:
        if cell not in whole:  # it continues on an overflow page
            continue
        found += 1
        middle = len(cell) // 2
        # Everywhere: a cell that SQLite moved leaves its bytes behind in a leaf's free room.
        copy.write_bytes(whole.replace(cell, cell[:middle] + bytes((cell[middle] ^ 0x80,)) + cell[middle + 1 :]))
        assert 1 <= broken(copy, founding.genesis).height <= BLOCKS
    assert found > BLOCKS


async def test_commits_that_are_not_durable_are_read_at_once_and_survive_together_with_the_next_durable_one(
    tmp_path: Path,
) -> None:
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    async with await open_store(path, chain.founding) as store:
        for durable in (True, False, False, True, False):
            executed = chain.extend()
            await store.commit(chain.certified[-1], executed.receipts, executed.writes, durable=durable)
            assert store.chain.height() == chain.height
        await store.sync()
    reader = SqliteReader(path)
    assert verify_chain(chain.founding.genesis, reader, verify_hash).height == 5
    reader.close()


async def test_one_connection_writes_beside_readers_that_each_keep_their_moment(tmp_path: Path) -> None:
    """SQLite before 3.51.3 could corrupt a database with two writing connections when its log was reset."""
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    async with await open_store(path, chain.founding) as store:
        frozen = []
        for height in range(1, 6):
            await write(store, chain)
            frozen.append((height, SqliteReader(path, frozen=True)))
        for height, reader in frozen:
            assert reader.height() == height
            assert reader.block(Height(height + 1)) is None
            reader.close()
    sources = Path(sqlite_module.__file__).parent.glob("*.py")
    connects = {source.name: source.read_text().count("sqlite3.connect(") for source in sources}
    # The reader's is read-only; what a snapshot sorts its chunks in is a file of its own.
    assert {name for name, count in connects.items() if count} == {"reader.py", "snapshots.py", "sqlite.py"}
    assert connects["sqlite.py"] == 1
    assert "?mode=ro" in (Path(sqlite_module.__file__).parent / "reader.py").read_text()
