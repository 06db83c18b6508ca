"""The vote log: what this member signed for heights that are not final, on disk before it is sent.

The file is a head (a tag and the chain's id), a frame with the member's `Silence`, then one frame per `append`. A frame
is a mark, the length and the CRC-32 of what follows, and the content. It is synced before `append` returns, so only
the last one can be torn, and what it held was never sent: it is dropped, with the zeros that may follow it. Damage
before that is an error, because votes that were sent are missing.

Frames of final heights stay until the file is large: that costs no sync, and the log always tells up to which height
this member signed, also when its ledger is lost. The file is then written anew beside the old one and renamed.

The open file is locked: two daemons on one folder would sign twice. A log that is not there is opened all the same: its
silence is None, nothing can be appended, and `keep_silent` makes it.
"""

import asyncio
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from node.base.codec import DecodeError, decode, encode
from node.base.ports import Silence
from node.base.types import GENESIS_HEIGHT, Digest, Height
from node.edge.storage.errors import StoreBusy, StoreDamaged, StoreError, StoreForeign, cannot_write
from node.edge.storage.files import OS_FILES, PRIVATE_MODE, Files, replace_atomically

_TAG = b"lepton votes 3\n"
_HEAD_BYTES = len(_TAG) + 32
_MARK = b"\xf5vl\n"
_FRAME = struct.Struct(">4sII")
COMPACT_BYTES = 4 << 20
"""Above this size the file is written anew when a height is final."""
ROOM_BYTES = 256 << 10
"""The file grows by so many zeros at once: a write into a file that is as long before it as after it is durable with
its own blocks, where one that makes it longer takes the file system's records along, at every vote."""
SHORT_S = 0.002
"""A disk that usually syncs in this time is waited for where the append is asked for: the way to another thread and
back costs a member more than the disk does, on the path of every block. A slower one must not hold up the loop."""
_NO_FILE = -1


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one `append` wrote."""

    height: Height
    entries: tuple[bytes, ...]


@dataclass(slots=True)
class _Content:
    """What stands in the file: the silence, and the batches of the highest height."""

    silence: Silence | None = None
    height: Height = GENESIS_HEIGHT
    """The highest height of which something was signed; 0 for none."""
    start: int = 0
    """Where the frames of that height begin."""
    size: int = 0
    """Where the last whole frame ends."""
    entries: list[bytes] = field(default_factory=list)
    """Those of the highest height."""

    def take(self, batch: _Batch, end: int) -> None:
        """Go on with a batch whose frame ends there."""
        if batch.height > self.height:
            self.height, self.start, self.entries = batch.height, self.size, []
        self.entries.extend(batch.entries)
        self.size = end


class FileVoteLog:
    """Implements the port `VoteLog`. Made by `open`."""

    def __init__(self, path: Path, chain: Digest, descriptor: int, content: _Content, files: Files) -> None:
        self._path = path
        self._chain = chain
        self._descriptor = descriptor
        self._content = content
        self._room = content.size
        """Where the file ends."""
        self._files = files
        self._entries = content.entries
        # A thread of its own: in the loop's pool a vote would wait behind bulk work.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vote-log")
        self._broken = False
        self._usual_s = 0.0
        """How long an append took of late; the newest counts for a sixteenth."""

    @classmethod
    def create(cls, path: Path, chain: Digest, files: Files = OS_FILES) -> None:
        """Make an empty log. Raises `StoreError` where there is one: a log that is replaced forgets what was signed."""
        if path.exists():
            raise StoreError(f"{path} is there already: a vote log is made once, when the member joins the chain")
        os.close(replace_atomically(path, _head(chain, Silence()), mode=PRIVATE_MODE, files=files))

    @classmethod
    def open(cls, path: Path, chain: Digest, files: Files = OS_FILES) -> Self:
        """Read and lock the log; one that is missing has no silence yet.

        Raises `StoreBusy`, `StoreForeign` for another chain's, and `StoreDamaged`.
        """
        try:
            descriptor = files.open(path)
        except FileNotFoundError:
            return cls(path, chain, _NO_FILE, _Content(), files)
        try:
            _lock(path, descriptor)
            content = _parse(path, _read(path, descriptor, chain))
            # A torn frame would make the next one look like damage.
            files.truncate(descriptor, content.size)
            log = cls(path, chain, descriptor, content, files)
            descriptor = _NO_FILE
            return log
        finally:
            if descriptor != _NO_FILE:
                os.close(descriptor)

    @property
    def silence(self) -> Silence | None:
        """Below which height nothing may be signed; None while the log is missing."""
        kept = self._content.silence
        # With an older ledger beside the log, lower heights were signed, and what was signed there is forgotten.
        return None if kept is None else replace(kept, until=max(kept.until, self._content.height))

    def entries(self) -> list[bytes]:
        """What was in the log for the highest height when it was opened, in the order of writing."""
        return list(self._entries)

    async def append(self, height: Height, entries: Sequence[bytes]) -> None:
        """Write the entries and sync once. Raises `StoreError`; then none of them may be sent."""
        assert self._content.silence is not None, "a member whose vote log is missing signs nothing"
        batch = _Batch(height, tuple(entries))
        if self._usual_s < SHORT_S:
            self._append(batch)
        else:
            await self._in_thread(lambda: self._append(batch))

    async def forget(self, height: Height) -> None:
        """The height is final: what was signed up to it may go. Raises `StoreError`."""
        content = self._content
        if content.silence is not None and content.height <= height and content.size > COMPACT_BYTES:
            await self.keep_silent(replace(content.silence, until=max(content.silence.until, Height(height + 1))))

    async def keep_silent(self, silence: Silence) -> None:
        """Write the log anew with this silence, synced; what was signed at or above it stays. Raises `StoreError`."""
        await self._in_thread(lambda: self._replace(silence))

    async def close(self) -> None:
        """Close and unlock the file, after what is being written."""
        await self._in_thread(self._close)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Run `work` after all that was given before; a cancelled caller does not stop it midway."""
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _append(self, batch: _Batch) -> None:
        if self._broken:
            raise StoreError(f"an earlier write to {self._path} failed: restart the member when the disk is well")
        frame, size = _frame(encode(batch)), self._content.size
        end = size + len(frame)
        room = self._room if end <= self._room else end + ROOM_BYTES
        since = time.monotonic()
        try:
            self._files.write(self._descriptor, frame if room == self._room else frame.ljust(room - size, b"\0"), size)
            self._files.sync(self._descriptor)
        except OSError as error:
            # After a failed sync nobody knows what is on the disk; only reading the file anew tells.
            self._broken = True
            raise cannot_write(self._path, error) from error
        self._usual_s += (time.monotonic() - since - self._usual_s) / 16
        # Those of this run are not read again.
        self._content.take(replace(batch, entries=()), end)
        self._room = room

    def _replace(self, silence: Silence) -> None:
        old, head = self._content, _head(self._chain, silence)
        kept = b""
        if self._descriptor != _NO_FILE and old.height >= silence.until:
            kept = os.pread(self._descriptor, old.size - old.start, old.start)
        try:
            # Locked before it has its name: at no moment may another daemon open it.
            descriptor = replace_atomically(
                self._path, head + kept, mode=PRIVATE_MODE, prepare=_lock, files=self._files
            )
        except OSError as error:
            # It may have its name already: what is written to the old one from now on could be lost.
            self._broken = True
            raise cannot_write(self._path, error) from error
        self._close()
        self._descriptor = descriptor
        height = old.height if kept else Height(0)
        self._content = _Content(silence, height, len(head), len(head) + len(kept))
        self._room = self._content.size

    def _close(self) -> None:
        if self._descriptor != _NO_FILE:
            os.close(self._descriptor)


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreBusy(f"{path} is in use: another daemon of this member runs; stop it first") from error


