"""Whole files straight to the disk and from it, past the system's cache of files.

Through the cache each byte is copied and a page is made for it, which costs several times what encrypting it does, and
what others would have needed is thrown out for bytes that are seldom read again soon. A disk takes bytes straight only
from a buffer of its own alignment, so each thread keeps one.
"""

import errno
import os
from collections.abc import Iterator
from mmap import mmap
from threading import local

ALIGNED_BYTES = 4096
"""Disks ask for this much or less."""
BUFFER_BYTES = 1 << 20
"""A sealed chunk goes at once, what is larger in parts."""
_DIRECT = getattr(os, "O_DIRECT", 0)
"""Nothing where the system has no such thing."""

_own = local()


def write_file(path: str, content: bytes | memoryview) -> None:
    """Write or replace a file; it is safe only once it is synced. Raises `OSError`."""
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        for part in _aligned(content):
            _write_all(descriptor, part)
        if len(content) % ALIGNED_BYTES:
            # The last block was written whole. Cutting it makes the system read it again.
            os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


def read_file(path: str, bytes_max: int, *, behind: bytes = b"") -> bytes:
    """The file, at most one byte more than `bytes_max`, behind other bytes: put there later, it is copied once more.

    Raises `OSError`.
    """
    descriptor, buffer = _open(path, os.O_RDONLY), _buffer()
    try:
        parts: list[bytes] = []
        left = bytes_max + 1
        while left > 0 and (count := os.readv(descriptor, [buffer])):
            part = buffer[: min(count, left)]
            parts.append(bytes(part) if parts else b"".join((behind, part)))
            left -= count
            if count % ALIGNED_BYTES:
                # The end; a disk reads on from whole blocks only.
                break
        return parts[0] if len(parts) == 1 else b"".join(parts) or behind
    finally:
        os.close(descriptor)


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
        yield buffer[: -(-len(part) // ALIGNED_BYTES) * ALIGNED_BYTES]


def _buffer() -> memoryview:
    if not hasattr(_own, "buffer"):
        # Memory of its own begins with a page.
        _own.buffer = memoryview(mmap(-1, BUFFER_BYTES))
    found: memoryview = _own.buffer
    return found


def _write_all(descriptor: int, part: memoryview) -> None:
    while part:
        part = part[os.write(descriptor, part) :]
