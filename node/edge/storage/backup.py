"""A chain in one file: from the genesis all blocks, or a snapshot of the state with its path of trust.

The file is a tag and the chain's id, then frames: kind, length, CRC-32, content. Kinds: a block with its certificate;
a snapshot's head; a snapshot's chunk; the end, with how many frames there were. What the frames say is checked by the
ledger; here only that the file is whole and of this chain.
"""

import enum
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from node.base.codec import decode, encode
from node.base.types import CertifiedBlock, Digest, Height
from node.edge.storage.errors import FileDamaged, FileMissing, NotGenuine
from node.edge.storage.files import PUBLIC_MODE, sync_folder
from node.edge.storage.reader import SqliteReader
from node.edge.storage.snapshots import state_chunks
from node.ledger import system
from node.ledger.light import build_path
from node.ledger.snapshot import SnapshotHead

_TAG = b"lepton chain 1\n"
_FRAME = struct.Struct(">BII")
CONTENT_BYTES_MAX = 128 << 20
"""No frame is longer."""


class Kind(enum.IntEnum):
    """What a frame holds."""

    BLOCK = 1
    HEAD = 2
    CHUNK = 3
    END = 9


def write_backup(
    path: Path, reader: SqliteReader, chain: Digest, progress: Callable[[int, int], None] = lambda done, of: None
) -> Height:
    """Write what the frozen reader sees; returns the head's height. Raises `FileExistsError`, `OSError`.

    A chain from its genesis is written as blocks; one that begins later as the state at its head.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already: choose another name")
    draft = path.with_name(f".{path.name}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PUBLIC_MODE)
    count = 0
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_TAG + chain)
            for kind, content in _contents(draft, reader, progress):
                file.write(_FRAME.pack(kind, len(content), zlib.crc32(content)) + content)
                count += 1
            content = count.to_bytes(8, "big")
            file.write(_FRAME.pack(Kind.END, len(content), zlib.crc32(content)) + content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return reader.height()


def read_backup(path: Path, chain: Digest) -> Iterator[tuple[Kind, bytes]]:
    """The frames before the end, in order. Raises `FileMissing`, `NotGenuine` for another chain's, `FileDamaged`."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileMissing(f"cannot read {path} ({error.strerror}): check that it exists and may be read") from error
    with file:
        head = file.read(len(_TAG) + 32)
        if not head.startswith(_TAG) or len(head) < len(_TAG) + 32:
            raise FileDamaged(f"{path} is no exported chain")
        if head[len(_TAG) :] != chain:
            raise NotGenuine(f"{path} holds the chain of another genesis file")
        count = 0
        while True:
            kind, content = _read_frame(path, count, file.read(_FRAME.size), file.read)
            if kind is Kind.END:
                if content != count.to_bytes(8, "big") or file.read(1):
                    raise FileDamaged(f"{path} is damaged at its end: {count} pieces are there, others were written")
                return
            yield kind, content
            count += 1


def _read_frame(path: Path, count: int, start: bytes, read: Callable[[int], bytes]) -> tuple[Kind, bytes]:
    where = f"{path} is damaged or cut short after {count} pieces (a chain from its genesis: after height {count})"
    if len(start) < _FRAME.size:
        raise FileDamaged(where)
    kind, length, checksum = _FRAME.unpack(start)
    content = read(length) if length <= CONTENT_BYTES_MAX else b""
    if kind not in set(Kind) or len(content) != length or zlib.crc32(content) != checksum:
        raise FileDamaged(where)
    return Kind(kind), content


def _contents(draft: Path, reader: SqliteReader, progress: Callable[[int, int], None]) -> Iterator[tuple[Kind, bytes]]:
    height = reader.height()
    if reader.base() > 1:
        yield from _based(draft, reader, height)
        return
    for at in range(1, height + 1):
        certified = reader.block(Height(at))
        assert certified is not None, "a chain has all blocks from its base on"
        yield Kind.BLOCK, encode(certified)
        progress(at, height)


def _based(draft: Path, reader: SqliteReader, height: Height) -> Iterator[tuple[Kind, bytes]]:
    certified, receipts = reader.block(height), reader.receipts(height)
    assert certified is not None, "a chain has the block of its own height"
    assert receipts is not None, "and its receipts"
    scratch = draft.with_name(draft.name + ".sorted")
    # The head names all parts, so the state is cut twice rather than held in memory.
    parts = tuple(part for part, _ in state_chunks(scratch, reader))
    path = build_path(system.set_history(reader), reader.certified_header, height)
    yield Kind.HEAD, encode(SnapshotHead(path, certified, receipts, parts))
    for _, chunk in state_chunks(scratch, reader):
        yield Kind.CHUNK, chunk


def backup_block(content: bytes) -> CertifiedBlock:
    """The block of a frame. Raises `DecodeError`."""
    return decode(CertifiedBlock, content)
