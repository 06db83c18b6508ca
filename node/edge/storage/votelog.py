"""The vote log: what this member signed for heights that are not final, on disk before it is sent.

The file is a head (a tag and the chain's id), then one frame per `append`: a mark, the length and the CRC-32 of
what follows, and the entries. A frame is synced before `append` returns, so only the last one can be torn, and what
it held was never sent: it is dropped. Damage before that is an error, because votes that were sent are missing.

The open file is locked: two daemons on one folder would sign twice.
"""

import asyncio
import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from node.base.codec import DecodeError, decode, encode
from node.base.types import Digest
from node.edge.storage.errors import StoreBusy, StoreDamaged, StoreError, StoreForeign, StoreMissing, cannot_write
from node.edge.storage.files import PRIVATE_MODE, write_atomically

_TAG = b"lepton votes 1\n"
_HEAD_BYTES = len(_TAG) + 32
_MARK = b"\xf5vl\n"
_FRAME = struct.Struct(">4sII")


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one `append` wrote."""

    entries: tuple[bytes, ...]


class FileVoteLog:
    """Implements the port `VoteLog`. Made by `open`."""

    def __init__(self, path: Path, descriptor: int, size: int, entries: list[bytes]) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = size
        self._entries = entries
        # A thread of its own: in the loop's pool a vote would wait behind bulk work.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vote-log")
        self._broken = False

    @classmethod
    def create(cls, path: Path, chain: Digest) -> None:
        """Make an empty log. Raises `StoreError` where there is one: a log that is replaced forgets what was signed."""
        if path.exists():
            raise StoreError(f"{path} is there already: a vote log is made once, when the member joins the chain")
        write_atomically(path, _TAG + chain, mode=PRIVATE_MODE)

    @classmethod
    def open(cls, path: Path, chain: Digest) -> Self:
        """Read and lock the log.

        Raises `StoreMissing`, `StoreBusy`, `StoreForeign` for another chain's, and `StoreDamaged`.
        """
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError as error:
            raise StoreMissing(
                f"the vote log {path} is missing: without it this member may sign twice; "
                "put the file back; a copy of any older moment is no help"
            ) from error
        try:
            _lock(path, descriptor)
            content = _read(path, descriptor, chain)
            entries, size = _frames(path, content)
            # A torn frame would make the next one look like damage.
            os.ftruncate(descriptor, size)
            log = cls(path, descriptor, size, entries)
            descriptor = -1
            return log
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def entries(self) -> list[bytes]:
        """What was in the log when it was opened, in the order of writing."""
        return list(self._entries)

    async def append(self, entries: Sequence[bytes]) -> None:
        """Write the entries and sync once. Raises `StoreError`; then none of them may be sent."""
        batch = encode(_Batch(tuple(entries)))
        frame = _FRAME.pack(_MARK, len(batch), zlib.crc32(batch)) + batch
        await self._in_thread(lambda: self._append(frame))

    async def forget(self) -> None:
        """Drop everything: the height is final. Raises `StoreError`."""
        await self._in_thread(self._forget)

    async def close(self) -> None:
        """Close and unlock the file, after what is being written."""
        await self._in_thread(lambda: os.close(self._descriptor))
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Run `work` after all that was given before; a cancelled caller does not stop it midway."""
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _append(self, frame: bytes) -> None:
        if self._broken:
            raise StoreError(f"an earlier write to {self._path} failed: restart the member when the disk is well")
        try:
            done = 0
            while done < len(frame):
                done += os.pwrite(self._descriptor, frame[done:], self._size + done)
            os.fsync(self._descriptor)
        except OSError as error:
            # After a failed sync nobody knows what is on the disk; only reading the file anew tells.
            self._broken = True
            raise cannot_write(self._path, error) from error
        self._size += len(frame)

    def _forget(self) -> None:
        try:
            os.ftruncate(self._descriptor, _HEAD_BYTES)
            # Unsynced, a crash could leave the next frame torn in front of old ones, which would look like damage.
            os.fsync(self._descriptor)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self._size = _HEAD_BYTES


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


def _frames(path: Path, content: bytes) -> tuple[list[bytes], int]:
    """The entries, and where the last whole frame ends. Raises `StoreDamaged`."""
    entries: list[bytes] = []
    at = _HEAD_BYTES
    while (batch := _frame_at(content, at)) is not None:
        try:
            entries.extend(decode(_Batch, batch).entries)
        except DecodeError as error:
            raise StoreDamaged(f"{path} has a frame that no vote log writes: {_ADVICE}") from error
        at += _FRAME.size + len(batch)
    later = content.find(_MARK, at)
    while later >= 0:
        if later > at and _frame_at(content, later) is not None:
            raise StoreDamaged(f"{path} is damaged at byte {at}, before votes that are whole: {_ADVICE}")
        later = content.find(_MARK, later + 1)
    return entries, at


def _frame_at(content: bytes, at: int) -> bytes | None:
    """What the frame at this place holds; None where no whole one stands."""
    if at + _FRAME.size > len(content):
        return None
    mark, length, checksum = _FRAME.unpack_from(content, at)
    start = at + _FRAME.size
    if mark != _MARK or start + length > len(content):
        return None
    batch = content[start : start + length]
    return batch if zlib.crc32(batch) == checksum else None


_ADVICE = "restore it from the disk's backup of this very moment; a copy of an older moment may let it sign twice"
