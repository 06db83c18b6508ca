"""The short way for chunks writes and reads what protobuf does."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from node._proto.link_pb2 import Chunk, Frame, Hello
from node.edge.transport.errors import PeerBroke
from node.edge.transport.wire import Piece, decode_frame, encode_frame

NUMBERS = st.integers(0, 2**64 - 1)


@given(NUMBERS, st.binary(max_size=300))
def test_a_chunk_has_protobufs_own_bytes(number, body):
    raw = encode_frame(Piece(number, body))

    assert raw == Frame(chunk=Chunk(number=number, body=body)).SerializeToString()
    assert decode_frame(raw) == Piece(number, body)


@pytest.mark.parametrize("size", [127, 128, 16_383, 16_384, 1 << 20])
def test_sizes_around_the_edges_of_a_varint(size):
    raw = encode_frame(Piece(7, bytes(size)))

    assert raw == Frame(chunk=Chunk(number=7, body=bytes(size))).SerializeToString()
    assert decode_frame(raw) == Piece(7, bytes(size))


@given(st.binary(max_size=60) | st.builds(lambda tail: b"\x32" + tail, st.binary(max_size=60)))
def test_any_bytes_mean_what_they_mean_to_protobuf(raw):
    try:
        expected = Frame.FromString(raw)
    except DecodeError:
        with pytest.raises(PeerBroke):
            decode_frame(raw)
        return

    if expected.WhichOneof("kind") == "chunk":
        assert decode_frame(raw) == Piece(expected.chunk.number, expected.chunk.body)
    else:
        assert decode_frame(raw) == expected


def test_other_frames_are_protobufs():
    frame = Frame(hello=Hello(version_highest=1, org="a"))

    assert decode_frame(encode_frame(frame)) == frame
