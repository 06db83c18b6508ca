"""Declared conversions: what they do to rows, what they refuse, and that a file is written whole or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from node.edge.tables import Converter, TableError, file_source, open_rows, open_writer, read_conversions
from node.edge.tables.conversions import Converted
from node.edge.tables.reading import Batch


def converted(text: str, cells: dict[str, Any], types: dict[str, str] | None = None) -> Converted:
    batch = pa.RecordBatch.from_pydict(cells)
    converter = Converter(read_conversions(text), batch.schema.names, types or {})
    result = converter.convert(Batch(np.arange(1, batch.num_rows + 1), batch, (), 0))
    assert tuple(result.cells.schema.names) == converter.names
    return result


def test_all_steps_in_their_order() -> None:
    text = """
    drop = ["id"]
    [constant]
    hospital = "budapest"
    [column.chol]
    missing = [0, "?"]
    unit = { factor = 38.67, decimals = 0, from = "mmol/l", to = "mg/dl" }
    type = "integer"
    rename = "cholesterol"
    [column.sex]
    map = { m = "Male", f = "Female" }
    """
    cells = {"id": ["1", "2", "3", "4"], "chol": ["5.2", "0.0", "?", "-"], "sex": ["m", "f", "x", None]}
    found = converted(text, cells)
    assert found.cells.to_pydict() == {
        "cholesterol": [201, None, None, None],
        "sex": ["Male", "Female", None, None],
        "hospital": ["budapest"] * 4,
    }
    assert [(m.row, m.column, m.rule, m.value) for m in found.refused] == [
        (4, "chol", "unit", "'-'"),
        (3, "sex", "map", "'x'"),
    ]


@pytest.mark.parametrize(("otherwise", "value"), [("keep", "x"), ("missing", None)])
def test_values_that_a_map_does_not_name(otherwise: str, value: str | None) -> None:
    found = converted(
        f'[column.a]\nmap = {{ "1" = "one", true = "yes" }}\notherwise = "{otherwise}"', {"a": ["1.0", "True", "x"]}
    )
    assert (found.cells.to_pydict(), found.refused) == ({"a": ["one", "yes", value]}, ())


def test_numbers_of_a_parquet_file_are_mapped_and_emptied_by_value() -> None:
    found = converted('[column.a]\nmissing = [-9]\nmap = { 0 = "no", 1 = "yes" }', {"a": [0.0, 1.0, -9.0, None]})
    assert found.cells.to_pydict() == {"a": ["no", "yes", None, None]}
    found = converted("[column.a]\nmissing = [-9]", {"a": [0, -9]})
    assert found.cells.to_pydict() == {"a": [0, None]}


def test_fahrenheit_to_celsius() -> None:
    found = converted(
        "[column.t]\nunit = { factor = 0.5555555555555556, offset = -17.77777777777778, decimals = 3 }",
        {"t": ["212", "32"]},
    )
    assert found.cells.to_pydict() == {"t": [100.0, 0.0]}


def test_a_schemas_types_are_given_to_the_new_names() -> None:
    found = converted(
        '[column.a]\nrename = "b"\n[constant]\nc = "1"', {"a": ["1.0", "x"]}, {"b": "integer", "c": "number"}
    )
    assert found.cells.schema.types == [pa.int64(), pa.float64()]
    assert [(m.row, m.column, m.rule) for m in found.refused] == [(2, "a", "type")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "no TOML"),
        ('drops = ["a"]', "wrong at drops"),
        ("[column.a]\nunit = { factor = nan }", "wrong at column.a.unit.factor"),
        ('[column.a]\nunit = { factor = "2" }', "wrong at column.a.unit.factor"),
        ('[column.a]\ntype = "int"', "wrong at column.a.type"),
        ('drop = ["z"]', "no column 'z'"),
        ('[column.a]\nrename = "b"', "each of another name: b"),
        ('drop = ["a"]\n[column.a]', "dropped and converted"),
        ('drop = ["a", "b"]', "1 to"),
        ("[constant]\nb = 1", "each of another name: b"),
    ],
)
def test_what_cannot_be_applied(text: str, words: str) -> None:
    with pytest.raises(TableError, match=words):
        converted(text, {"a": ["1"], "b": ["2"]})


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    batches = [
        pa.RecordBatch.from_pydict({"n": [1, None], "t": ["plain", None], "b": [True, None]}),
        pa.RecordBatch.from_pydict({"n": [3], "t": ['quoted, "and"\nbroken'], "b": [False]}),
    ]
    write(path, *batches)
    rows = [row for batch in open_rows(file_source(path)).batches for row in batch.cells.to_pylist()]
    wanted = [row for batch in batches for row in batch.to_pylist()]
    if ending != "parquet":
        wanted = [
            {name: None if v is None else v if isinstance(v, str) else str(v).lower() for name, v in row.items()}
            for row in wanted
        ]
    assert rows == wanted
    assert path.stat().st_mode & 0o777 == 0o600


def write(path: Path, *batches: Any) -> None:
    with open_writer(path) as writer:
        for batch in batches:
            writer.write(batch)


def test_a_failed_writing_leaves_nothing_and_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    batch, other = (pa.RecordBatch.from_pydict({name: [1]}) for name in ("n", "m"))
    with pytest.raises(ValueError, match="schema"):
        write(path, batch, other)
    assert list(tmp_path.iterdir()) == []
    parquet.write_table(pa.table({"n": [1]}), path)
    with pytest.raises(TableError, match="not overwritten"):
        write(path, batch)
    assert parquet.read_table(path).num_rows == 1
