"""Whole chains in and out of a member's folder: export, import, verifying a backup, pruning, repair."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from node.app.alone import only_daemon
from node.app.settings import Folder, SettingsError
from node.app.versions import installed_cel_version
from node.base.codec import DecodeError
from node.base.crypto import verify
from node.base.ports import NewBase
from node.base.types import FIRST_HEIGHT, CertifiedBlock, Genesis, Height, chain_id, header_digest
from node.edge.storage import FileDamaged, Kind, SqliteReader, SqliteStore, backup_block, read_backup, write_backup
from node.ledger.errors import ChainBroken, Untrusted
from node.ledger.following import follow
from node.ledger.genesis import genesis_writes, verify_genesis
from node.ledger.memory import MemoryState
from node.ledger.proofs import verify_chain
from node.ledger.snapshot import SnapshotHead, all_writes, decode_head, verify_head
from node.ledger.stored import Verified
from node.ledger.tree import state_root

SYNC_EVERY = 256
"""Imported blocks that share one sync."""
Progress = Callable[[int], None]


def export_chain(folder: Folder, genesis: Genesis, target: Path, progress: Callable[[int, int], None]) -> Height:
    """Write the member's chain to one file, while its daemon may run. Raises `OSError`."""
    reader = SqliteReader(folder.ledger, frozen=True)
    try:
        if reader.height() == 0:
            raise SettingsError("there is no block yet to export")
        return write_backup(target, reader, chain_id(genesis.body), progress)
    finally:
        reader.close()


def verify_backup(file: Path, genesis: Genesis, progress: Progress) -> Verified:
    """Check an exported file with the genesis alone. Raises `FileError`, `LedgerError`."""
    verify_genesis(genesis)
    frames = read_backup(file, chain_id(genesis.body))
    first = next(frames, None)
    if first is not None and first[0] is Kind.HEAD:
        head = _checked_head(genesis, first[1])
        for done, _ in enumerate(all_writes(head.parts, _chunks(file, frames)), start=1):
            progress(done)
        header = head.certified.block.header
        return Verified(head.height, header_digest(header), header.state_root, len(head.receipts), head.height)
    state = MemoryState()
    state.apply(genesis_writes(genesis))
    parent, height, transactions = chain_id(genesis.body), 0, 0
    for certified in _blocks(file, first, frames):
        executed = follow(state, chain_id(genesis.body), parent, certified, verify, installed_cel_version())
        state.apply(executed.writes)
        parent, height = certified.block.digest, height + 1
        transactions += len(executed.receipts)
        progress(height)
    return Verified(Height(height), parent, state_root(state), transactions)


def import_chain(folder: Folder, genesis: Genesis, file: Path, progress: Progress) -> Verified:
    """Make the member's database of an exported file, every block and chunk checked. Raises as `verify_backup`.

    The database gets its name when it is whole, so that a crash leaves none.
    """
    with only_daemon(folder):
        if folder.ledger.exists():
            raise SettingsError(f"{folder.root} has a chain already: import is for a member without one")
        draft = folder.ledger.with_name("importing.sqlite")
        remove_database(draft)
        try:
            found = asyncio.run(_import(draft, genesis, file, progress))
            os.rename(draft, folder.ledger)
        finally:
            remove_database(draft)
        return found


def prune_chain(folder: Folder, genesis: Genesis, keep: int) -> tuple[Height, Height]:
    """Keep the last `keep` blocks whole, of older ones header and certificate; returns (old, new base).

    Raises `SettingsError` while the daemon runs, `OSError`.
    """

    async def prune() -> tuple[Height, Height]:
        async with _store(folder.ledger, genesis) as store:
            old = store.chain.base()
            await store.prune(Height(max(old, store.chain.height() - keep + 1)))
            return old, store.chain.base()

    if not folder.ledger.exists():
        raise SettingsError(f"{folder.root} has no chain yet")
    with only_daemon(folder):
        return asyncio.run(prune())


