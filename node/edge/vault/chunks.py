"""One chunk of a data set at rest: compressed where that helps, encrypted, bound to its place.

AES-256-GCM under a key that one version of one data set has for itself. The nonce is the chunk's index: no key seals
two things at one index, because an interrupted adding throws its key away. What a chunk is bound to (associated data)
is the data set, the version, the index, and whether it is the last: none can be swapped, dropped at the end, or taken
for another's. Index 0 is the manifest; the data's chunks count from 1.
"""

import hashlib
from dataclasses import dataclass

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.base.codec import encode
from node.base.crypto import merkle_root
from node.base.types import Digest

CHUNK_BYTES = (2 << 20) - 4096 - 17
"""Plain bytes in one chunk; only the last may have fewer. Sealed it is one piece on a link, and, where it is not
compressed, it fills whole blocks of a disk, so that its file need not be cut afterwards."""
SEALED_BYTES_MAX = 2 << 20
MANIFEST_BYTES_MAX = 64 << 20
COMPRESSION_LEVEL = 1
"""The fastest: chunks are sealed as fast as a disk writes them."""
SAMPLE_BYTES = 32 << 10
"""A chunk is compressed only where its middle gets smaller."""

_PLAIN, _ZSTANDARD = b"\x00", b"\x01"
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Place:
    """What a chunk is bound to."""

    data: str
    """`owner/name`."""
    version: bytes
    """Random, 16 bytes: the version's own name, known before its number is."""
    index: int
    last: bool


class ChunkRefused(ValueError):
    """Bytes that are not the chunk of this place under this key."""


class ChunkBuffer:
    """Memory in which one chunk after the other is read and sealed: got anew for each, it would cost more than that."""

    def __init__(self) -> None:
        self._body = memoryview(bytearray(len(_PLAIN) + CHUNK_BYTES))
        """As it is encrypted, where it is not compressed."""
        self._body[: len(_PLAIN)] = _PLAIN
        self._sealed = memoryview(bytearray(SEALED_BYTES_MAX))
        self._compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)

    @property
    def room(self) -> memoryview:
        """Where the plain bytes go."""
        return self._body[len(_PLAIN) :]

    def seal(self, key: AESGCM, place: Place, count: int) -> memoryview:
        """The first `count` bytes of the room as a chunk; it is overwritten by the next."""
        packed = _compressed(self._compressor, self.room[:count])
        body = self._body[: len(_PLAIN) + count] if packed is None else _ZSTANDARD + packed
        sealed = self._sealed[: len(body) + _TAG_BYTES]
        key.encrypt_into(_nonce(place), body, _bound_to(place), sealed)
        return sealed


def seal_chunk(key: AESGCM, place: Place, plain: bytes) -> bytes:
    """Compress if it gets smaller, and encrypt."""
    packed = _compressed(zstandard.ZstdCompressor(level=COMPRESSION_LEVEL), plain)
    body = _PLAIN + plain if packed is None else _ZSTANDARD + packed
    return key.encrypt(_nonce(place), body, _bound_to(place))


def open_chunk(key: AESGCM, place: Place, sealed: bytes, bytes_max: int = CHUNK_BYTES) -> bytes:
    """The plain bytes, `bytes_max` at most. Raises `ChunkRefused`."""
    if not _TAG_BYTES < len(sealed) <= bytes_max + _TAG_BYTES + 1:
        raise ChunkRefused(f"it has {len(sealed)} bytes, which no chunk has")
    try:
        body = key.decrypt(_nonce(place), sealed, _bound_to(place))
    except InvalidTag as error:
        raise ChunkRefused("it was changed, or is the chunk of another place, version or key") from error
    return _unpacked(body, bytes_max)


def sealed_bytes_max(index: int) -> int:
    """What the sealed chunk of this index has at most."""
    return MANIFEST_BYTES_MAX + SEALED_BYTES_MAX - CHUNK_BYTES if index == 0 else SEALED_BYTES_MAX


def chunk_digest(sealed: bytes | memoryview) -> Digest:
    """The name of a sealed chunk wherever it is stored: its SHA-256."""
    return Digest(hashlib.sha256(sealed).digest())


def chunks_root(digests: list[Digest]) -> Digest:
    """RFC 6962 root over the sealed chunks' digests, the manifest's first: the version's fingerprint on the ledger."""
    return Digest(merkle_root(digests))


def _compressed(compressor: zstandard.ZstdCompressor, plain: bytes | memoryview) -> bytes | None:
    """None where it does not get smaller."""
    middle = max(0, (len(plain) - SAMPLE_BYTES) // 2)
    sample = plain[middle : middle + SAMPLE_BYTES]
    if len(plain) > len(sample) <= len(compressor.compress(sample)):
        return None
    packed = compressor.compress(plain)
    return packed if len(packed) < len(plain) else None


def _unpacked(body: bytes, bytes_max: int) -> bytes:
    kind, rest = body[:1], body[1:]
    if kind == _PLAIN:
        return rest
    if kind != _ZSTANDARD:
        raise ChunkRefused("it is packed in a way that this version does not know: upgrade lepton")
    try:
        # The size that a frame claims is checked before anything of that size is allocated.
        claimed = zstandard.frame_content_size(rest)
        if not 0 <= claimed <= bytes_max:
            raise ChunkRefused(f"it unpacks to {claimed} bytes, {bytes_max} are allowed")
        return zstandard.ZstdDecompressor().decompress(rest, max_output_size=bytes_max)
    except zstandard.ZstdError as error:
        raise ChunkRefused("it does not unpack") from error


def _nonce(place: Place) -> bytes:
    return place.index.to_bytes(12, "big")


def _bound_to(place: Place) -> bytes:
    return b"lepton/vault-chunk\x00" + encode(place)
