"""One chunk: what opens, and what does not."""

import os

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from node.edge.vault.chunks import (
    CHUNK_BYTES,
    SEALED_BYTES_MAX,
    ChunkBuffer,
    ChunkRefused,
    Place,
    _bound_to,
    _nonce,
    open_chunk,
    seal_chunk,
)
from node.edge.vault.direct import ALIGNED_BYTES

KEY = AESGCM(bytes(range(32)))
PLACE = Place("ada/rows", bytes(16), 3, False)


@given(st.binary(max_size=5_000))
def test_a_chunk_comes_back(plain: bytes) -> None:
    assert open_chunk(KEY, PLACE, seal_chunk(KEY, PLACE, plain)) == plain


@pytest.mark.parametrize("plain", [bytes(CHUNK_BYTES), os.urandom(CHUNK_BYTES)], ids=["zeros", "chance"])
def test_full_chunks_of_both_extremes(plain: bytes) -> None:
    sealed = seal_chunk(KEY, PLACE, plain)
    assert open_chunk(KEY, PLACE, sealed) == plain
    assert len(sealed) <= CHUNK_BYTES + 17


def test_a_buffer_seals_one_after_the_other_and_keeps_nothing_of_the_one_before() -> None:
    buffer = ChunkBuffer()
    for plain in (os.urandom(CHUNK_BYTES), bytes(CHUNK_BYTES), os.urandom(100), b"", b"rows" * 1_000):
        buffer.room[: len(plain)] = plain
        sealed = bytes(buffer.seal(KEY, PLACE, len(plain)))
        assert sealed == seal_chunk(KEY, PLACE, plain)
        assert open_chunk(KEY, PLACE, sealed) == plain


@pytest.mark.parametrize(
    "other",
    [
        Place("ada/other", bytes(16), 3, False),
        Place("ada/rows", bytes(15) + b"\x01", 3, False),
        Place("ada/rows", bytes(16), 4, False),
        Place("ada/rows", bytes(16), 3, True),
    ],
)
def test_a_chunk_is_bound_to_its_place(other: Place) -> None:
    with pytest.raises(ChunkRefused, match="another place"):
        open_chunk(KEY, other, seal_chunk(KEY, PLACE, b"rows"))


@given(st.binary(max_size=200))
def test_bytes_of_chance_are_refused(sealed: bytes) -> None:
    with pytest.raises(ChunkRefused):
        open_chunk(KEY, PLACE, sealed)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\x01" + zstandard.ZstdCompressor().compress(bytes(CHUNK_BYTES + 1)), "unpacks to"),
        (b"\x01" + zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 100), "unpacks to"),
        (b"\x01\x00\x00", "unpack"),
        (b"\x02rows", "upgrade"),
        (b"", "no chunk has"),
    ],
)
def test_what_the_owner_of_the_key_could_send_is_bounded_too(body: bytes, words: str) -> None:
    sealed = KEY.encrypt(_nonce(PLACE), body, _bound_to(PLACE))
    with pytest.raises(ChunkRefused, match=words):
        open_chunk(KEY, PLACE, sealed)


def test_a_full_chunk_that_is_not_compressed_fills_whole_blocks_of_a_disk():
    sealed = seal_chunk(KEY, PLACE, os.urandom(CHUNK_BYTES))

    assert len(sealed) % ALIGNED_BYTES == 0
    assert len(sealed) <= SEALED_BYTES_MAX


def test_a_chunk_of_an_earlier_size_opens():
    plain = os.urandom((1 << 20) - 64)

    assert open_chunk(KEY, PLACE, seal_chunk(KEY, PLACE, plain)) == plain
