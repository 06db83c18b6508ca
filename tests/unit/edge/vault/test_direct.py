"""Whole files past the cache of files: any length, over what was there, and what a thread's memory held before."""

import os
from pathlib import Path

import pytest

from node.edge.vault.direct import ALIGNED_BYTES, BUFFER_BYTES, read_file, write_file

SIZES = [
    0,
    1,
    ALIGNED_BYTES - 1,
    ALIGNED_BYTES,
    ALIGNED_BYTES + 1,
    BUFFER_BYTES,
    BUFFER_BYTES + 1,
    2 * BUFFER_BYTES + 7,
]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_read_as_it_was_written(tmp_path: Path, size: int) -> None:
    path, content = tmp_path / "file", os.urandom(size)
    write_file(str(path), content)
    assert path.read_bytes() == content
    assert read_file(str(path), 3 * BUFFER_BYTES) == content
    assert read_file(str(path), 3 * BUFFER_BYTES, behind=b"mark") == b"mark" + content


def test_a_shorter_file_takes_the_place_of_a_longer_one_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(str(path), b"x" * 3 * ALIGNED_BYTES)
    write_file(str(path), memoryview(b"short"))
    assert path.read_bytes() == b"short"


@pytest.mark.parametrize("bytes_max", [0, 5, ALIGNED_BYTES, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 3])
def test_of_a_file_that_is_too_large_one_byte_more_than_allowed_is_read(tmp_path: Path, bytes_max: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"y" * (2 * BUFFER_BYTES))
    assert read_file(str(path), bytes_max) == b"y" * (bytes_max + 1)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_file(str(tmp_path / "nothing"), 1)
