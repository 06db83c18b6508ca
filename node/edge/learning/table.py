"""Reads a member's rows from CSV or Parquet and checks them against the recipe.

Responsible for files, columns and cells: what is a gap, what is refused, and in which words. Errors name the column
and the row (the first row under the header is row 1) but never a value: values are private, errors travel to logs.
Scaling and features are left to others. Runs in the learner's child and in commands, never in the daemon.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from node.base.ports import LearnerError
from node.edge.learning.recipe import VALUE_MAX, Boolean, Categorical, Numeric, Recipe
from node.edge.learning.statistics import BOOLEAN_CATEGORIES

MISSING: Final = -1
UNKNOWN: Final = -2
_TRUE: Final = pa.array(["true", "1"])
_FALSE: Final = pa.array(["false", "0"])

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Codes = np.ndarray[tuple[int], np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class Rows:
    """A member's rows as the recipe understands them."""

    count: int
    numeric: Mapping[str, Floats]
    """Per numeric column, transformed but not scaled; NaN is a gap."""
    codes: Mapping[str, Codes]
    """Per categorical or boolean column the index of the category; `MISSING` or `UNKNOWN`."""
    labels: Floats | None
    """0.0 and 1.0."""
    notes: tuple[str, ...]
    """What the owner of the rows should hear: unknown categories, empty columns."""


def read_rows(recipe: Recipe, path: Path, *, labelled: bool) -> Rows:
    """The rows of `path` in order, with the label if `labelled`. Raises `LearnerError`."""
    table = read_table(path)
    wanted = [column.name for column in recipe.columns] + ([recipe.label] if labelled else [])
    absent = [name for name in wanted if name not in table.column_names]
    if absent:
        raise LearnerError(f"{path.name} lacks the column {_listed(absent)} that the recipe declares.")
    repeated = sorted({name for name in wanted if table.column_names.count(name) > 1})
    if repeated:
        raise LearnerError(f"{path.name} has more than one column {_listed(repeated)}.")
    if not table.num_rows:
        raise LearnerError(f"{path.name} has no rows.")
    numeric: dict[str, Floats] = {}
    codes: dict[str, Codes] = {}
    notes: list[str] = []
    for column in recipe.columns:
        cells = _plain(table[column.name])
        if isinstance(column, Numeric):
            numeric[column.name] = _numbers(column, cells)
            empty = bool(np.isnan(numeric[column.name]).all())
        else:
            codes[column.name] = (
                _categories(column, cells) if isinstance(column, Categorical) else _truths(column, cells)
            )
            empty = bool((codes[column.name] == MISSING).all())
            unknown = int((codes[column.name] == UNKNOWN).sum())
            if unknown:
                notes.append(f"column {column.name}: {unknown} rows of categories that the recipe does not name")
        if empty:
            notes.append(f"column {column.name}: no values")
    labels = _labels(recipe.label, _plain(table[recipe.label])) if labelled else None
    return Rows(table.num_rows, numeric, codes, labels, tuple(notes))


def read_table(path: Path) -> pa.Table:
    """All columns of a CSV file, as text, or of a Parquet file with its types. Raises `LearnerError`."""
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
    except OSError as error:
        raise LearnerError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return pyarrow.parquet.ParquetFile(path).read(use_threads=False) if parquet else _read_csv(path)
    except (pa.ArrowException, OSError) as error:
        raise LearnerError(f"{path.name} is not a {'Parquet' if parquet else 'CSV'} file that can be read.") from error


def _read_csv(path: Path) -> pa.Table:
    ragged: list[pyarrow.csv.InvalidRow] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    parse = pyarrow.csv.ParseOptions(invalid_row_handler=note, newlines_in_values=True)
    with pyarrow.csv.open_csv(path, parse_options=parse) as reader:
        names = reader.schema.names
    ragged.clear()
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=parse,
        convert_options=pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in names}),
    )
    if ragged:
        # The header is the reader's row 1.
        row = ragged[0]
        raise LearnerError(
            f"{path.name}, row {row.number - 1}: {row.actual_columns} cells; the header has {row.expected_columns}."
        )
    return table


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """One array; a dictionary spelled out; text trimmed, and an empty text a gap."""
    cells = column.combine_chunks()
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if _is_text(cells.type):
        cells = pc.utf8_trim_whitespace(cells.cast(pa.string()))
        cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    return cells


def _numbers(column: Numeric, cells: pa.Array) -> Floats:
    values = _floats(column.name, cells, [text for text in column.missing if isinstance(text, str)])
    for gap in column.missing:
        if not isinstance(gap, str):
            values[values == gap] = np.nan
    _refuse_where(np.abs(values) > VALUE_MAX, column.name, f"a number beyond {VALUE_MAX:g} cannot be used")
    if column.transform == "signed_log":
        values = np.sign(values) * np.log1p(np.abs(values))
    return values


