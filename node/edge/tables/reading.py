"""Rows in batches out of CSV, Parquet and JSON lines, from a file or from the vault.

Cells of CSV and JSON lines come as text, so that what does not fit can be shown as it stands; those of Parquet with
their types. Rows count from 1, the first one under the header. A row that cannot be read is told, left out, and counted
all the same. At most a few megabytes are in memory.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from node.edge.tables.errors import TableError

KINDS: Mapping[str, str] = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
COLUMNS_MAX = 4_096
SAMPLE_LINES = 1_000
"""JSON lines are looked at for their names."""
LINE_BYTES_MAX = 4 << 20
BROKEN_MAX = 10_000
"""Rows that cannot be read, of one table."""
_BLOCK_BYTES = 1 << 20
_BATCH_CELLS = 1 << 19

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where a table's bytes are."""

    name: str
    """For messages."""
    kind: str
    """`csv`, `parquet` or `jsonl`."""
    size_bytes: int
    open: Callable[[], BinaryIO]
    """A new seekable reader from the first byte on."""


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that is none of this table's."""

    row: int
    words: str
    """Without any value."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows."""

    rows: Numbers
    """The number of each."""
    cells: Any
    """`pyarrow.RecordBatch`."""
    broken: tuple[BrokenRow, ...]
    """Found since the batch before."""
    read_bytes: int
    """Of the source so far, for progress."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's columns, and its rows to be read once."""

    names: tuple[str, ...]
    batches: Iterator[Batch]
    """Raises `TableError`, and what reading the source raises."""


def file_source(path: Path) -> TableSource:
    """A file as a source. Raises `TableError`."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise TableError(f"{path} is no table: give a file that ends in {', '.join(KINDS)}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}") from error
    return TableSource(path.name, kind, size, lambda: path.open("rb"))


def open_rows(source: TableSource) -> Rows:
    """The table's columns and rows. Raises `TableError` for what is none."""
    rows = _READERS[source.kind](source)
    repeated = sorted({name for name in rows.names if rows.names.count(name) > 1})
    if repeated or not 0 < len(rows.names) <= COLUMNS_MAX:
        named = f": {', '.join(map(repr, repeated))}" if repeated else ""
        raise TableError(f"{source.name} must have 1 to {COLUMNS_MAX} columns, each of another name{named}")
    return rows


class _Broken:
    """Rows that cannot be read, until a batch tells them."""

    def __init__(self, source: TableSource) -> None:
        self._source = source
        self._waiting: list[BrokenRow] = []
        self._count = 0

    def add(self, row: int, words: str) -> None:
        """Raises `TableError` for too many."""
        self._count += 1
        if self._count > BROKEN_MAX:
            raise TableError(
                f"{self._source.name} has more than {BROKEN_MAX} rows that cannot be read, the last one row {row} "
                f"({words}): this is another kind of file"
            )
        self._waiting.append(BrokenRow(row, words))

    def numbers(self, first: int, count: int) -> Numbers:
        """The numbers of the next `count` rows that can be read, from `first` on."""
        skipped = np.array([broken.row for broken in self._waiting], dtype=np.int64)
        every = np.arange(first, first + count + len(skipped), dtype=np.int64)
        return np.setdiff1d(every, skipped)[:count] if len(skipped) else every

    def taken(self, last: int | None = None) -> tuple[BrokenRow, ...]:
        """Those up to the row `last` that were not taken yet, ascending; a reader may be ahead of its batches."""
        taken = [broken for broken in self._waiting if last is None or broken.row <= last]
        self._waiting = self._waiting[len(taken) :]
        return tuple(taken)


