"""What members ask each other about snapshots on the bulk connection. Any member in force may ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from node.base.codec import decode, encode
from node.base.types import Height
from node.core.sync import Offer

PIECE_BYTES = 512 << 10
"""Heads and chunks travel in pieces of this."""
OFFERS_BYTES_MAX = 4 << 10
_TAG = b"\xf5snapshot\x01"
"""No request of a training round begins like this."""


@dataclass(frozen=True, slots=True)
class OffersRequest:
    """Which snapshots the member has. One piece: `Offers`."""


@dataclass(frozen=True, slots=True)
class HeadRequest:
    """The head of one."""

    height: Height


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """One chunk of one."""

    height: Height
    index: int


@dataclass(frozen=True, slots=True)
class Offers:
    """The whole snapshots, ascending."""

    offers: tuple[Offer, ...]


SyncRequest = OffersRequest | HeadRequest | ChunkRequest
_REQUEST = cast("type[SyncRequest]", SyncRequest)


def is_sync_request(request: bytes) -> bool:
    """Whether the bulk request is one of these."""
    return request.startswith(_TAG)


def encode_request(request: SyncRequest) -> bytes:
    """The byte form on the wire."""
    return _TAG + encode(request, SyncRequest)


def decode_request(data: bytes) -> SyncRequest:
    """Raises `DecodeError`."""
    return decode(_REQUEST, data.removeprefix(_TAG))


def pieces(data: bytes) -> Iterator[bytes]:
    """`data` cut for the wire."""
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]
