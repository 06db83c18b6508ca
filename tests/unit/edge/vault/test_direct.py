"""Whole files past the cache of files: any length, over what was there, and what a thread's memory held before."""

import hashlib
import os
from pathlib import Path

import pytest

from node.edge.vault.direct import ALIGNED_BYTES, BUFFER_BYTES, HASHED_BYTES, ReadMemory, Staged, write_file

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
    memory = ReadMemory()
    assert memory.read(str(path), 3 * BUFFER_BYTES) == content
    assert memory.read(str(path), 3 * BUFFER_BYTES, behind=b"mark") == b"mark" + content
    assert memory.read(str(path), 3 * BUFFER_BYTES) == content


@pytest.mark.parametrize("size", [*SIZES, HASHED_BYTES, HASHED_BYTES + 1])
def test_what_is_staged_is_hashed_and_written_as_it_is(tmp_path: Path, size: int) -> None:
    path, content = tmp_path / "file", os.urandom(size)
    staged = Staged(memoryview(content))
    assert staged.digest == hashlib.sha256(content).digest()
    staged.write(str(path))
    assert path.read_bytes() == content


def test_a_file_is_read_into_the_memory_of_the_one_before(tmp_path: Path) -> None:
    first, second, memory = tmp_path / "first", tmp_path / "second", ReadMemory()
    first.write_bytes(b"x" * 2 * ALIGNED_BYTES)
    second.write_bytes(b"y" * 2 * ALIGNED_BYTES)
    found = memory.read(str(first), BUFFER_BYTES, behind=b"mark")
    memory.read(str(second), BUFFER_BYTES, behind=b"sign")
    assert found == b"sign" + b"y" * 2 * ALIGNED_BYTES


def test_a_shorter_file_takes_the_place_of_a_longer_one_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(str(path), b"x" * 3 * ALIGNED_BYTES)
    write_file(str(path), memoryview(b"short"))
    assert path.read_bytes() == b"short"


@pytest.mark.parametrize("bytes_max", [0, 5, ALIGNED_BYTES, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 3])
def test_of_a_file_that_is_too_large_one_byte_more_than_allowed_is_read(tmp_path: Path, bytes_max: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"y" * (2 * BUFFER_BYTES))
    assert ReadMemory().read(str(path), bytes_max) == b"y" * (bytes_max + 1)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        ReadMemory().read(str(tmp_path / "nothing"), 1)
