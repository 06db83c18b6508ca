"""Whole files straight to the disk and from it, past the system's cache of files.

Through the cache each byte is copied and a page is made for it, which costs several times what encrypting it does, and
what others would have needed is thrown out for bytes that are seldom read again soon. A disk takes bytes straight only
from a buffer of its own alignment, so each thread keeps one.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from mmap import mmap
from threading import local

from node.edge.vault.chunks import SEALED_BYTES_MAX

ALIGNED_BYTES = 4096
"""Disks ask for this much or less."""
BUFFER_BYTES = SEALED_BYTES_MAX
"""A sealed chunk goes at once, what is larger in parts."""
HASHED_BYTES = 1 << 18
"""What is copied before it is hashed: little enough to be in the processor's cache, enough to let go of the
interpreter for."""
_DIRECT = getattr(os, "O_DIRECT", 0)
"""Nothing where the system has no such thing."""

_own = local()


class Staged:
    """Content on its way to the disk, hashed; what fits in is in this thread's memory, until more is staged there."""

    __slots__ = ("_content", "_is_here", "digest")

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = memoryview(content)
        self._is_here = len(content) <= BUFFER_BYTES
        hashed = hashlib.sha256()
        if self._is_here:
            # Just copied it is at hand: where others received it, hashing takes half as long again.
            buffer = _buffer()
            for at in range(0, len(content), HASHED_BYTES):
                part = self._content[at : at + HASHED_BYTES]
                copied = buffer[at : at + len(part)]
                copied[:] = part
                hashed.update(copied)
        else:
            hashed.update(self._content)
        self.digest = hashed.digest()
        """SHA-256."""

    def write(self, path: str) -> None:
        """Write or replace a file; it is safe only once it is synced. Raises `OSError`."""
        size = len(self._content)
        _write(path, size, [_whole_blocks(size)] if self._is_here else _aligned(self._content))


def write_file(path: str, content: bytes | memoryview) -> None:
    """As `Staged.write`, for what was hashed before."""
    _write(path, len(content), _aligned(content))


def _write(path: str, size: int, parts: Iterable[memoryview]) -> None:
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        for part in parts:
            _write_all(descriptor, part)
        if size % ALIGNED_BYTES:
            # The last block was written whole. Cutting it makes the system read it again.
            os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


class ReadMemory:
    """Memory into which one file after the other is read."""

    def __init__(self) -> None:
        # What is read begins with a page, and what it is put behind ends there.
        self._whole = memoryview(mmap(-1, ALIGNED_BYTES + BUFFER_BYTES))
        self._read = self._whole[ALIGNED_BYTES:]

    def read(self, path: str, bytes_max: int, *, behind: bytes = b"") -> memoryview:
        """The file, at most one byte more than `bytes_max`, behind other bytes; it holds until the next one is read.

        Raises `OSError`.
        """
        descriptor, start = _open(path, os.O_RDONLY), ALIGNED_BYTES - len(behind)
        try:
            count = self._fill(descriptor)
            if count < BUFFER_BYTES:
                self._whole[start:ALIGNED_BYTES] = behind
                return self._whole[start : ALIGNED_BYTES + min(count, bytes_max + 1)]
            parts: list[bytes | memoryview] = [behind]
            left = bytes_max + 1
            while left > 0 and count:
                parts.append(bytes(self._read[: min(count, left)]))
                left -= count
                count = self._fill(descriptor) if count == BUFFER_BYTES else 0
            return memoryview(b"".join(parts))
        finally:
            os.close(descriptor)

    def _fill(self, descriptor: int) -> int:
        """How many bytes were read: as many as there is room for, or up to the end."""
        count = 0
        while count < BUFFER_BYTES and (more := os.readv(descriptor, [self._read[count:]])):
            count += more
            if more % ALIGNED_BYTES:
                # The end; a disk reads on from whole blocks only.
                break
        return count


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC | _DIRECT, 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # A file system that has no disk of its own.
        return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _aligned(content: bytes | memoryview) -> Iterator[memoryview]:
    """The bytes part by part in this thread's buffer, the last one up to the end of its block."""
    buffer = _buffer()
    rest = memoryview(content)
    while rest:
        part, rest = rest[:BUFFER_BYTES], rest[BUFFER_BYTES:]
        buffer[: len(part)] = part
        yield _whole_blocks(len(part))


def _whole_blocks(size: int) -> memoryview:
    """So much of this thread's memory, up to the end of the last block."""
    return _buffer()[: -(-size // ALIGNED_BYTES) * ALIGNED_BYTES]


def _buffer() -> memoryview:
    if not hasattr(_own, "buffer"):
        # Memory of its own begins with a page.
        _own.buffer = memoryview(mmap(-1, BUFFER_BYTES))
    found: memoryview = _own.buffer
    return found


def _write_all(descriptor: int, part: memoryview) -> None:
    while part:
        part = part[os.write(descriptor, part) :]