def _read(path: Path, descriptor: int, chain: Digest) -> bytes:
    """The whole file. Raises `StoreDamaged` or `StoreForeign` where its head is not this chain's."""
    with open(descriptor, "rb", closefd=False) as file:
        content = file.read()
    if not content.startswith(_TAG) or len(content) < _HEAD_BYTES:
        raise StoreDamaged(f"{path} does not begin like a vote log: {_ADVICE}")
    if content[len(_TAG) : _HEAD_BYTES] != chain:
        raise StoreForeign(f"{path} is the vote log of another chain: each network has its own folder")
    return content


def _head(chain: Digest, silence: Silence) -> bytes:
    return _TAG + chain + _frame(encode(silence))


def _frame(content: bytes) -> bytes:
    return _FRAME.pack(_MARK, len(content), zlib.crc32(content)) + content


def _parse(path: Path, data: bytes) -> _Content:
    """What the file says. Raises `StoreDamaged`."""
    first = _frame_at(data, _HEAD_BYTES)
    if first is None:
        raise StoreDamaged(f"{path} is damaged at its head: {_ADVICE}")
    try:
        at = _HEAD_BYTES + _FRAME.size + len(first)
        content = _Content(decode(Silence, first), Height(0), at, at)
        while (batch := _frame_at(data, content.size)) is not None:
            content.take(decode(_Batch, batch), content.size + _FRAME.size + len(batch))
    except DecodeError as error:
        raise StoreDamaged(f"{path} has a frame that no vote log writes: {_ADVICE}") from error
    later = data.find(_MARK, content.size)
    while later >= 0:
        if later > content.size and _frame_at(data, later) is not None:
            raise StoreDamaged(f"{path} is damaged at byte {content.size}, before votes that are whole: {_ADVICE}")
        later = data.find(_MARK, later + 1)
    return content


def _frame_at(content: bytes, at: int) -> bytes | None:
    """What the frame at this place holds; None where no whole one stands."""
    if at + _FRAME.size > len(content):
        return None
    mark, length, checksum = _FRAME.unpack_from(content, at)
    start = at + _FRAME.size
    # A torn frame may be its mark and zeros, which are the checksum of nothing: none is written empty.
    if mark != _MARK or length == 0 or start + length > len(content):
        return None
    batch = content[start : start + length]
    return batch if zlib.crc32(batch) == checksum else None


_ADVICE = "move the file away and start the member: it then stays silent until it is safe to vote"
