"""A schema from rows to the ledger: the draft of a file is a schema that they fit and tells little of them."""

from pathlib import Path

import pytest

from node.app.schemafile import SchemaFileError, draft_text, read_schema_file
from node.edge.tables import Fitting, draft_columns, file_source, open_rows
from node.ledger.contracts.schemas import SCHEMAS, Schema, SchemaColumn
from node.testing.contract_bench import ContractBench

ROWS = "\n".join(
    f"{20 + at % 50}.0,{'Male' if at % 3 else 'Female'},{'' if at % 7 == 0 else at / 10},2013-01-{1 + at % 28:02},{at}x"
    for at in range(200)
)


def test_the_draft_of_a_file_is_a_schema_that_the_file_fits(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age,sex,sugar,seen,note\n" + ROWS + "\n33,Intersex,1,2013-01-01,0x\n")
    source = file_source(tmp_path / "rows.csv")
    (tmp_path / "s.toml").write_text(draft_text("rows.csv", draft_columns(open_rows(source)), "rows"))
    drafted = read_schema_file(tmp_path / "s.toml")
    assert [(c.name, c.type, c.nullable, c.categories) for c in drafted.columns] == [
        ("age", "integer", False, ()),
        ("sex", "text", False, ("Female", "Male")),
        ("sugar", "number", True, ()),
        ("seen", "date", False, ()),
        ("note", "text", False, ()),
    ]
    # A range is the operator's to state, and a category of a single row may be a person.
    assert all(column.least is None and column.most is None for column in drafted.columns)
    fitting = Fitting(drafted.columns, open_rows(source).names)
    for batch in open_rows(source).batches:
        fitting.take(batch)
    assert [(m.row, m.value) for m in fitting.result().examples] == [(201, "'Intersex'")]


def test_a_schema_file_says_exactly_what_is_registered(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "heart"\nabout = "Patients"\n[[column]]\nname = "chol"\ntype = "number"\nunit = "mmol/l"\n'
        'least = 0.1\nmost = 1e3\nmeaning = "Serum"\nrequired = false\nnullable = true\n'
        '[[column]]\nname = "stage"\ntype = "integer"\ncategories = [1, 2]\n'
    )
    call = read_schema_file(path)
    assert call.columns == (
        SchemaColumn("chol", "number", "mmol/l", "0.1", "1000", (), "Serum", False, True),
        SchemaColumn("stage", "integer", "", None, None, ("1", "2"), "", True, False),
    )
    bench = ContractBench(SCHEMAS, ("ada",))
    bench.call("ada", "register", call)
    kept = bench.view.load(Schema, "schema/ada/heart/00000001")
    assert kept is not None
    assert kept.columns == call.columns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "no TOML"),
        ('name = "a"', "column: Field required"),
        ('name = "a"\n[[column]]\nname = "a"\ntype = "text"\nleas = 1', "column.0.leas"),
        ('name = "a"\n[[column]]\nname = "a"\ntype = "int"', "Column 1: a type is one of"),
        ('name = "a"\n[[column]]\nname = "a"\ntype = "number"\nleast = nan', "column.0.least"),
        ('name = "A"\n[[column]]\nname = "a"\ntype = "text"', "A schema's name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(SchemaFileError, match=words):
        read_schema_file(tmp_path / "s.toml")