def _floats(name: str, cells: pa.Array, gaps: Sequence[str]) -> Floats:
    """Numbers with NaN for gaps; text is read as numbers, other kinds are refused."""
    if _is_text(cells.type):
        if gaps:
            cells = pc.if_else(pc.is_in(cells, pa.array(gaps)), pa.scalar(None, pa.string()), cells)
        try:
            numbers = cells.cast(pa.float64())
        except pa.ArrowInvalid as error:
            row = _first_text(cells)
            raise LearnerError(f"Column {name}, row {row}: text where a number is declared.") from error
        values = _to_numpy(numbers, np.nan)
        _refuse_where(np.isnan(values) & cells.is_valid().to_numpy(zero_copy_only=False), name, "not a finite number")
    elif _is_number(cells.type) or pa.types.is_boolean(cells.type) or pa.types.is_null(cells.type):
        if pa.types.is_boolean(cells.type):
            cells = cells.cast(pa.uint8())
        values = _to_numpy(cells.cast(pa.float64(), safe=False), np.nan)
    else:
        raise LearnerError(f"Column {name} is of the type {cells.type} where numbers are declared.")
    _refuse_where(np.isinf(values), name, "not a finite number")
    return values


def _categories(column: Categorical, cells: pa.Array) -> Codes:
    if pa.types.is_floating(cells.type):
        whole = cells.cast(pa.float64())
        if not pc.all(pc.equal(whole, pc.floor(whole)), min_count=0).as_py():
            raise LearnerError(f"Column {column.name} holds fractions where categories are declared.")
        cells = whole.cast(pa.int64())
    if not _is_text(cells.type):
        if not (_is_number(cells.type) or pa.types.is_boolean(cells.type) or pa.types.is_null(cells.type)):
            raise LearnerError(f"Column {column.name} is of the type {cells.type} where categories are declared.")
        cells = cells.cast(pa.string())
    if column.missing:
        cells = pc.if_else(pc.is_in(cells, pa.array(column.missing)), pa.scalar(None, pa.string()), cells)
    codes = _to_numpy(pc.index_in(cells, pa.array(column.categories)).cast(pa.float64()), UNKNOWN)
    codes[cells.is_null().to_numpy(zero_copy_only=False)] = MISSING
    if column.unknown == "refuse":
        _refuse_where(codes == UNKNOWN, column.name, "a category that the recipe does not name")
    return codes.astype(np.int32)


def _truths(column: Boolean, cells: pa.Array) -> Codes:
    if not _is_text(cells.type):
        if pa.types.is_floating(cells.type):
            _refuse_where(~np.isin(_to_numpy(cells, 0.0), (0.0, 1.0)), column.name, "neither true nor false")
            cells = cells.cast(pa.int64(), safe=False)
        if not (pa.types.is_boolean(cells.type) or pa.types.is_integer(cells.type) or pa.types.is_null(cells.type)):
            raise LearnerError(f"Column {column.name} is of the type {cells.type} where true and false are declared.")
        cells = cells.cast(pa.string())
    cells = pc.utf8_lower(cells)
    codes = np.full(len(cells), UNKNOWN, np.int32)
    codes[_to_bools(pc.is_in(cells, _FALSE))] = BOOLEAN_CATEGORIES.index("false")
    codes[_to_bools(pc.is_in(cells, _TRUE))] = BOOLEAN_CATEGORIES.index("true")
    codes[_to_bools(cells.is_null())] = MISSING
    _refuse_where(codes == UNKNOWN, column.name, "neither true nor false")
    return codes


def _labels(name: str, cells: pa.Array) -> Floats:
    values = _floats(name, cells, [])
    _refuse_where((values != 0) & (values != 1), name, "the label must be 0 or 1")
    return values


def _refuse_where(wrong: np.ndarray[Any, np.dtype[np.bool_]], name: str, reason: str) -> None:
    if wrong.any():
        raise LearnerError(f"Column {name}, row {int(np.argmax(wrong)) + 1}: {reason}.")


def _first_text(cells: pa.Array) -> int:
    """The first row, from 1, whose text is not a number."""
    for row, cell in enumerate(cells, 1):
        try:
            cell.cast(pa.float64())
        except pa.ArrowInvalid:
            return row
    raise AssertionError("a column that cannot be cast holds a cell that cannot be cast")


def _to_numpy(cells: pa.Array, gap: float) -> Floats:
    return np.array(cells.fill_null(gap).to_numpy(zero_copy_only=False), np.float64)


def _to_bools(cells: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array(cells.to_numpy(zero_copy_only=False), np.bool_)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
