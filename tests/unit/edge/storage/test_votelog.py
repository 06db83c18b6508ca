"""The vote log: what was appended is there after any crash; what was torn was never sent; damage is an error."""

from pathlib import Path

import pytest

from node.base.crypto import digest
from node.base.types import Digest
from node.edge.storage.errors import StoreBusy, StoreDamaged, StoreError, StoreForeign, StoreMissing
from node.edge.storage.votelog import FileVoteLog

CHAIN = Digest(digest("chain"))
BATCHES = [[b"proposal", b"prepare"], [b"commit"], [b""], [b"x" * 5_000, b"round change"]]


def size_of(path: Path) -> int:
    return path.stat().st_size


async def written(path: Path, batches: list[list[bytes]]) -> list[int]:
    """A log with these appended; returns the file's size after each."""
    FileVoteLog.create(path, CHAIN)
    log = FileVoteLog.open(path, CHAIN)
    sizes = []
    for batch in batches:
        await log.append(batch)
        sizes.append(size_of(path))
    await log.close()
    return sizes


async def read(path: Path) -> list[bytes]:
    log = FileVoteLog.open(path, CHAIN)
    await log.close()
    return log.entries()


def flat(batches: list[list[bytes]]) -> list[bytes]:
    return [entry for batch in batches for entry in batch]


async def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    await written(path, BATCHES)
    assert await read(path) == flat(BATCHES)
    log = FileVoteLog.open(path, CHAIN)
    await log.append([b"more"])
    await log.close()
    assert await read(path) == [*flat(BATCHES), b"more"]


async def test_forgetting_leaves_nothing_and_appending_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    await written(path, BATCHES)
    log = FileVoteLog.open(path, CHAIN)
    await log.forget()
    await log.append([b"next height"])
    await log.close()
    assert await read(path) == [b"next height"]


async def test_a_torn_tail_is_dropped_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = await written(path, [[b"one", b"two"], [b"three"]])
    whole = path.read_bytes()
    for size in range(sizes[0], sizes[1]):
        path.write_bytes(whole[:size])
        assert await read(path) == [b"one", b"two"]
        assert size_of(path) == sizes[0]


async def test_a_tail_with_any_wrong_byte_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = await written(path, [[b"one", b"two"], [b"three"]])
    whole = path.read_bytes()
    for at in range(sizes[0], sizes[1]):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        assert await read(path) == [b"one", b"two"]


async def test_appending_after_a_torn_tail_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = await written(path, [[b"one"], [b"two" * 100]])
    path.write_bytes(path.read_bytes()[: sizes[1] - 1])
    log = FileVoteLog.open(path, CHAIN)
    await log.append([b"after"])
    await log.close()
    assert await read(path) == [b"one", b"after"]


async def test_damage_before_whole_votes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = await written(path, [[b"one", b"two"], [b"three"]])
    whole = path.read_bytes()
    for at in range(sizes[0]):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        with pytest.raises((StoreDamaged, StoreForeign)):
            FileVoteLog.open(path, CHAIN)


async def test_a_missing_log_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="put the file back"):
        FileVoteLog.open(tmp_path / "votes", CHAIN)
    assert not (tmp_path / "votes").exists()


async def test_a_log_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    await written(path, BATCHES)
    with pytest.raises(StoreError, match="is there already"):
        FileVoteLog.create(path, CHAIN)
    assert await read(path) == flat(BATCHES)


async def test_another_chains_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    await written(path, BATCHES)
    with pytest.raises(StoreForeign):
        FileVoteLog.open(path, Digest(digest("other")))


async def test_two_daemons_cannot_open_one_log(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    FileVoteLog.create(path, CHAIN)
    log = FileVoteLog.open(path, CHAIN)
    with pytest.raises(StoreBusy):
        FileVoteLog.open(path, CHAIN)
    await log.close()
    assert await read(path) == []


async def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    FileVoteLog.create(tmp_path / "votes", CHAIN)
    assert (tmp_path / "votes").stat().st_mode & 0o777 == 0o600
