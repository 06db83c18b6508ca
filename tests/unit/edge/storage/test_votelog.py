"""The vote log: what was appended is there after any crash; what was torn was never sent; damage is an error."""

import threading
from pathlib import Path

import pytest

from node.base.crypto import digest
from node.base.ports import Silence
from node.base.types import Digest, Height
from node.edge.storage.errors import StoreBusy, StoreDamaged, StoreError, StoreForeign
from node.edge.storage.files import Files
from node.edge.storage.votelog import COMPACT_BYTES, SHORT_S, FileVoteLog

CHAIN = Digest(digest("chain"))
HEIGHT = Height(7)
BATCHES = [[b"proposal", b"prepare"], [b"commit"], [b""], [b"x" * 5_000, b"round change"]]


def size_of(path: Path) -> int:
    return path.stat().st_size


async def written(path: Path, batches: list[list[bytes]]) -> list[int]:
    """A log with these appended; returns where each ends."""
    FileVoteLog.create(path, CHAIN)
    log = FileVoteLog.open(path, CHAIN)
    sizes = []
    for batch in batches:
        await log.append(HEIGHT, batch)
        sizes.append(log._content.size)
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
    await log.append(HEIGHT, [b"more"])
    await log.close()
    assert await read(path) == [*flat(BATCHES), b"more"]


async def test_only_what_was_signed_for_the_highest_height_is_read(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    await written(path, BATCHES)
    log = FileVoteLog.open(path, CHAIN)
    await log.forget(HEIGHT)
    await log.append(Height(HEIGHT + 1), [b"next height"])
    await log.close()
    assert await read(path) == [b"next height"]


async def test_an_older_ledger_beside_the_log_finds_below_which_height_to_be_silent(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    await written(path, BATCHES)
    log = FileVoteLog.open(path, CHAIN)
    assert log.silence == Silence(until=HEIGHT)
    # What agreement at a lower height would do while the member catches up: nothing may be lost by it.
    await log.forget(Height(2))
    await log.close()
    assert await read(path) == flat(BATCHES)


async def test_a_large_log_is_written_anew_when_a_height_is_final(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    await written(path, [[bytes(COMPACT_BYTES + 1)]])
    log = FileVoteLog.open(path, CHAIN)
    await log.forget(Height(HEIGHT - 1))
    assert size_of(path) > COMPACT_BYTES
    await log.forget(HEIGHT)
    assert size_of(path) < 200
    with pytest.raises(StoreBusy):
        FileVoteLog.open(path, CHAIN)
    await log.append(Height(HEIGHT + 1), [b"next"])
    await log.close()
    again = FileVoteLog.open(path, CHAIN)
    await again.close()
    assert again.entries() == [b"next"]
    assert again.silence == Silence(until=Height(HEIGHT + 1))


async def test_a_silence_is_kept_over_restarts_and_outlives_what_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    log = FileVoteLog.open(path, CHAIN)
    assert log.silence is None
    silence = Silence(until=Height(40), recovered_at=Height(39))
    await log.keep_silent(silence)
    await log.forget(Height(20))
    await log.close()
    again = FileVoteLog.open(path, CHAIN)
    await again.append(Height(40), [b"first"])
    await again.close()
    last = FileVoteLog.open(path, CHAIN)
    await last.close()
    assert last.silence == silence
    assert last.entries() == [b"first"]


async def test_a_silence_that_ends_early_keeps_what_was_signed_above(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    await written(path, BATCHES)
    log = FileVoteLog.open(path, CHAIN)
    await log.keep_silent(Silence(until=Height(HEIGHT - 3)))
    await log.append(HEIGHT, [b"more"])
    await log.close()
    assert await read(path) == [*flat(BATCHES), b"more"]


async def test_nothing_is_appended_to_a_log_that_is_missing(tmp_path: Path) -> None:
    log = FileVoteLog.open(tmp_path / "votes", CHAIN)
    with pytest.raises(AssertionError, match="signs nothing"):
        await log.append(HEIGHT, [b"vote"])
    await log.close()
    assert not (tmp_path / "votes").exists()


async def test_a_torn_tail_is_dropped_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = await written(path, [[b"one", b"two"], [b"three"]])
    whole = path.read_bytes()
    for size in range(sizes[0], sizes[1]):
        path.write_bytes(whole[:size])
        assert await read(path) == [b"one", b"two"]
        assert size_of(path) == sizes[0]


async def test_a_tail_that_is_zeros_from_any_byte_on_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = await written(path, [[b"one", b"two"], [b"three"]])
    whole = path.read_bytes()
    for at in range(sizes[0], sizes[1]):
        path.write_bytes(whole[:at] + bytes(sizes[1] - at))
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
    await log.append(HEIGHT, [b"after"])
    await log.close()
    assert await read(path) == [b"one", b"after"]


async def test_the_file_grows_seldom_and_by_zeros(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    FileVoteLog.create(path, CHAIN)
    log = FileVoteLog.open(path, CHAIN)
    batches = [[b"%04d" % number * 256] for number in range(600)]
    sizes = set[int]()
    for batch in batches:
        await log.append(HEIGHT, batch)
        sizes.add(size_of(path))
    assert len(sizes) == 3
    assert path.read_bytes()[log._content.size :].count(0) == max(sizes) - log._content.size > 0
    await log.close()
    assert await read(path) == flat(batches)
    assert size_of(path) == log._content.size


async def test_damage_before_whole_votes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = await written(path, [[b"one", b"two"], [b"three"]])
    whole = path.read_bytes()
    for at in range(sizes[0]):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        with pytest.raises((StoreDamaged, StoreForeign)):
            FileVoteLog.open(path, CHAIN)


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


class TimedFiles(Files):
    """The operating system's, on a disk that is as slow as a test says; which threads waited for it."""

    def __init__(self) -> None:
        self.sync_s = 0.0
        self.waited: list[int] = []

    def sync(self, descriptor: int) -> None:
        self.waited.append(threading.get_ident())
        if self.sync_s:
            threading.Event().wait(self.sync_s)
        super().sync(descriptor)


async def test_a_slow_disk_is_waited_for_on_a_thread_of_its_own(tmp_path: Path) -> None:
    path, files, loop = tmp_path / "votes", TimedFiles(), threading.get_ident()
    FileVoteLog.create(path, CHAIN)
    log = FileVoteLog.open(path, CHAIN, files)

    await log.append(HEIGHT, [b"quick"])
    files.sync_s = 20 * SHORT_S
    await log.append(HEIGHT, [b"slow, and nobody knew"])
    await log.append(HEIGHT, [b"slow"])
    await log.close()

    assert files.waited[:2] == [loop, loop]
    assert files.waited[2] != loop
    assert await read(path) == [b"quick", b"slow, and nobody knew", b"slow"]
