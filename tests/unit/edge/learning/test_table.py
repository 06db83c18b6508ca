"""Rows from CSV and Parquet: gaps, unknown categories, and refusals that name column and row but no value."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from node.base.ports import LearnerError
from node.edge.learning.features import features_of, statistics_of
from node.edge.learning.preparation import prepare
from node.edge.learning.recipe import Recipe, parse_recipe
from node.edge.learning.statistics import combine
from node.edge.learning.table import MISSING, UNKNOWN, Rows, read_rows

COLUMNS = [
    {"kind": "numeric", "name": "age", "missing": [0, "?"]},
    {"kind": "categorical", "name": "sex", "categories": ["f", "m"]},
    {"kind": "boolean", "name": "pain"},
]


def recipe(columns: list[dict[str, Any]] | None = None) -> Recipe:
    return parse_recipe(
        json.dumps(
            {
                "label": "ill",
                "columns": columns or COLUMNS,
                "model": {"kind": "logistic"},
                "training": {"epochs": 1, "batch_rows": None, "optimiser": "sgd", "learning_rate": 0.1},
                "seed": 0,
            }
        ).encode()
    )


def read_csv(tmp_path: Path, text: str, columns: list[dict[str, Any]] | None = None, *, labelled: bool = True) -> Rows:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    return read_rows(recipe(columns), path, labelled=labelled)


def test_gaps_declared_and_empty_and_unknown_categories(tmp_path):
    rows = read_csv(tmp_path, "age,sex,pain,ill,extra\n61, f ,TRUE,1,x\n0,,,0,x\n?,x,0,0,\n-3.5e1,m,1,1,x\n")

    np.testing.assert_array_equal(rows.numeric["age"], [61, np.nan, np.nan, -35])
    assert rows.codes["sex"].tolist() == [0, MISSING, UNKNOWN, 1]
    assert rows.codes["pain"].tolist() == [1, MISSING, 0, 1]
    assert rows.labels is not None
    assert rows.labels.tolist() == [1, 0, 0, 1]
    assert rows.notes == ("column sex: 1 rows of categories that the recipe does not name",)


def test_parquet_with_its_types_reads_like_csv(tmp_path):
    path = tmp_path / "rows"
    table = pa.table(
        {
            "ill": pa.array([True, False, False, True]),
            "pain": pa.array([1.0, None, 0.0, 1.0]),
            "sex": pa.array(["f", None, "x", "m"]).dictionary_encode(),
            "age": pa.array([61, 0, None, -35], pa.int32()),
        }
    )
    pyarrow.parquet.write_table(table, path, row_group_size=3)

    rows = read_rows(recipe(), path, labelled=True)

    np.testing.assert_array_equal(rows.numeric["age"], [61, np.nan, np.nan, -35])
    assert rows.codes["sex"].tolist() == [0, MISSING, UNKNOWN, 1]
    assert rows.codes["pain"].tolist() == [1, MISSING, 0, 1]


def test_numbers_can_be_categories(tmp_path):
    columns = [{"kind": "categorical", "name": "month", "categories": ["1", "12"]}]
    path = tmp_path / "rows.parquet"

    for values in (pa.array([1, 12, None]), pa.array([1.0, 12.0, None]), pa.array(["1", "12", None])):
        pyarrow.parquet.write_table(pa.table({"month": values}), path)
        assert read_rows(recipe(columns), path, labelled=False).codes["month"].tolist() == [0, 1, MISSING]


@pytest.mark.parametrize("line", ["1e308,f,1,1", "-1e31,f,1,1", "inf,f,1,1", "nan,f,1,1", "1e999,f,1,1"])
def test_a_number_that_cannot_be_scaled_is_refused_by_column_and_row(tmp_path, line):
    with pytest.raises(LearnerError, match=r"Column age, row 2: .*(beyond 1e\+30|not a finite number)"):
        read_csv(tmp_path, f"age,sex,pain,ill\n5,f,1,1\n{line}\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("age,sex,ill\n5,f,1\n", "rows.csv lacks the column pain"),
        ("age,sex,pain\n5,f,1\n", "rows.csv lacks the column ill"),
        ("sex\nf\n", "lacks the column age, pain, ill"),
        ("age,sex,pain,ill,age\n5,f,1,1,5\n", "more than one column age"),
        ("age,sex,pain,ill\n", "has no rows"),
        ("", "not a CSV file"),
        ("age,sex,pain,ill\n5,f,1,1\nold,f,1,1\n", "Column age, row 2: text where a number"),
        ("age,sex,pain,ill\n5,f,1,1\n5,f,maybe,1\n", "Column pain, row 2: neither true nor false"),
        ("age,sex,pain,ill\n5,f,1,1\n5,f,1,2\n", "Column ill, row 2: the label must be 0 or 1"),
        ("age,sex,pain,ill\n5,f,1,1\n5,f,1,\n", "Column ill, row 2: the label must be 0 or 1"),
        ("age,sex,pain,ill\n5,f,1,yes\n", "Column ill, row 1: text"),
        ("age,sex,pain,ill\n5,f,1,1\n5,f,1\n", "rows.csv, row 2: 3 cells; the header has 4"),
    ],
)
def test_wrong_rows_are_refused_in_words(tmp_path, text, reason):
    with pytest.raises(LearnerError, match=reason):
        read_csv(tmp_path, text)


def test_a_refusal_never_repeats_a_value(tmp_path):
    with pytest.raises(LearnerError) as refusal:
        read_csv(tmp_path, "age,sex,pain,ill\nJaneDoe,f,1,1\n")

    assert "JaneDoe" not in str(refusal.value)


def test_unknown_categories_are_refused_where_the_recipe_is_strict(tmp_path):
    columns = [{"kind": "categorical", "name": "sex", "categories": ["f"], "unknown": "refuse"}]

    with pytest.raises(LearnerError, match="Column sex, row 2: a category that the recipe does not name"):
        read_csv(tmp_path, "sex,ill\nf,1\nm,0\n", columns)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", pa.array([[1]])),
        ("sex", pa.array([[1]])),
        ("sex", pa.array([1.5])),
        ("pain", pa.array([[1]])),
        ("pain", pa.array([2.0])),
    ],
)
def test_columns_of_unusable_types_are_refused(tmp_path, name, values):
    path = tmp_path / "rows.parquet"
    table = {"age": pa.array([1]), "sex": pa.array(["f"]), "pain": pa.array([True])} | {name: values}
    pyarrow.parquet.write_table(pa.table(table), path)

    with pytest.raises(LearnerError, match=f"Column {name}"):
        read_rows(recipe(), path, labelled=False)


@pytest.mark.parametrize("data", [b"PAR1 and then nothing", b"age,sex\n\xff\xfe,1\n"])
def test_files_that_cannot_be_read_are_refused(tmp_path, data):
    path = tmp_path / "rows"
    path.write_bytes(data)

    with pytest.raises(LearnerError, match="rows"):
        read_rows(recipe(), path, labelled=False)
    with pytest.raises(LearnerError, match="cannot be read"):
        read_rows(recipe(), tmp_path / "absent", labelled=False)


def test_a_wholly_empty_column_is_allowed_and_told_to_the_owner(tmp_path):
    rows = read_csv(tmp_path, "age,sex,pain,ill\n0,,,1\n,,,0\n")

    assert rows.notes == ("column age: no values", "column sex: no values", "column pain: no values")
    assert json.loads(statistics_of(recipe(), rows))["numeric"] == {}


def test_features_by_hand(tmp_path):
    rows = read_csv(tmp_path, "age,sex,pain,ill\n10,f,1,1\n30,m,0,0\n,,,0\n20000,x,1,1\n", labelled=True)
    others = read_csv(tmp_path, "age,sex,pain,ill\n" + "10,f,1,1\n30,m,0,0\n" * 5)
    plan = prepare(recipe(), combine(recipe(), {"a": statistics_of(recipe(), others)}))

    matrix = features_of(plan, rows)

    #       age, gap | f, m, gap | pain, gap
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [
        [-1, 0, 1, 0, 0, 1, 0],
        [1, 0, 0, 1, 0, -1, 0],
        [0, 1, 0, 0, 1, 0, 1],
        [10, 0, 0, 0, 0, 1, 0],  # far out is clipped; an unknown category has no feature
    ]


def test_signed_log_and_no_indicator(tmp_path):
    columns = [{"kind": "numeric", "name": "income", "transform": "signed_log", "indicate_missing": False}]
    rows = read_csv(tmp_path, "income,ill\n0,1\n1e30,0\n-9,0\n", columns)

    np.testing.assert_allclose(rows.numeric["income"], [0, np.log1p(1e30), -np.log(10)])
