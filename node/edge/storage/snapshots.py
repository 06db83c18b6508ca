"""Snapshots on disk: making them of a database that goes on growing, keeping the last ones, taking others' in.

::

    DIR/snapshots/<height>/head     the snapshot's head, byte form of `SnapshotHead`
    DIR/snapshots/<height>/chunks   frames: index, length, CRC-32, the chunk
    DIR/snapshots/incoming/...      one that is being fetched: its head is there first, chunks are added as they come
    DIR/snapshots/making/...        one that is being made; with it a table of the state in the order of its tree
    DIR/snapshots/doomed/...        one that is being deleted

A folder gets its final name when it is whole and synced, and loses it before it is deleted, so a crash leaves nothing
that looks whole and is not.
Everything here is synchronous and is called on worker threads; what comes from others is checked by the ledger.
"""

import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.base.codec import encode
from node.base.types import Height
from node.edge.storage.errors import StoreDamaged, StoreError
from node.edge.storage.files import OS_FILES, PRIVATE_MODE, Files, make_private_folder, replace_atomically
from node.edge.storage.reader import SqliteReader
from node.ledger import system
from node.ledger.light import build_path
from node.ledger.snapshot import (
    CHUNK_BYTES_MAX,
    HEAD_BYTES_MAX,
    Part,
    Sizes,
    SnapshotHead,
    encode_chunk,
    upper_nodes,
)
from node.ledger.tree import key_hash, subtree

KEPT = 2
"""Whole snapshots; older ones are deleted."""
ROWS_AT_ONCE = 1_000
_FRAME = struct.Struct(">III")
_INCOMING, _MAKING, _DOOMED = "incoming", "making", "doomed"


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a chunk stands in its file."""

    at: int
    length: int


class SnapshotFiles:
    """The folder of a member's snapshots."""

    def __init__(self, root: Path, files: Files = OS_FILES) -> None:
        """`root` is made where it is missing. Raises `OSError`."""
        self._root = root
        self._files = files
        make_private_folder(root)
        for left in (_MAKING, _DOOMED):
            files.remove_folder(root / left)
        self._frames: dict[Height, dict[int, _Frame]] = {}

    def heights(self) -> tuple[Height, ...]:
        """Of the whole snapshots, ascending."""
        return tuple(sorted(Height(int(folder.name)) for folder in self._root.iterdir() if folder.name.isdigit()))

    def head(self, height: Height) -> bytes | None:
        """The head of a whole snapshot."""
        return _read(self._root / str(height) / "head")

    def chunk(self, height: Height, index: int) -> bytes | None:
        """One chunk of a whole snapshot. Raises `StoreDamaged`."""
        path = self._root / str(height) / "chunks"
        if height not in self._frames:
            if not path.is_file():
                return None
            self._frames[height] = dict(_frames(path))
        frame = self._frames[height].get(index)
        return None if frame is None else _chunk(path, frame)

    def make(self, reader: SqliteReader, cancelled: Callable[[], bool]) -> Height | None:
        """Make a snapshot of what the frozen reader sees, and close it; None without a block, or if cancelled.

        Raises `StoreDamaged` where the state is not the one that the head's block covers, `OSError`.
        """
        try:
            height = reader.height()
            if height == 0:
                return None
            folder = self._root / _MAKING
            self._files.remove_folder(folder)
            make_private_folder(folder)
            if not _make(folder, reader, height, cancelled, self._files):
                return None
            self._finish(folder, height)
            return height
        finally:
            reader.close()

    # One that is being fetched

    def incoming(self) -> bytes | None:
        """The head of the snapshot that is being fetched."""
        return _read(self._root / _INCOMING / "head")

    def begin_incoming(self, head: bytes, *, same: bool) -> None:
        """Begin with this one; `same`: with the chunks that are there. Raises `OSError`."""
        if not same:
            self.drop_incoming()
        folder = self._root / _INCOMING
        make_private_folder(folder)
        os.close(replace_atomically(folder / "head", head, mode=PRIVATE_MODE, files=self._files))

    def incoming_chunks(self) -> Iterator[tuple[int, bytes]]:
        """The chunks that are there, in the order in which they came; from a torn one on they are cut off."""
        path = self._root / _INCOMING / "chunks"
        if not path.is_file():
            return
        end = 0
        for index, frame in _frames(path):
            try:
                chunk = _chunk(path, frame)
            except StoreDamaged:
                break
            end = frame.at + frame.length
            yield index, chunk
        descriptor = self._files.open(path)
        try:
            self._files.truncate(descriptor, end)
        finally:
            os.close(descriptor)

    def add_incoming(self, index: int, chunk: bytes) -> None:
        """Keep one checked chunk, synced. Raises `OSError`."""
        path = self._root / _INCOMING / "chunks"
        is_first = not path.exists()
        descriptor = self._files.create(path, PRIVATE_MODE) if is_first else self._files.open(path)
        try:
            self._files.write(descriptor, _framed(index, chunk), os.fstat(descriptor).st_size)
            self._files.sync(descriptor)
        finally:
            os.close(descriptor)
        if is_first:
            self._files.sync_folder(path.parent)

    def ordered_incoming(self) -> Iterator[bytes]:
        """All chunks by index. Raises `StoreDamaged` where one is missing or not what was written."""
        path = self._root / _INCOMING / "chunks"
        frames = dict(_frames(path)) if path.is_file() else {}
        for index in sorted(frames):
            yield _chunk(path, frames[index])

    def keep_incoming(self, height: Height) -> None:
        """It is installed: from now on it is served like an own one. Raises `OSError`."""
        self._finish(self._root / _INCOMING, height)

    def drop_incoming(self) -> None:
        """Forget the one that is being fetched."""
        self._files.remove_folder(self._root / _INCOMING)

    def _finish(self, folder: Path, height: Height) -> None:
        self._files.sync_folder(folder)
        self._delete(height)
        self._files.rename(folder, self._root / str(height))
        self._files.sync_folder(self._root)
        for old in self.heights()[:-KEPT]:
            self._delete(old)

    def _delete(self, height: Height) -> None:
        """The name goes first, durably: what is half deleted must not be taken for a snapshot."""
        self._frames.pop(height, None)
        folder, doomed = self._root / str(height), self._root / _DOOMED
        if folder.exists():
            self._files.remove_folder(doomed)
            self._files.rename(folder, doomed)
            self._files.sync_folder(self._root)
            self._files.remove_folder(doomed)


