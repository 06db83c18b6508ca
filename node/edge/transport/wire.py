"""Frames to bytes and back, with a short way for chunks.

Chunks carry the megabytes, and protobuf copies a body three times on its way out and twice on its way in. Here it is
copied once on its way out, and on its way in not at all: it stays where its frame is. The bytes are the same ones that
protobuf writes (a test compares them), and whatever is not exactly of that form is left to protobuf.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from node._proto.link_pb2 import Frame
from node.edge.transport.errors import PeerBroke

_CHUNK_IN_FRAME = 6 << 3 | 2
_NUMBER_IN_CHUNK = 1 << 3 | 0
_BODY_IN_CHUNK = 2 << 3 | 2
_VARINT_BYTES_MAX = 10


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk of an answer."""

    number: int
    body: bytes | memoryview
    """Of one that came a view into its frame."""


def encode_frame(frame: Frame | Piece) -> bytes:
    """The frame's protobuf form."""
    if isinstance(frame, Frame):
        return frame.SerializeToString()
    # Proto3 leaves out what is zero or empty.
    number = bytes((_NUMBER_IN_CHUNK,)) + _varint(frame.number) if frame.number else b""
    head = number + bytes((_BODY_IN_CHUNK,)) + _varint(len(frame.body)) if frame.body else number
    return b"".join((bytes((_CHUNK_IN_FRAME,)), _varint(len(head) + len(frame.body)), head, frame.body))


def decode_frame(raw: bytes) -> Frame | Piece:
    """The frame; a `Piece` for every chunk. Raises `PeerBroke`."""
    piece = _plain_chunk(raw)
    if piece is not None:
        return piece
    try:
        frame = Frame.FromString(raw)
    except DecodeError as error:
        raise PeerBroke("bytes that are no frame") from error
    if frame.WhichOneof("kind") == "chunk":
        return Piece(frame.chunk.number, frame.chunk.body)
    return frame


def _plain_chunk(raw: bytes) -> Piece | None:
    """The chunk in exactly the form that `encode_frame` writes; None for anything else."""
    at = 0
    values: list[int] = []
    for tag in (_CHUNK_IN_FRAME, _NUMBER_IN_CHUNK, _BODY_IN_CHUNK):
        if at >= len(raw) or raw[at] != tag:
            return None
        read = _read_varint(raw, at + 1)
        if read is None:
            return None
        value, at = read
        if tag != _NUMBER_IN_CHUNK and value != len(raw) - at:
            return None
        values.append(value)
    return Piece(values[1], memoryview(raw)[at:])


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(raw: bytes, at: int) -> tuple[int, int] | None:
    """The number and where it ends; None where protobuf should judge."""
    value = 0
    for index, byte in enumerate(raw[at : at + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return (value, at + index + 1) if value < 1 << 64 else None
    return None
