"""Looks at a table's columns for the first draft of a schema: types, gaps, ranges, categories.

What it finds is of one owner's rows and goes to a file of that owner, who says what of it everybody may know.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from node.edge.tables.reading import Rows
from node.edge.tables.typed import as_text, plain, typed

TYPES = ("integer", "number", "boolean", "date", "time", "text")
"""The narrowest first."""
CATEGORIES_MAX = 32
"""A text of more different values is no category."""
CODES_MAX = 5
"""A whole number of more different values is no code."""


@dataclass(slots=True)
class DraftColumn:
    """What was seen of one column."""

    name: str
    values: int = 0
    missing: int = 0
    least: float | int | None = None
    most: float | int | None = None
    types: list[str] = field(default_factory=lambda: list(TYPES))
    """That fit every value so far, the narrowest first."""
    counts: Counter[str] | None = field(default_factory=Counter)
    """Rows of each different value; None where there are too many of them."""

    @property
    def type(self) -> str:
        """The narrowest type that fits; `text` where there is no value."""
        return self.types[0] if self.values else "text"

    @property
    def categories(self) -> tuple[str, ...]:
        """The different values, ascending, where there are so few that they are categories; else none."""
        few = {"text": CATEGORIES_MAX, "integer": CODES_MAX}.get(self.type, 0)
        if self.counts is None or not 0 < len(self.counts) <= few or 2 * len(self.counts) > self.values:
            return ()
        if self.type == "text":
            return tuple(sorted(self.counts))
        whole = {text.split(".")[0] for text in self.counts}
        # A code is one of a few digits; a few sums of money are none.
        return tuple(sorted(whole)) if len(whole) > 1 and all(len(digit) == 1 for digit in whole) else ()

    def rows_of(self, category: str) -> int:
        """How many rows are of the category."""
        counts = self.counts or Counter()
        if self.type == "integer":
            return sum(count for text, count in counts.items() if text.split(".")[0] == category)
        return counts[category]


def draft_columns(rows: Rows, progress: Any = lambda read_bytes: None) -> tuple[DraftColumn, ...]:
    """What all rows show, in the table's order; `progress` hears of bytes read so far. Raises `TableError`."""
    columns = {name: DraftColumn(name) for name in rows.names}
    for batch in rows.batches:
        for name, cells in zip(batch.cells.schema.names, batch.cells.columns, strict=True):
            _see(columns[name], plain(cells))
        progress(batch.read_bytes)
    return tuple(columns.values())


def _see(column: DraftColumn, cells: Any) -> None:
    column.missing += cells.null_count
    column.values += len(cells) - cells.null_count
    fitting = {}
    for kind in column.types:
        values, wrong = typed(kind, cells)
        if not pc.any(wrong).as_py():
            fitting[kind] = values
    column.types = list(fitting)
    for kind in ("integer", "number"):
        if kind in fitting:
            ends = pc.min_max(fitting[kind]).as_py()
            seen = [end for end in (column.least, column.most, ends["min"], ends["max"]) if end is not None]
            column.least, column.most = (min(seen), max(seen)) if seen else (None, None)
            break
    if column.counts is not None:
        for entry in pc.value_counts(as_text(cells)).to_pylist():
            if entry["values"] is not None:
                column.counts[entry["values"]] += entry["counts"]
        if len(column.counts) > CATEGORIES_MAX:
            column.counts = None