def _framed(index: int, chunk: bytes) -> bytes:
    return _FRAME.pack(index, len(chunk), zlib.crc32(chunk)) + chunk


def _make(folder: Path, reader: SqliteReader, height: Height, cancelled: Callable[[], bool], files: Files) -> bool:
    """Write chunks and head; whether it was not cancelled."""
    certified, receipts = reader.block(height), reader.receipts(height)
    assert certified is not None, "the chain has the block of its own height"
    assert receipts is not None, "and its receipts"
    parts: list[Part] = []
    descriptor, end = files.create(folder / "chunks", PRIVATE_MODE), 0
    try:
        for index, (part, chunk) in enumerate(state_chunks(folder / "sorted.sqlite", reader, files)):
            if cancelled():
                return False
            parts.append(part)
            framed = _framed(index, chunk)
            files.write(descriptor, framed, end)
            end += len(framed)
        files.sync(descriptor)
    finally:
        os.close(descriptor)
    if upper_nodes(parts)[0] != certified.block.header.state_root:
        raise StoreDamaged(
            f"the state in the database is not the one that block {height} covers: "
            "run `lepton chain verify`, then `lepton chain repair`"
        )
    path = build_path(system.set_history(reader), reader.certified_header, height)
    head = SnapshotHead(path, certified, receipts, tuple(parts))
    os.close(replace_atomically(folder / "head", encode(head), mode=PRIVATE_MODE, files=files))
    return True


def state_chunks(scratch: Path, reader: SqliteReader, files: Files = OS_FILES) -> Iterator[tuple[Part, bytes]]:
    """The state cut into parts, from left to right. `scratch` is a file for a table that is deleted at the end.

    Memory is bounded by one chunk, whatever the state's size. Raises `StoreError`.
    """
    files.remove(scratch)
    table = sqlite3.connect(scratch, isolation_level=None)
    try:
        table.execute("PRAGMA journal_mode = OFF")
        table.execute("PRAGMA synchronous = OFF")
        table.execute("CREATE TABLE entries (hash BLOB PRIMARY KEY, key BLOB, value BLOB) WITHOUT ROWID")
        sizes = _fill(table, reader)
        for prefix, depth in sizes.cuts():
            first = (prefix << 256 - depth).to_bytes(32, "big")
            last = ((prefix + 1 << 256 - depth) - 1).to_bytes(32, "big")
            query = "SELECT key, value FROM entries WHERE hash BETWEEN ? AND ? ORDER BY hash"
            entries = table.execute(query, (first, last)).fetchall()
            chunk = encode_chunk(entries)
            if len(chunk) > CHUNK_BYTES_MAX:
                raise StoreError(f"a part of the state has {len(chunk)} bytes; snapshots hold {CHUNK_BYTES_MAX}")
            yield Part(prefix, depth, subtree(prefix, depth, entries).root), chunk
    except sqlite3.Error as error:
        raise StoreError(f"cannot sort the state in {scratch} ({error}): check the disk's space") from error
    finally:
        table.close()
        files.remove(scratch)


def _fill(table: sqlite3.Connection, reader: SqliteReader) -> Sizes:
    sizes = Sizes()
    rows: list[tuple[bytes, bytes, bytes]] = []
    table.execute("BEGIN")
    for key, value in reader.stored_state():
        hashed = key_hash(key)
        sizes.add(hashed, key, value)
        rows.append((hashed, key, value))
        if len(rows) >= ROWS_AT_ONCE:
            table.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
            rows.clear()
    table.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
    table.execute("COMMIT")
    return sizes


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES_MAX)
    except FileNotFoundError:
        return None


def _frames(path: Path) -> Iterator[tuple[int, _Frame]]:
    """The frames of the file up to one that is cut short; of two with one index the later counts."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at + _FRAME.size <= size:
            file.seek(at)
            index, length, _ = _FRAME.unpack(file.read(_FRAME.size))
            start = at + _FRAME.size
            if start + length > size:
                return
            yield index, _Frame(start, length)
            at = start + length


def _chunk(path: Path, frame: _Frame) -> bytes:
    with path.open("rb") as file:
        file.seek(frame.at - _FRAME.size)
        _, _, checksum = _FRAME.unpack(file.read(_FRAME.size))
        chunk = file.read(frame.length)
    if zlib.crc32(chunk) != checksum:
        raise StoreDamaged(f"a chunk in {path} is not what was written: delete the folder, it is made again")
    return chunk