def _read_csv(source: TableSource) -> Rows:
    broken = _Broken(source)
    overflow: list[TableError] = []

    def note(row: csv.InvalidRow) -> str:
        try:
            # The header is the reader's row 1.
            broken.add(row.number - 1, f"{row.actual_columns} cells; the header has {row.expected_columns}")
        except TableError as error:
            overflow.append(error)
            return "error"
        return "skip"

    def opened(file: BinaryIO, types: dict[str, Any]) -> Any:
        return csv.open_csv(
            pa.PythonFile(file, mode="r"),
            read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""]),
        )

    try:
        with source.open() as file, opened(file, {}) as first:
            names = tuple(first.schema.names)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise (overflow or [TableError(f"{source.name} is no CSV file with a line of names: {_line(error)}")])[
            0
        ] from error
    # They come again with the rows.
    broken = _Broken(source)

    def batches() -> Iterator[Batch]:
        last = 0
        try:
            with source.open() as file, opened(file, dict.fromkeys(names, pa.string())) as reader:
                cells = None
                for cells in reader:
                    rows = broken.numbers(last + 1, cells.num_rows)
                    last = max([last, *rows[-1:].tolist()])
                    yield Batch(rows, cells, broken.taken(last), file.tell())
                if cells is not None and (rest := broken.taken()):
                    yield Batch(np.empty(0, np.int64), cells.slice(0, 0), rest, source.size_bytes)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            # The library ends with an error of its own where the handler said so.
            raise (overflow or [TableError(f"{source.name}, after row {last}: {_line(error)}")])[0] from error

    return Rows(names, batches())


def _read_parquet(source: TableSource) -> Rows:
    file = source.open()
    try:
        # Neither whole columns nor whole row groups are read ahead.
        table = parquet.ParquetFile(pa.PythonFile(file, mode="r"), buffer_size=_BLOCK_BYTES, pre_buffer=False)
    except pa.ArrowInvalid as error:
        file.close()
        raise TableError(f"{source.name} is no Parquet file: {_line(error)}") from error
    names = tuple(table.schema_arrow.names)
    in_all = max(1, table.metadata.num_rows)

    def batches() -> Iterator[Batch]:
        first = 1
        try:
            size = max(1, min(1 << 14, _BATCH_CELLS // max(1, len(names))))
            for cells in table.iter_batches(batch_size=size, use_threads=False):
                rows = np.arange(first, first + cells.num_rows, dtype=np.int64)
                first += cells.num_rows
                yield Batch(rows, cells, (), source.size_bytes * (first - 1) // in_all)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TableError(f"{source.name}, after row {first - 1}: {_line(error)}") from error
        finally:
            table.close()
            file.close()

    return Rows(names, batches())


def _read_jsonl(source: TableSource) -> Rows:
    names: dict[str, None] = {}
    with source.open() as file:
        for at, (_, line) in enumerate(_lines(source, file)):
            if at == SAMPLE_LINES:
                break
            row = _json_row(line)
            if isinstance(row, dict):
                names.update(dict.fromkeys(row))
    if not names:
        raise TableError(f"{source.name} holds no row: each line is a JSON object, one row by names")
    broken = _Broken(source)

    def batches() -> Iterator[Batch]:
        with source.open() as file:
            rows: list[int] = []
            cells: dict[str, list[str | None]] = {name: [] for name in names}
            size = max(1, min(1 << 13, _BATCH_CELLS // len(names)))
            for number, line in _lines(source, file):
                if (row := _text_row(names, line, number, broken)) is not None:
                    rows.append(number)
                    for name in names:
                        cells[name].append(row.get(name))
                if len(rows) == size:
                    yield _json_batch(rows, cells, broken, file.tell())
                    rows, cells = [], {name: [] for name in names}
            yield _json_batch(rows, cells, broken, source.size_bytes)

    return Rows(tuple(names), batches())


def _json_batch(rows: list[int], cells: dict[str, list[str | None]], broken: _Broken, read_bytes: int) -> Batch:
    columns = {name: pa.array(values, pa.string()) for name, values in cells.items()}
    return Batch(np.array(rows, dtype=np.int64), pa.RecordBatch.from_pydict(columns), broken.taken(), read_bytes)


def _lines(source: TableSource, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            raise TableError(f"{source.name}, after row {number}: a line has more than {LINE_BYTES_MAX} bytes")
        if line.strip():
            number += 1
            yield number, line


def _json_row(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _text_row(names: dict[str, None], line: bytes, number: int, broken: _Broken) -> dict[str, str | None] | None:
    row = _json_row(line)
    if not isinstance(row, dict):
        broken.add(number, "no JSON object")
        return None
    if not row.keys() <= names.keys():
        broken.add(number, f"a name that none of the first {SAMPLE_LINES} rows has")
        return None
    if any(isinstance(value, list | dict) for value in row.values()):
        broken.add(number, "a list or an object where a single value belongs")
        return None
    return {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


_READERS = {"csv": _read_csv, "parquet": _read_parquet, "jsonl": _read_jsonl}
