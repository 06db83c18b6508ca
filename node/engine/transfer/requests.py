"""What members ask each other about data sets on the bulk connection. Who may ask is the business of `serving`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from node.base.codec import decode, encode
from node.base.types import Digest, OrgId
from node.edge.vault.chunks import SEALED_BYTES_MAX

PIECE_BYTES_MAX = SEALED_BYTES_MAX
_TAG = b"\xf5transfer\x01"
"""No request of a training round begins like this."""
_MORE, END = b"\x00", b"\x01"
"""A piece begins with one of these; a chunk that is one piece is read behind the second."""


@dataclass(frozen=True, slots=True)
class Fetching:
    """The asker fetches on this transaction of the contract `access`."""

    fetch: Digest


@dataclass(frozen=True, slots=True)
class Keeping:
    """The asker keeps a copy for the owner, or is the owner and gets its own back."""

    data: str
    """`owner/name`."""
    version: int


Claim = Fetching | Keeping


@dataclass(frozen=True, slots=True)
class EnvelopeRequest:
    """The version's key, sealed to the asker. One piece: an `Envelope`."""

    fetch: Digest


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """The owner's record of a version, sealed to the owner. One answer in pieces."""

    data: str
    version: int


@dataclass(frozen=True, slots=True)
class DigestsRequest:
    """The digests of all chunks, from this one on. One answer in pieces."""

    claim: Claim
    start: int


@dataclass(frozen=True, slots=True)
class ChunksRequest:
    """The sealed chunks [start, stop), in framed pieces."""

    claim: Claim
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """The version's key, sealed to the asker, before a fetch: the owner may be away then. One piece: an `Envelope`."""

    basis: Digest
    version: int


Inner = EnvelopeRequest | RecordRequest | DigestsRequest | ChunksRequest | KeyRequest


@dataclass(frozen=True, slots=True)
class CarryRequest:
    """Ask `source` in the sender's name, where the sender cannot reach it. All that is carried is sealed already."""

    source: OrgId
    inner: Inner


@dataclass(frozen=True, slots=True)
class CarriedRequest:
    """What the carrier asks: `asker` wants it, the sender only carries it."""

    asker: OrgId
    inner: Inner


TransferRequest = (
    EnvelopeRequest | RecordRequest | DigestsRequest | ChunksRequest | CarryRequest | CarriedRequest | KeyRequest
)
"""Everything that can be asked. The order is the wire's: append only."""
_REQUEST = cast("type[TransferRequest]", TransferRequest)


def is_transfer_request(request: bytes) -> bool:
    """Whether the bulk request is one of these."""
    return request.startswith(_TAG)


def encode_request(request: TransferRequest) -> bytes:
    """The byte form on the wire."""
    return _TAG + encode(request, TransferRequest)


def decode_request(data: bytes) -> TransferRequest:
    """Raises `DecodeError`."""
    return decode(_REQUEST, data.removeprefix(_TAG))


def pieces(content: bytes) -> Iterator[bytes]:
    """`content` cut for the wire."""
    for at in range(0, len(content), PIECE_BYTES_MAX):
        yield content[at : at + PIECE_BYTES_MAX]


def framed(marked: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """A sealed chunk that was read behind `END`, cut for the wire, so that its end is known."""
    if len(marked) <= PIECE_BYTES_MAX:
        # Nearly all are one piece, and are not copied.
        yield marked
        return
    step = PIECE_BYTES_MAX - 1
    for at in range(1, len(marked), step):
        yield b"".join((END if at + step >= len(marked) else _MORE, marked[at : at + step]))


def unframed(piece: bytes | memoryview) -> tuple[memoryview, bool]:
    """A piece's part of the chunk, not copied, and whether the chunk ends with it. Raises `ValueError`."""
    if piece[:1] not in (_MORE, END):
        raise ValueError("a piece of a chunk begins with no mark")
    if piece[:1] == _MORE and len(piece) != PIECE_BYTES_MAX:
        # Kept one by one until the chunk's end, small ones would take a hundred times their size.
        raise ValueError("a piece that is not the chunk's last is not full")
    return memoryview(piece)[1:], piece[:1] == END
