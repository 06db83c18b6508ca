"""What can be added to the vault: one file, or a folder of images; its kind, its files, and its columns.

Only looks: streams bytes and never holds more than a piece of them. Whether rows fit a schema is for others to say.
"""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.edge.vault.errors import SourceRefused

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".dcm"})
KINDS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".npz": "npz"}
FILES_MAX = 1_000_000
COLUMNS_MAX = 4_096
SAMPLE_LINES = 1_000
LINE_BYTES_MAX = 4 << 20
_CSV_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Column:
    """One column, array, or set of images."""

    name: str
    type: str
    """As Arrow names it (`int64`, `double`, `string`), an array's `dtype[shape]`, or `image`."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source."""

    path: str
    """Relative to the folder, with `/`; the bare name of a single file."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be added."""

    root: Path
    kind: str
    files: tuple[SourceFile, ...]
    """Ascending by path."""
    columns: tuple[Column, ...]

    @property
    def plain_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)

    def read_into(self, next_room: Callable[[], memoryview]) -> Iterator[int]:
        """Read all bytes of all files one after the other into one room after the other; how many each got.

        All rooms but the last are filled. Raises `SourceRefused` when a file is not what it was when it was looked at,
        `OSError`.
        """
        room, used = next_room(), 0
        for entry in self.files:
            seen = 0
            with self._path(entry).open("rb", buffering=0) as file:
                while count := file.readinto(room[used:]):
                    seen, used = seen + count, used + count
                    if used == len(room):
                        yield used
                        room, used = next_room(), 0
            if seen != entry.size_bytes:
                raise SourceRefused(f"{self._path(entry)} changed while it was read: add it when nothing writes to it")
        if used:
            yield used

    def _path(self, entry: SourceFile) -> Path:
        return self.root / entry.path if self.root.is_dir() else self.root


def open_source(path: Path) -> Source:
    """Look at a file or folder. Raises `SourceRefused`, which says what the vault takes."""
    if path.is_dir():
        return _images(path)
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise SourceRefused(
            f"{path} is of no kind that can be added: give a file that ends in {', '.join(KINDS)}, "
            "or a folder of images"
        )
    try:
        size = path.stat().st_size
        if size == 0:
            raise SourceRefused(f"{path} is empty")
        columns = _READERS[kind](path)
    except OSError as error:
        raise SourceRefused(f"cannot read {path}: {error.strerror or error}") from error
    if not columns:
        raise SourceRefused(f"{path} has no column")
    if len(columns) > COLUMNS_MAX or len({column.name for column in columns}) < len(columns):
        raise SourceRefused(f"{path} has two columns of one name, or more than {COLUMNS_MAX}")
    return Source(path, kind, (SourceFile(path.name, size),), columns)


# What reads data files is imported where it is used: the daemon keeps chunks, and reads none.


def _csv_columns(path: Path) -> tuple[Column, ...]:
    import pyarrow
    from pyarrow import csv

    try:
        with csv.open_csv(path, read_options=csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)) as reader:
            return _arrow_columns(reader.schema)
    except (pyarrow.ArrowInvalid, UnicodeDecodeError) as error:
        raise SourceRefused(f"{path} is no CSV file with a line of names: {error}") from error


def _parquet_columns(path: Path) -> tuple[Column, ...]:
    import pyarrow
    from pyarrow import parquet

    try:
        return _arrow_columns(parquet.read_schema(path))
    except pyarrow.ArrowInvalid as error:
        raise SourceRefused(f"{path} is no Parquet file: {error}") from error


def _arrow_columns(schema: Any) -> tuple[Column, ...]:
    return tuple(Column(field.name, str(field.type)) for field in schema)


def _jsonl_columns(path: Path) -> tuple[Column, ...]:
    types: dict[str, set[str]] = {}
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX), b""), start=1):
            if number > SAMPLE_LINES:
                break
            row = _json_row(path, number, line)
            for name, value in row.items():
                types.setdefault(name, set()).add(_json_type(value))
    return tuple(Column(name, "|".join(sorted(found))) for name, found in sorted(types.items()))


def _json_row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SourceRefused(f"line {number} of {path} is not JSON (or longer than {LINE_BYTES_MAX} bytes)") from error
    if not isinstance(row, dict):
        raise SourceRefused(f"line {number} of {path} is no JSON object: each line is one row by names")
    return row


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int64"
        case float():
            return "double"
        case str():
            return "string"
        case None:
            return "null"
        case list():
            return "list"
        case _:
            return "struct"


def _npz_columns(path: Path) -> tuple[Column, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(_npy_column(path, archive, name) for name in sorted(archive.namelist()))
    except zipfile.BadZipFile as error:
        raise SourceRefused(f"{path} is no NPZ file: {error}") from error


def _npy_column(path: Path, archive: zipfile.ZipFile, name: str) -> Column:
    """Reads an array's header only; an array of Python objects would be a pickle, and is refused."""
    import numpy as np

    if not name.endswith(".npy"):
        raise SourceRefused(f"{path} holds {name!r}, which is no array")
    try:
        with archive.open(name) as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(member)
    except (ValueError, EOFError) as error:
        raise SourceRefused(f"{name} in {path} is no array: {error}") from error
    if dtype.hasobject:
        raise SourceRefused(f"{name} in {path} holds Python objects: save numbers or texts of fixed length")
    return Column(name.removesuffix(".npy"), f"{dtype}[{','.join(str(side) for side in shape)}]")


def _images(folder: Path) -> Source:
    """All images below the folder; the names of the folders between are their labels."""
    found: list[SourceFile] = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place) / name
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                raise SourceRefused(f"{path} is no image: a folder that is added holds images and nothing else")
            found.append(SourceFile(path.relative_to(folder).as_posix(), path.stat().st_size))
            if len(found) > FILES_MAX:
                raise SourceRefused(f"{folder} holds more than {FILES_MAX} images: pack them into NPZ or Parquet files")
    if not found:
        raise SourceRefused(f"{folder} holds no image")
    columns = [Column("image", "image")]
    if any("/" in file.path for file in found):
        columns.append(Column("label", "string"))
    return Source(folder, "images", tuple(sorted(found, key=lambda file: file.path)), tuple(columns))


_READERS = {"csv": _csv_columns, "parquet": _parquet_columns, "jsonl": _jsonl_columns, "npz": _npz_columns}
