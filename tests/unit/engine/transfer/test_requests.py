"""What travels between vaults: chunks cut for the wire, and what is no such cut."""

import pytest

from node.engine.transfer.requests import END, PIECE_BYTES_MAX, framed, unframed


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES_MAX - 1, PIECE_BYTES_MAX, 2 * PIECE_BYTES_MAX])
def test_a_chunk_comes_out_as_it_was_cut(size):
    chunk = bytes(range(256)) * (size // 256) + bytes(size % 256)

    parts = [unframed(piece) for piece in framed(END + chunk)]

    assert b"".join(part for part, _ in parts) == chunk
    assert [is_end for _, is_end in parts] == [False] * (len(parts) - 1) + [True]


@pytest.mark.parametrize("piece", [b"", b"\x02rest", b"\x00", b"\x00a", b"\x00" + bytes(PIECE_BYTES_MAX)])
def test_pieces_that_nobody_cuts_are_refused(piece):
    # Empty or tiny ones would be kept without end: a chunk's bytes are bounded, its pieces would not be.
    with pytest.raises(ValueError, match="a piece"):
        unframed(piece)
