"""Rows in batches: what comes back, how rows are numbered, what is told of rows that cannot be read."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from node.edge.tables import TableError, file_source, open_rows
from node.edge.tables.reading import BROKEN_MAX, LINE_BYTES_MAX, SAMPLE_LINES


def read(path: Path) -> tuple[list[dict[str, object]], list[int], list[tuple[int, str]]]:
    """Rows by names, their numbers, and the broken ones."""
    rows, numbers, broken = [], [], []
    for batch in open_rows(file_source(path)).batches:
        rows += batch.cells.to_pylist()
        numbers += batch.rows.tolist()
        broken += [(row.row, row.words) for row in batch.broken]
    return rows, numbers, broken


def test_csv_comes_as_text_with_gaps_and_lines_within_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n01,"x\ny"\n,"1,5"\n')
    assert read(path) == ([{"a": "01", "b": "x\ny"}, {"a": None, "b": "1,5"}], [1, 2], [])


def test_ragged_rows_are_told_and_the_others_keep_their_numbers_over_many_batches(tmp_path: Path) -> None:
    path, count, bad = tmp_path / "a.csv", 80_000, {1, 2, 70_001, 80_000}
    lines = (f"{at}" if at in bad else f"{at},some words to fill a batch" for at in range(1, count + 1))
    path.write_text("a,b\n" + "\n".join(lines) + "\n")
    rows, numbers, broken = read(path)
    assert [int(str(row["a"])) for row in rows] == numbers == [at for at in range(1, count + 1) if at not in bad]
    assert broken == [(at, "1 cells; the header has 2") for at in sorted(bad)]


def test_a_file_of_nothing_but_ragged_rows_ends_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1\n" * (BROKEN_MAX + 1))
    with pytest.raises(TableError, match=f"more than {BROKEN_MAX} rows that cannot be read"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "no CSV file"),
        ("a.csv", b"a,a\n1,2\n", "each of another name: 'a'"),
        ("a.csv", b"a\n\xff\xfe\n", "row 0|no CSV"),
        ("a.parquet", b"PAR1", "no Parquet file"),
        ("a.jsonl", b"\n[1]\n", "holds no row"),
        ("a.txt", b"", "is no table"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=words):
        read(tmp_path / name)


def test_json_lines_come_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1, "b": "x"}\n\n{"b": true}\n[]\n{"a": [1]}\n{"a": 2.50}\n')
    assert read(path) == (
        [{"a": "1", "b": "x"}, {"a": None, "b": "true"}, {"a": "2.5", "b": None}],
        [1, 2, 5],
        [(3, "no JSON object"), (4, "a list or an object where a single value belongs")],
    )


def test_a_name_that_comes_late_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n' * SAMPLE_LINES + '{"a": 1, "b": 2}\n')
    _, numbers, broken = read(path)
    assert len(numbers) == SAMPLE_LINES
    assert broken == [(SAMPLE_LINES + 1, f"a name that none of the first {SAMPLE_LINES} rows has")]


def test_a_line_without_end_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"a": "x" * LINE_BYTES_MAX}) + "\n")
    with pytest.raises(TableError, match="a line has more than"):
        read(path)


def test_parquet_comes_with_its_types(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.parquet", 40_000
    parquet.write_table(pa.table({"n": range(rows), "t": pa.array(["x"] * rows).dictionary_encode()}), path)
    found, numbers, broken = read(path)
    assert [row["n"] for row in found] == list(range(rows))
    assert (numbers, broken) == (list(range(1, rows + 1)), [])
