"""Frames between the daemon and its learning process."""

import io
import struct

import pytest

from node.edge.learning.child import read_request
from node.edge.learning.framing import BODY_BYTES_MAX, HEADER_BYTES_MAX, FrameError, frame_head


def frame(header: bytes, body: bytes = b"", body_length: int | None = None) -> bytes:
    return struct.pack(">IQ", len(header), len(body) if body_length is None else body_length) + header + body


@pytest.mark.parametrize("parts", [[], [b""], [b"abc"], [b"", b"abc", b"", b"de"]])
def test_a_frame_is_read_as_it_was_written(parts):
    stream = io.BytesIO((frame_head({"do": "x", "n": 1}, parts) + b"".join(parts)) * 2)

    for _ in range(2):
        header, found = read_request(stream)
        assert (header["do"], header["n"], found) == ("x", 1, parts)
    assert read_request(stream) is None


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        struct.pack(">IQ", HEADER_BYTES_MAX + 1, 0),
        struct.pack(">IQ", 2, BODY_BYTES_MAX + 1) + b"{}",
        frame(b"{"),
        frame(b"[]"),
        frame(b"{}"),
        frame(b'{"parts": [1]}'),
        frame(b'{"parts": [-1, 1]}'),
        frame(b'{"parts": ["1"]}', b"1"),
        frame(b'{"parts": [2]}', b"1", 2),
    ],
)
def test_anything_else_is_refused(data):
    with pytest.raises(FrameError):
        read_request(io.BytesIO(data))
