"""Rows against a schema: what fits, what does not, and in which words."""

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from node.edge.tables import Fit, Fitting
from node.edge.tables.reading import Batch, BrokenRow
from node.edge.tables.typed import ARROW, plain, typed
from node.ledger.contracts.schemas import SchemaColumn


def column(name: str, type_: str, **other: Any) -> SchemaColumn:
    rules = {"unit": "", "least": None, "most": None, "categories": (), "meaning": "", "required": True}
    return SchemaColumn(name=name, type=type_, **{**rules, "nullable": True, **other})


def fitted(columns: list[SchemaColumn], cells: dict[str, Any], *, examples: int = 3) -> Fit:
    batch = pa.RecordBatch.from_pydict(cells)
    fitting = Fitting(columns, batch.schema.names, examples=examples)
    fitting.take(Batch(np.arange(1, batch.num_rows + 1), batch, (), 0))
    return fitting.result()


NAN, NONE = float("nan"), None


@pytest.mark.parametrize(
    ("kind", "cells", "values", "wrong"),
    [
        ("boolean", ["true", "False", "1", "0", "yes", None], [True, False, True, False, None, None], [4]),
        ("boolean", [1.0, 0.0, NAN, 2.0], [True, False, None, None], [3]),
        ("boolean", [1, 0, 2], [True, False, None], [2]),
        (
            "integer",
            ["63", "63.0", "-5", "63.5", "1e3", " 1", "\u0661"],
            [63, 63, -5, None, None, None, None],
            [3, 4, 5, 6],
        ),
        ("integer", [63.0, 63.5, NAN, float("inf"), 1e300], [63, None, None, None, None], [1, 3, 4]),
        ("integer", pa.array([2**63, 1], pa.uint64()), [None, 1], [0]),
        ("integer", [True, False], [1, 0], []),
        ("integer", pa.array([Decimal("2.00"), Decimal("2.50")]), [2, None], [1]),
        (
            "number",
            ["1", "+1.5", ".5", "1e400", "1,5", "nan", "0x1"],
            [1, 1.5, 0.5, None, None, None, None],
            [3, 4, 5, 6],
        ),
        ("number", [1, None], [1.0, None], []),
        ("number", pa.array([1.5, NAN], pa.float32()), [1.5, None], []),
        ("number", [True], [None], [0]),
        ("text", [1, 2], ["1", "2"], []),
        ("text", ["", "x"], ["", "x"], []),
        (
            "date",
            ["2013-01-31", "2013-02-30", "13-1-1", "2013-01-31x"],
            [datetime.date(2013, 1, 31), NONE, NONE, NONE],
            [1, 2, 3],
        ),
        ("date", [datetime.datetime(2013, 1, 1)], [None], [0]),
        ("integer", [[1], None], [None, None], [0]),
    ],
)
def test_cells_as_a_type(kind: str, cells: Any, values: list[Any], wrong: list[int]) -> None:
    found, misfits = typed(kind, plain(pa.array(cells)))
    assert found.type == ARROW[kind]
    assert found.to_pylist() == values
    assert [at for at, bad in enumerate(misfits.to_pylist()) if bad] == wrong


def test_moments() -> None:
    cells = [
        "2013-01-31 23:59",
        "2013-01-31T23:59:59.5Z",
        "2013-01-31T23:00:00+01:00",
        "2013-01-31",
        "2013-02-30T00:00",
    ]
    found, misfits = typed("time", pa.array(cells))
    shown = [None if moment is None else moment.isoformat() for moment in found.to_pylist()]
    assert shown == [
        "2013-01-31T23:59:00+00:00",
        "2013-01-31T23:59:59.500000+00:00",
        "2013-01-31T22:00:00+00:00",
        None,
        None,
    ]
    assert misfits.to_pylist() == [False, False, False, True, True]


def test_each_rule_counts_and_shows_the_row_and_the_value() -> None:
    columns = [
        column("age", "integer", least="0", most="120", nullable=False),
        column("sex", "text", categories=("Female", "Male")),
        column("code", "integer", categories=("0", "3")),
    ]
    cells = {
        "age": ["5", "121", "-1", None, "old"],
        "sex": ["Male", "M", None, "Female", "Male"],
        "code": ["0.0", "3", "2", None, "0"],
    }
    fit = fitted(columns, cells)
    assert [(m.row, m.column, m.rule, m.value, m.words) for m in fit.examples] == [
        (4, "age", "missing", None, "the schema allows no missing value"),
        (5, "age", "type", "'old'", "not of the type integer"),
        (2, "age", "range", "'121'", "not from 0 to 120"),
        (3, "age", "range", "'-1'", "not from 0 to 120"),
        (2, "sex", "category", "'M'", "none of the schema's categories"),
        (3, "code", "category", "'2'", "none of the schema's categories"),
    ]
    assert (fit.rows, fit.misfits) == (5, 6)
    assert [(c.name, c.values, c.missing) for c in fit.columns] == [("age", 4, 1), ("sex", 4, 1), ("code", 4, 1)]


def test_columns_that_lack_and_columns_too_many() -> None:
    columns = [column("a", "text"), column("b", "text", required=False), column("c", "text")]
    fit = fitted(columns, {"a": ["x"], "d": ["y"]})
    assert [(m.row, m.column, m.rule) for m in fit.examples] == [(None, "c", "column"), (None, "d", "column")]


def test_examples_are_few_and_counts_are_whole() -> None:
    fit = fitted([column("a", "integer", most="1")], {"a": [5] * 1_000}, examples=2)
    assert [m.row for m in fit.examples] == [1, 2]
    assert fit.misfits == 1_000


def test_rows_that_cannot_be_read_do_not_fit() -> None:
    fitting = Fitting([column("a", "text")], ["a"])
    fitting.take(Batch(np.array([1]), pa.RecordBatch.from_pydict({"a": ["x"]}), (BrokenRow(2, "1 cells"),), 0))
    fit = fitting.result()
    assert (fit.rows, fit.broken_rows, fit.misfits) == (2, 1, 1)


def test_a_value_from_a_foreign_file_does_not_speak_to_the_terminal() -> None:
    fit = fitted([column("a", "integer")], {"a": ["\x1b[2J" + "x" * 500]})
    value = fit.examples[0].value
    assert value is not None
    assert value.isprintable()
    assert len(value) == 60


def test_decimal_bounds_hold_at_the_bound() -> None:
    fit = fitted([column("a", "number", least="0.1", most="0.3")], {"a": ["0.1", "0.3", "0.30000000000000004"]})
    assert [m.row for m in fit.examples] == [3]
