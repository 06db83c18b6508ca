"""Batches into a new file: CSV, Parquet or JSON lines, by its name's ending.

The file appears under its name when all of it is written and synced; until then, and for ever after a failure, there
is nothing. It is readable by its owner alone: it holds rows.
"""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from node.edge.tables.errors import TableError
from node.edge.tables.reading import KINDS

_STRUCTURAL = '[,"\r\n]'


class TableWriter(Protocol):
    """Takes batches of the same columns."""

    def write(self, cells: Any) -> None:
        """Append a `pyarrow.RecordBatch`."""
        ...

    def finish(self) -> None:
        """Write what is left."""
        ...


@contextmanager
def open_writer(path: Path) -> Iterator[TableWriter]:
    """Write to `path`, which must not exist. Raises `TableError`, `OSError`."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise TableError(f"{path} is no name for a table: it must end in {', '.join(KINDS)}")
    if path.exists():
        raise TableError(f"{path} exists already and is not overwritten: choose another name")
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            partial.chmod(0o600)
            writer = _writer(kind, file)
            try:
                yield writer
            finally:
                # Also after a failure: the library's writer must not outlive its file.
                writer.finish()
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class _CsvWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begun = False

    def write(self, cells: Any) -> None:
        if not self._begun:
            self._write(pa.RecordBatch.from_pydict({name: pa.array([name]) for name in cells.schema.names}))
            self._begun = True
        self._write(cells)

    def finish(self) -> None:
        pass

    def _write(self, cells: Any) -> None:
        # The library quotes every text or none; a quoted number would still be read, but no person likes to.
        texts = [column for column in cells.columns if pa.types.is_string(column.type)]
        quoted = any(pc.any(pc.match_substring_regex(column, _STRUCTURAL)).as_py() for column in texts)
        style = "needed" if quoted else "none"
        out = io.BytesIO()
        csv.write_csv(cells, out, csv.WriteOptions(include_header=False, quoting_style=style))
        self._file.write(out.getbuffer())


class _ParquetWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer: Any = None

    def write(self, cells: Any) -> None:
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._file, cells.schema, compression="zstd")
        self._writer.write_batch(cells)

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _JsonLinesWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, cells: Any) -> None:
        for row in cells.to_pylist():
            self._file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")

    def finish(self) -> None:
        pass


def _writer(kind: str, file: BinaryIO) -> TableWriter:
    match kind:
        case "csv":
            return _CsvWriter(file)
        case "parquet":
            return _ParquetWriter(file)
        case _:
            return _JsonLinesWriter(file)
