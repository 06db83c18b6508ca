"""`lepton contract` where no daemon is needed: begin, check, test, and what is never published."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.app.contracts.errors import RulesFileError
from node.cli.common import CommandError
from node.cli.main import lepton


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(lepton, ["contract", *map(str, arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "access.toml"
    assert run("new", path, "--template", "by-requester", "--data", "rows").exit_code == 0
    return path


def test_a_new_contract_passes_its_own_cases(file: Path) -> None:
    shown, told = run("test", file), run("test", file, "--json")

    assert shown.exit_code == 0
    assert "line 2" in shown.output
    assert "the default" in shown.output
    found = json.loads(told.output)
    assert (found["passed"], found["failed"]) == (3, 0)
    assert [case["line"] for case in found["cases"]] == [1, 2, 0]


def test_check_points_at_line_and_column(file: Path) -> None:
    file.write_text(file.read_text().replace('requester == "b"', "requester == nobody"))

    shown, told = run("check", file), run("check", file, "--json")

    assert f"{file}:11:22: rule 2: undeclared reference to 'nobody' (rule-does-not-type-check)" in shown.output
    lines = shown.output.splitlines()
    pointed = next(number for number, line in enumerate(lines) if line.strip() == "^")
    assert lines[pointed - 1][lines[pointed].index("^") :].startswith("nobody")
    assert isinstance(shown.exception, CommandError)
    assert json.loads(told.output)["troubles"][0]["column"] == 22


def test_a_case_that_fails_fails_the_test_and_keeps_the_contract_here(file: Path) -> None:
    file.write_text(file.read_text().replace('expect = "refuse"', 'expect = "allow"'))

    tested, deployed = run("test", file), run("deploy", file, "--yes")

    assert "FAILS" in tested.output
    assert isinstance(tested.exception, CommandError)
    assert "nothing was published: 1 of its own cases fail (b asks)" in str(deployed.exception)


def test_nothing_is_published_where_nobody_can_be_asked(file: Path) -> None:
    deployed = run("deploy", file)

    assert "what every member will see, for ever" in deployed.output
    assert "say --yes" in str(deployed.exception)


def test_what_cannot_be_begun_or_read(file: Path, tmp_path: Path) -> None:
    assert isinstance(run("new", file, "--template", "embargo").exception, CommandError)
    assert isinstance(run("new", tmp_path / "x.toml", "--template", "nothing").exception, CommandError)
    for option in ("--name", "--data"):
        refused = run("new", tmp_path / "x.toml", "--template", "embargo", option, "a\\d")
        assert isinstance(refused.exception, CommandError)
    assert not (tmp_path / "x.toml").exists()
    file.write_text("name = ")
    assert isinstance(run("check", file).exception, RulesFileError)


def test_the_lists(file: Path) -> None:
    assert "by-agreement" in run("new").output
    variables = run("variables").output
    assert "agreement.parties" in variables
    assert "is undecided, which refuses by that line: begin it with agreement.present &&" in variables


def test_conditions_are_shown_letter_by_letter(file: Path) -> None:
    # A name in brackets is what a terminal library takes for markup.
    file.write_text(file.read_text().replace('requester == "b"', '"b" in [requester]'))

    shown = run("test", file)

    assert '"b" in [requester]' in " ".join(shown.output.split())
