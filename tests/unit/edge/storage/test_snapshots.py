"""Snapshots on disk: made while the chain grows on, taken in by pieces, put in the place of a state at once or not."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.base.codec import encode
from node.base.crypto import digest
from node.base.ports import NewBase, Writes
from node.base.types import Digest, Height
from node.edge.storage import SnapshotFiles, SqliteReader, SqliteStore
from node.edge.storage.errors import StoreDamaged
from node.ledger.contracts.sharing import Register
from node.ledger.errors import Untrusted
from node.ledger.genesis import genesis_writes
from node.ledger.snapshot import SnapshotHead, all_writes, decode_head, verify_head
from node.ledger.tree import state_root, tree_rows
from node.testing.founding import Founding, MemoryChain
from node.testing.power.journal import Journal, Rename, SyncFolder, Unlink
from node.testing.power.recorder import RecordingFiles
from node.testing.signing import verify_hash

BLOCKS = 6


def never() -> bool:
    return False


async def grown(path: Path, chain: MemoryChain, blocks: int = BLOCKS) -> SqliteStore:
    """A store with so many blocks, each with some large values, so that there are several chunks."""
    store = await SqliteStore.open(path, chain.founding.chain, genesis_writes(chain.founding.genesis))
    for _ in range(blocks):
        await extend(store, chain)
    return store


async def extend(store: SqliteStore, chain: MemoryChain) -> None:
    at = chain.height
    calls = [
        chain.founding.transaction(org, at, "sharing", "register", Register(f"d{at}", Digest(digest(org))))
        for org in ("ada", "bob", "cid", "dot")
    ]
    executed = chain.extend(*calls)
    await store.commit(chain.certified[-1], executed.receipts, executed.writes)


def new_base(head: SnapshotHead, chunks: list[bytes]) -> NewBase:
    headers = tuple(step.certified for step in head.path.steps)
    return NewBase(head.certified, head.receipts, headers, lambda: all_writes(head.parts, iter(chunks)))


def taken(files: SnapshotFiles, height: int) -> tuple[SnapshotHead, list[bytes]]:
    data = files.head(Height(height))
    assert data is not None
    head = decode_head(data)
    chunks = [files.chunk(Height(height), index) for index in range(len(head.parts))]
    return head, [chunk for chunk in chunks if chunk is not None]


@pytest.fixture
async def source(tmp_path: Path) -> tuple[MemoryChain, SnapshotFiles]:
    """A chain of six blocks whose snapshot was frozen at the fourth."""
    chain = MemoryChain(Founding())
    store = await grown(tmp_path / "source.sqlite", chain, 4)
    frozen = SqliteReader(tmp_path / "source.sqlite", frozen=True)
    await extend(store, chain)
    await extend(store, chain)
    files = SnapshotFiles(tmp_path / "snapshots")
    assert files.make(frozen, never) == 4
    await store.close()
    return chain, files


async def test_a_snapshot_is_of_the_moment_it_was_frozen_and_proves_itself(
    source: tuple[MemoryChain, SnapshotFiles],
) -> None:
    chain, files = source
    head, chunks = taken(files, 4)
    assert verify_head(chain.founding.genesis, head, verify_hash).header == chain.certified[3].block.header
    assert len(chunks) == len(head.parts)
    assert files.heights() == (4,)


async def test_another_store_goes_on_from_it(source: tuple[MemoryChain, SnapshotFiles], tmp_path: Path) -> None:
    chain, files = source
    store = await grown(tmp_path / "other.sqlite", MemoryChain(Founding()), 2)
    await store.replace(new_base(*taken(files, 4)))
    assert (store.chain.height(), store.chain.base()) == (4, 4)
    assert store.chain.block(Height(4)) == chain.certified[3]
    assert store.chain.receipts(Height(4)) == chain.executed[3].receipts
    assert store.chain.block(Height(2)) is None
    assert state_root(store.state) == chain.certified[3].block.header.state_root
    for at in (4, 5):
        await store.commit(chain.certified[at], chain.executed[at].receipts, chain.executed[at].writes)
    assert dict(store.state.stored_state()) == chain.state.values
    assert list(store.state.stored_tree()) == list(tree_rows(sorted(chain.state.pages.items()), chain.state.crown))
    await store.close()


async def test_a_state_that_turns_out_false_leaves_everything_as_it_was(
    source: tuple[MemoryChain, SnapshotFiles], tmp_path: Path
) -> None:
    _, files = source
    head, chunks = taken(files, 4)
    own = MemoryChain(Founding())
    store = await grown(tmp_path / "other.sqlite", own, 2)
    before = (dict(store.state.stored_state()), list(store.state.stored_tree()), store.state.stored_counts())

    def half() -> Iterator[Writes]:
        yield Writes(((b"a", b"b"),), ())

    wrong = [
        (new_base(head, chunks[:-1]), Untrusted),
        (new_base(head, [chunks[0][:-1], *chunks[1:]]), Untrusted),
        (NewBase(head.certified, head.receipts, (), half), StoreDamaged),
    ]
    for base, error in wrong:
        with pytest.raises(error):
            await store.replace(base)
    after = (dict(store.state.stored_state()), list(store.state.stored_tree()), store.state.stored_counts())
    assert after == before
    await extend(store, own)
    assert (store.chain.height(), store.chain.base()) == (3, 1)
    await store.close()


@pytest.mark.parametrize("cut", range(8))
async def test_a_crash_at_any_instant_of_the_switch_leaves_the_old_state_or_the_new(
    source: tuple[MemoryChain, SnapshotFiles], tmp_path: Path, cut: int
) -> None:
    chain, files = source
    path, crashed = tmp_path / "other.sqlite", tmp_path / "crashed.sqlite"
    store = await grown(path, MemoryChain(Founding()), 2)
    before = path.with_name("other.sqlite-wal").stat().st_size
    await store.replace(new_base(*taken(files, 4)))
    log = path.with_name("other.sqlite-wal").read_bytes()
    crashed.write_bytes(path.read_bytes())
    end = len(log) if cut == 7 else before + (len(log) - before) * cut // 7
    crashed.with_name("crashed.sqlite-wal").write_bytes(log[:end])
    await store.close()
    async with await SqliteStore.open(crashed, chain.founding.chain, genesis_writes(chain.founding.genesis)) as again:
        height = again.chain.height()
        assert (height, again.chain.base()) in ((2, 1), (4, 4))
        block = again.chain.block(height)
        assert block is not None
        assert state_root(again.state) == block.block.header.state_root
        assert height == 4 or cut < 7


async def test_a_state_that_its_block_does_not_cover_makes_no_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await (await grown(path, MemoryChain(Founding()))).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE state SET value = zeroblob(9) WHERE key = CAST('sharing/data/ada/d0' AS BLOB)")
    database.close()
    files = SnapshotFiles(tmp_path / "snapshots")
    with pytest.raises(StoreDamaged, match="chain repair"):
        files.make(SqliteReader(path, frozen=True), never)
    assert files.heights() == ()


async def test_only_the_last_two_are_kept_and_one_cut_short_is_none(tmp_path: Path) -> None:
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    files = SnapshotFiles(tmp_path / "snapshots")
    store = await grown(path, chain, 1)
    for _ in range(3):
        await extend(store, chain)
        assert files.make(SqliteReader(path, frozen=True), never) == chain.height
    assert files.heights() == (3, 4)
    assert files.make(SqliteReader(path, frozen=True), lambda: True) is None
    assert SnapshotFiles(tmp_path / "snapshots").heights() == (3, 4)
    assert files.head(Height(2)) is None
    assert files.chunk(Height(2), 0) is None
    await store.close()


async def test_a_deleted_snapshot_has_lost_its_name_for_good_before_anything_of_it_goes(tmp_path: Path) -> None:
    chain, path, root, journal = MemoryChain(Founding()), tmp_path / "ledger.sqlite", tmp_path / "snapshots", Journal()
    files = SnapshotFiles(root, RecordingFiles(journal))
    store = await grown(path, chain, 1)
    for _ in range(3):
        await extend(store, chain)
        files.make(SqliteReader(path, frozen=True), never)
    await store.close()

    events = journal.events
    renamed = events.index(Rename(str(root / "2"), str(root / "doomed")))
    assert events[renamed + 1] == SyncFolder(str(root))
    unlinked = [at for at, event in enumerate(events) if isinstance(event, Unlink) and "/doomed/" in event.path]
    assert min(unlinked) > renamed + 1
    assert not any(isinstance(event, Unlink) and f"{root}/2/" in event.path for event in events)


@pytest.mark.parametrize("torn", range(0, 40, 3))
def test_what_was_fetched_before_a_crash_is_there_after_it(tmp_path: Path, torn: int) -> None:
    files = SnapshotFiles(tmp_path)
    files.begin_incoming(b"head", same=False)
    for index, chunk in ((3, b"three" * 3), (1, b"one")):
        files.add_incoming(index, chunk)
    files.add_incoming(2, b"t" * 28)
    chunks = tmp_path / "incoming" / "chunks"
    os.truncate(chunks, chunks.stat().st_size - 40 + torn)

    again = SnapshotFiles(tmp_path)
    assert again.incoming() == b"head"
    assert list(again.incoming_chunks()) == [(3, b"three" * 3), (1, b"one")]
    again.add_incoming(2, b"two")
    assert list(again.ordered_incoming()) == [b"one", b"two", b"three" * 3]


def test_one_that_is_begun_anew_forgets_the_chunks_of_another(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.begin_incoming(b"head", same=False)
    files.add_incoming(0, b"x")
    files.begin_incoming(b"other certificates", same=True)
    assert list(files.incoming_chunks()) == [(0, b"x")]
    files.begin_incoming(b"another", same=False)
    assert list(files.incoming_chunks()) == []
    files.keep_incoming(Height(7))
    assert files.heights() == (7,)
    assert files.incoming() is None


async def test_pruning_keeps_headers_and_certificates_and_the_same_state(tmp_path: Path) -> None:
    chain, path = MemoryChain(Founding()), tmp_path / "ledger.sqlite"
    store = await grown(path, chain)
    await store.prune(Height(5))
    await store.prune(Height(3))
    assert store.chain.base() == 5
    for at in range(1, BLOCKS + 1):
        kept = store.chain.certified_header(Height(at))
        certified = chain.certified[at - 1]
        assert kept is not None
        assert encode(kept.header) == encode(certified.block.header)
        assert kept.certificate == certified.certificate
        assert (store.chain.block(Height(at)) is None) == (at < 5)
        assert (store.chain.receipts(Height(at)) is None) == (at < 5)
    assert store.chain.transaction(chain.certified[0].block.transactions[0].id) is None
    await extend(store, chain)
    assert dict(store.state.stored_state()) == chain.state.values
    await store.close()
