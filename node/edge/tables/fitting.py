"""Holds a table against a schema: what does not fit, by column and rule, with a few rows of each as examples.

Streams: counts are kept for every column, examples are few for each column and rule, so memory does not grow with the
rows. Examples carry values and are for the rows' owner alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from node.edge.tables.reading import Batch, BrokenRow
from node.edge.tables.typed import as_text, plain, typed
from node.ledger.contracts.schemas import SchemaColumn

RULES = ("column", "row", "missing", "type", "range", "category")
"""A column that is not there, or that no schema names; a row that cannot be read; a value that is not there, is of
another type, out of the range, or none of the categories."""
EXAMPLES = 3
"""Of one column and rule, unless told otherwise."""
EXAMPLES_MAX = 1_000
VALUE_CHARACTERS_MAX = 60


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit."""

    row: int | None
    """From 1, the first under the header; None for a whole column."""
    column: str
    """Empty for a whole row."""
    rule: str
    """One of `RULES`."""
    value: str | None
    """As it stands in the table, quoted and cut to `VALUE_CHARACTERS_MAX`."""
    words: str


@dataclass(slots=True)
class ColumnFit:
    """What was found in one column so far."""

    name: str
    values: int = 0
    missing: int = 0
    """Whether or not that is allowed."""
    misfits: dict[str, int] = field(default_factory=dict)
    """By rule."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What a whole table comes to."""

    rows: int
    columns: tuple[ColumnFit, ...]
    """The schema's, in its order, then those that it does not name."""
    broken_rows: int
    examples: tuple[Misfit, ...]
    """By column in that order, then by rule and row."""

    @property
    def misfits(self) -> int:
        """How many there are in all."""
        return self.broken_rows + sum(sum(column.misfits.values()) for column in self.columns)


class Fitting:
    """A table on its way through a schema."""

    def __init__(self, columns: Sequence[SchemaColumn], names: Sequence[str], *, examples: int = EXAMPLES) -> None:
        """`columns` are the schema's, `names` the table's."""
        self._schema = {column.name: column for column in columns}
        self._kept_max = min(examples, EXAMPLES_MAX)
        self._rows = 0
        self._broken_rows = 0
        self._columns = {name: ColumnFit(name) for name in (*self._schema, *names)}
        self._examples: dict[tuple[str, str], list[Misfit]] = {}
        for name, column in self._schema.items():
            if column.required and name not in names:
                self._add(Misfit(None, name, "column", None, "the schema requires this column"))
        for name in names:
            if name not in self._schema:
                self._add(Misfit(None, name, "column", None, "the schema has no such column: drop or rename it"))

    def take(self, batch: Batch) -> None:
        """Hold the next rows against the schema."""
        for broken in batch.broken:
            self._take_broken(broken)
        self._rows += batch.cells.num_rows + len(batch.broken)
        for name, cells in zip(batch.cells.schema.names, batch.cells.columns, strict=True):
            self._take_column(batch, name, plain(cells))

    def result(self) -> Fit:
        """What was found."""
        order = {name: at for at, name in enumerate(("", *self._columns))}
        keys = sorted(self._examples, key=lambda key: (order[key[0]], RULES.index(key[1])))
        examples = tuple(misfit for key in keys for misfit in self._examples[key])
        return Fit(self._rows, tuple(self._columns.values()), self._broken_rows, examples)

    def _take_broken(self, broken: BrokenRow) -> None:
        self._broken_rows += 1
        self._keep(Misfit(broken.row, "", "row", None, broken.words))

    def _take_column(self, batch: Batch, name: str, cells: Any) -> None:
        found = self._columns[name]
        found.missing += cells.null_count
        found.values += len(cells) - cells.null_count
        column = self._schema.get(name)
        if column is None:
            return
        for rule, words, wrong in _faults(column, cells):
            count = pc.sum(wrong).as_py() or 0
            if not count:
                continue
            found.misfits[rule] = found.misfits.get(rule, 0) + count
            room = self._kept_max - len(self._examples.get((name, rule), ()))
            for at in pc.indices_nonzero(wrong)[: max(0, room)].to_pylist():
                self._keep(Misfit(int(batch.rows[at]), name, rule, shown_value(cells[at].as_py()), words))

    def _add(self, misfit: Misfit) -> None:
        counts = self._columns[misfit.column].misfits
        counts[misfit.rule] = counts.get(misfit.rule, 0) + 1
        self._keep(misfit)

    def _keep(self, misfit: Misfit) -> None:
        kept = self._examples.setdefault((misfit.column, misfit.rule), [])
        if len(kept) < self._kept_max:
            kept.append(misfit)


def _faults(column: SchemaColumn, cells: Any) -> Iterator[tuple[str, str, Any]]:
    """(rule, words, which cells break it); a cell breaks one rule at most."""
    if not column.nullable:
        yield "missing", "the schema allows no missing value", pc.is_null(cells)
    values, wrong = typed(column.type, cells)
    yield "type", f"not of the type {column.type}", wrong
    outside = _outside(column, values)
    if outside is not None:
        yield "range", f"not {range_words(column)}", outside
    if column.categories:
        known = pc.is_in(as_text(values), value_set=pa.array(column.categories, pa.string()))
        if outside is not None:
            known = pc.or_(known, outside)
        yield "category", "none of the schema's categories", pc.and_(pc.is_valid(values), pc.invert(known))


def range_words(column: SchemaColumn) -> str:
    """A column's range for people; empty where there is none."""
    match column.least, column.most:
        case None, None:
            return ""
        case least, None:
            return f"from {least} on"
        case None, most:
            return f"up to {most}"
        case least, most:
            return f"from {least} to {most}"


def _outside(column: SchemaColumn, values: Any) -> Any | None:
    outside = None
    exact = int if column.type == "integer" else float
    for bound, beyond in ((column.least, pc.less), (column.most, pc.greater)):
        if bound is None:
            continue
        past = beyond(values, pa.scalar(exact(bound), values.type))
        outside = past if outside is None else pc.or_(outside, past)
    return None if outside is None else pc.fill_null(outside, False)


def shown_value(value: Any) -> str | None:
    """A cell for its owner: quoted, so that nothing in it speaks to the terminal; cut to `VALUE_CHARACTERS_MAX`."""
    if value is None:
        return None
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 1] + "…"
