"""Held-out rows and dealt rows: complete, disjoint, stratified, and chosen by the seed."""

import pyarrow as pa
import pytest

from node.base.ports import LearnerError
from node.edge.learning.split import deal, split, write_table
from node.edge.learning.table import read_table


def table(negatives: int = 40, positives: int = 13) -> pa.Table:
    labels = ["0"] * negatives + ["1"] * positives
    return pa.table({"row": [str(row) for row in range(len(labels))], "ill": labels})


def test_a_quarter_of_each_label_is_held_out_in_order():
    train, held = split(table(), "ill")

    assert held["ill"].to_pylist().count("0") == 10
    assert held["ill"].to_pylist().count("1") == 3
    for part in (train, held):
        assert [int(row) for row in part["row"].to_pylist()] == sorted(int(row) for row in part["row"].to_pylist())
    assert sorted(train["row"].to_pylist() + held["row"].to_pylist()) == sorted(table()["row"].to_pylist())


def test_the_seed_chooses_the_rows():
    assert split(table(), "ill", seed=1) == split(table(), "ill", seed=1)
    assert split(table(), "ill", seed=1) != split(table(), "ill", seed=2)


def test_one_class_and_one_row_can_be_split():
    assert [part.num_rows for part in split(table(8, 0), "ill")] == [6, 2]
    assert [part.num_rows for part in split(table(1, 0), "ill")] == [1, 0]


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_dealt_rows_are_all_there_once_and_alike(parts):
    hands = deal(table(), "ill", parts)

    assert sorted(row for hand in hands for row in hand["row"].to_pylist()) == sorted(table()["row"].to_pylist())
    assert max(hand.num_rows for hand in hands) - min(hand.num_rows for hand in hands) <= 1
    ill = [hand["ill"].to_pylist().count("1") for hand in hands]
    assert max(ill) - min(ill) <= 1


def test_csv_text_survives_as_it_stood(tmp_path):
    text = 'ill,note\n1,"a, ""b"""\n0,\n1,007\n0,1.50\n'
    source = tmp_path / "source.csv"
    source.write_text(text)

    write_table(read_table(source), tmp_path / "copy.csv")

    assert (tmp_path / "copy.csv").read_text() == text


def test_parquet_keeps_its_types(tmp_path):
    source = pa.table({"ill": pa.array([1, 0], pa.int8()), "note": pa.array(["x", None])})

    write_table(source, tmp_path / "rows.parquet")

    assert read_table(tmp_path / "rows.parquet") == source


def test_without_the_label_there_is_no_split():
    with pytest.raises(LearnerError, match="lack the label column well"):
        split(table(), "well")
