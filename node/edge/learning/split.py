"""Cuts a scenario's rows into parts: held-out rows for the figures, and more members than there are files.

For scripts: imports pyarrow but not torch. Which row goes where follows from a seed by hashing, nothing else.
"""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from node.base.ports import LearnerError


def split(table: pa.Table, label: str, fraction: float = 1 / 4, seed: int = 0) -> tuple[pa.Table, pa.Table]:
    """(training rows, held-out rows), each in the table's order; the fraction is held within every label's rows."""
    held: set[int] = set()
    for rows in _strata(table, label, seed):
        held.update(rows[: int(len(rows) * fraction + 0.5)])
    kept = [row for row in range(table.num_rows) if row not in held]
    return table.take(pa.array(kept, pa.int64())), table.take(pa.array(sorted(held), pa.int64()))


def deal(table: pa.Table, label: str, parts: int, seed: int = 0) -> list[pa.Table]:
    """`parts` tables of nearly equal size and share of each label, in the table's order."""
    hands: list[list[int]] = [[] for _ in range(parts)]
    place = 0
    for rows in _strata(table, label, seed):
        for row in rows:
            hands[place % parts].append(row)
            place += 1
    return [table.take(pa.array(sorted(hand), pa.int64())) for hand in hands]


def write_table(table: pa.Table, path: Path) -> None:
    """Write what `table.read_table` read: CSV text as it stood, or Parquet, by the suffix of `path`."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _strata(table: pa.Table, label: str, seed: int) -> Sequence[list[int]]:
    """The row numbers of each label value, each stratum in the seed's order."""
    if label not in table.column_names:
        raise LearnerError(f"The rows lack the label column {label}.")
    strata: dict[str, list[int]] = {}
    for row, value in enumerate(table[label].to_pylist()):
        strata.setdefault(str(value), []).append(row)
    return [
        sorted(rows, key=lambda row: hashlib.sha256(f"{seed} {value} {row}".encode()).digest())
        for value, rows in sorted(strata.items())
    ]
