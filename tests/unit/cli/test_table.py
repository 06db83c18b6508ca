"""`lepton schema new`, `data check` and `data convert` on files, as an operator types them; no daemon is needed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.cli.common import CommandError
from node.cli.main import lepton

ROWS = "age,chol\n" + "".join(f"{40 + at},{5 + at / 10}\n" for at in range(20))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "mmol.toml").write_text('[column.chol]\nunit = { factor = 38.67, decimals = 0 }\ntype = "integer"\n')
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(lepton, arguments)


def drafted(folder: Path) -> None:
    """A schema out of the rows, with a range that its operator has set."""
    assert run("schema", "new", "rows.csv", "--out", "heart.toml").exit_code == 0
    draft = (folder / "heart.toml").read_text().replace("# least = 0\n# most = 0", "least = 0\nmost = 50", 1)
    (folder / "heart.toml").write_text(draft)


def test_what_does_not_fit_is_named_and_the_exit_code_says_so(folder: Path) -> None:
    drafted(folder)
    found = run("data", "check", "rows.csv", "--schema", "heart.toml", "--json", "--examples", "1")
    assert isinstance(found.exception, CommandError)
    told = json.loads(found.stdout)
    assert (told["fits"], told["rows"], told["misfits"]) == (False, 20, 9)
    assert told["examples"] == [
        {"row": 12, "column": "age", "rule": "range", "value": "'51'", "words": "not from 0 to 50"}
    ]
    shown = run("data", "check", "rows.csv", "--schema", "heart.toml")
    assert "not from 0 to 50" in shown.stdout
    (folder / "heart.toml").write_text((folder / "heart.toml").read_text().replace("most = 50", "most = 120"))
    assert run("data", "check", "rows.csv", "--schema", "heart.toml").exit_code == 0


def test_a_preview_writes_nothing_and_a_conversion_is_whole_or_not_at_all(folder: Path) -> None:
    previewed = run("data", "convert", "rows.csv", "--with", "mmol.toml")
    assert previewed.exit_code == 0
    assert "'5.0'" in previewed.stdout
    assert "193" in previewed.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["mmol.toml", "rows.csv"]
    (folder / "bad.csv").write_text(ROWS + "61,unknown\n")
    failed = run("data", "convert", "bad.csv", "--with", "mmol.toml", "--out", "out.csv")
    assert "1 values of bad.csv could not be converted" in str(failed.exception)
    assert "'unknown'" in failed.stdout
    assert run("data", "convert", "rows.csv", "--with", "mmol.toml", "--out", "out.csv").exit_code == 0
    assert (folder / "out.csv").read_text().splitlines()[:2] == ["age,chol", "40,193"]
    again = run("data", "convert", "rows.csv", "--with", "mmol.toml", "--out", "out.csv")
    assert "not overwritten" in str(again.exception)


def test_a_draft_names_the_columns_whose_rare_categories_it_leaves_out(folder: Path) -> None:
    (folder / "sex.csv").write_text("sex,age\n" + "f,50\n" * 9 + "m,51\n" * 9 + "x,52\n" * 2)
    shown = run("schema", "new", "sex.csv", "--out", "sex.toml")
    assert "the categories in fewer than 5 rows of sex. They stand as a comment in sex.toml" in shown.stdout
    row = next(line for line in shown.stdout.splitlines() if "│ sex" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["sex", "text", "", "2", "1"]
    unedited = run("data", "check", "sex.csv", "--schema", "sex.toml")
    assert isinstance(unedited.exception, CommandError)
    (folder / "sex.toml").write_text((folder / "sex.toml").read_text().replace('["f", "m"]', '["f", "m", "x"]'))
    assert run("data", "check", "sex.csv", "--schema", "sex.toml").exit_code == 0