def damage_of(folder: Folder, genesis: Genesis, progress: Progress) -> ChainBroken | None:
    """Where the member's chain stops being true; None when all of it holds.

    Raises `OSError`, and `OtherCel` where it cannot be told: that is no damage.
    """
    reader = SqliteReader(folder.ledger, frozen=True)
    try:
        verify_chain(genesis, reader, progress=progress, cel_version=installed_cel_version())
    except ChainBroken as broken:
        return broken
    finally:
        reader.close()
    return None


def set_aside(folder: Folder) -> Path:
    """Move the damaged database out of the way; the daemon fetches the chain anew, the vote log stays.

    Returns where it lies now. Raises `SettingsError` while the daemon runs, `OSError`.
    """
    with only_daemon(folder):
        number = 1
        while (place := folder.root / f"damaged-{number}").exists():
            number += 1
        place.mkdir(mode=0o700)
        for part in database_files(folder.ledger):
            if part.exists():
                part.rename(place / part.name)
        return place


def database_files(database: Path) -> tuple[Path, Path, Path]:
    """The database with its log and its index of the log."""
    return (
        database,
        database.with_name(database.name + "-wal"),
        database.with_name(database.name + "-shm"),
    )


def remove_database(database: Path) -> None:
    """Delete it with all that belongs to it."""
    for part in database_files(database):
        part.unlink(missing_ok=True)


async def _import(draft: Path, genesis: Genesis, file: Path, progress: Progress) -> Verified:
    chain = chain_id(genesis.body)
    frames = read_backup(file, chain)
    first = next(frames, None)
    async with _store(draft, genesis) as store:
        if first is not None and first[0] is Kind.HEAD:
            head = _checked_head(genesis, first[1])
            headers = tuple(step.certified for step in head.path.steps)
            await store.replace(
                NewBase(head.certified, head.receipts, headers, lambda: all_writes(head.parts, _chunks(file, frames)))
            )
            parent, base, transactions = head.certified.block.digest, head.height, len(head.receipts)
        else:
            parent, base, transactions = chain, FIRST_HEIGHT, 0
            for certified in _blocks(file, first, frames):
                executed = follow(store.state, chain, parent, certified, verify, installed_cel_version())
                height = certified.block.header.height
                await store.commit(certified, executed.receipts, executed.writes, durable=height % SYNC_EVERY == 0)
                parent = certified.block.digest
                transactions += len(executed.receipts)
                progress(height)
        await store.sync()
        return Verified(store.chain.height(), parent, state_root(store.state), transactions, base)


@asynccontextmanager
async def _store(path: Path, genesis: Genesis) -> AsyncIterator[SqliteStore]:
    async with await SqliteStore.open(path, chain_id(genesis.body), genesis_writes(genesis)) as store:
        yield store


def _checked_head(genesis: Genesis, content: bytes) -> SnapshotHead:
    head = decode_head(content)
    verify_head(genesis, head)
    return head


def _chunks(file: Path, frames: Iterator[tuple[Kind, bytes]]) -> Iterator[bytes]:
    for kind, content in frames:
        if kind is not Kind.CHUNK:
            raise Untrusted(f"{file} holds a {kind.name.lower()} among the parts of the state")
        yield content


def _blocks(
    file: Path, first: tuple[Kind, bytes] | None, frames: Iterator[tuple[Kind, bytes]]
) -> Iterator[CertifiedBlock]:
    height = 0
    while first is not None:
        height += 1
        kind, content = first
        if kind is not Kind.BLOCK:
            raise ChainBroken(height, f"{file} holds a {kind.name.lower()} where a block should stand")
        try:
            yield backup_block(content)
        except DecodeError as error:
            raise ChainBroken(height, f"the block in {file} is damaged: {error}") from error
        first = next(frames, None)
    if height == 0:
        raise FileDamaged(f"{file} holds no block")
