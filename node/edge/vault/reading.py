"""One file of a version as a seekable reader: what needs a file's end before its beginning (Parquet) needs no copy."""

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

KEPT_CHUNKS = 8
"""In the clear, in memory."""


class ChunkReader(io.RawIOBase):
    """Reads a file whose bytes are the plain chunks one after the other, all of one size but the last."""

    def __init__(self, chunk: Callable[[int], bytes], chunk_bytes: int, size_bytes: int) -> None:
        """`chunk` gives the plain bytes of the chunk at an index from 0; what it raises goes through."""
        self._chunk = chunk
        self._chunk_bytes = chunk_bytes
        self._size = size_bytes
        self._at = 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, which may be behind the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Up to the end of one chunk; 0 at the end of the file."""
        view = memoryview(buffer).cast("B")
        if self._at >= self._size or not view:
            return 0
        index, inside = divmod(self._at, self._chunk_bytes)
        part = self._kept_chunk(index)[inside : inside + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _kept_chunk(self, index: int) -> bytes:
        if index not in self._kept:
            self._kept[index] = self._chunk(index)
            while len(self._kept) > KEPT_CHUNKS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(index)
        return self._kept[index]
