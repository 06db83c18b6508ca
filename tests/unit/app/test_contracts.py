"""The file in which an organisation writes its contract: what is wrong is pointed at; its cases are decided here."""

from pathlib import Path

import pytest

from node.app.contracts.cases import run_cases
from node.app.contracts.errors import RulesFileError
from node.app.contracts.rulesfile import check_rules, read_rules
from node.app.contracts.templates import TEMPLATES, template_text
from node.ledger.contracts.rules import Date, Outcome

WHOLE = """\
name = "patients-access"
data = ["scans", "patients"]

[dates]
opening = 2027-01-01
closing = 2027-06-30T12:00:00+02:00

[[rule]]
when = 'requester == "north"'
then = "allow"

[otherwise]
then = "refuse"
words = "Ask north."

[[case]]
name = "north asks"
requester = "north"
expect = "allow"
line = 1
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "access.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_decides_its_own_cases_as_it_says(template: str, tmp_path: Path) -> None:
    file = read_rules(written(tmp_path, template_text(template, name="mine", data="rows")))

    compiled, troubles = check_rules(file)

    assert troubles == []
    assert compiled is not None
    assert (file.rules.name, file.rules.data) == ("mine", ("rows",))
    results = run_cases(file, compiled)
    assert [result.case.name for result in results if not result.holds] == []
    # Every line of it decides a case, and its default does.
    decided = {result.decision.line for result in results}
    assert decided == set(range(len(file.rules.lines) + 1))


def test_who_names_no_agreement_is_told_so_by_the_default_where_no_line_of_its_own_does(tmp_path: Path) -> None:
    head, _, rest = template_text("by-agreement").partition("[[rule]]\n")
    without_first = head + "[[rule]]\n" + rest.partition("[[rule]]\n")[2]
    asked = '[[case]]\nname = "none named"\nrequester = "north"\nexpect = "refuse"\n'
    file = read_rules(written(tmp_path, without_first.partition("[[case]]")[0] + asked))

    compiled, _ = check_rules(file)

    assert compiled is not None
    (result,) = run_cases(file, compiled)
    assert (result.decision.line, result.decision.code) == (0, "refused-by-rule")


def test_the_first_template_is_the_descriptions_example(tmp_path: Path) -> None:
    file = read_rules(written(tmp_path, template_text("by-requester")))

    assert [line.then for line in file.rules.lines] == [Outcome.ALLOW, Outcome.REFUSE]
    assert file.rules.otherwise.then is Outcome.ERROR


def test_what_of_a_file_goes_on_the_ledger(tmp_path: Path) -> None:
    file = read_rules(written(tmp_path, WHOLE))

    assert file.rules.data == ("patients", "scans")
    assert file.rules.dates == (Date("closing", 1_814_349_600_000), Date("opening", 1_798_761_600_000))
    assert [case.name for case in file.cases] == ["north asks"]


@pytest.mark.parametrize(
    ("condition", "rule", "line", "column", "code"),
    [
        ("'requester == 1'", 1, 9, 19, "rule-does-not-type-check"),
        ('"requester == 1"', 1, 9, 19, "rule-does-not-type-check"),
        ("'nobody == 1'", 1, 9, 9, "rule-does-not-type-check"),
        ("'1.5 > 1.0'", 1, 9, 13, "rule-not-allowed"),
        ("'''\nrequester == \"a\"\n  && nobody'''", 1, 11, 6, "rule-does-not-type-check"),
        # With escapes the file's columns are not the text's: the condition's beginning.
        ('"requester == \\"a\\" && nobody"', 1, 9, 8, "rule-does-not-type-check"),
        ("'requester'", 1, 9, 8, "rule-not-true-or-false"),
    ],
)
def test_a_broken_condition_is_pointed_at(
    condition: str, rule: int, line: int, column: int, code: str, tmp_path: Path
) -> None:
    file = read_rules(written(tmp_path, WHOLE.replace("'requester == \"north\"'", condition)))

    compiled, troubles = check_rules(file)

    assert compiled is None
    assert [(trouble.code, trouble.rule) for trouble in troubles] == [(code, rule)]
    spot = troubles[0].spot
    assert spot is not None
    assert (spot.line, spot.column) == (line, column)
    assert spot.text == file.source.splitlines()[line - 1]


def test_every_broken_condition_is_told(tmp_path: Path) -> None:
    more = '[[rule]]\nwhen = "nobody"\nthen = "allow"\n\n[[rule]]\nwhen = "1.0 < 2.0"\nthen = "refuse"\n\n[otherwise]'
    file = read_rules(written(tmp_path, WHOLE.replace("[otherwise]", more)))

    _, troubles = check_rules(file)

    assert [trouble.rule for trouble in troubles] == [2, 3]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "patients-access"', "name = patients", "access.toml:1:8"),
        ('then = "allow"', 'then = "share"', "rule.1.then"),
        ('then = "allow"', 'then = "allow"\nwhy = "x"', "rule.1.why: there is no such key"),
        ("opening = 2027-01-01", 'opening = "2027-01-01"', "write it without quotes"),
        ("[otherwise]", "[another]", "otherwise: Field required"),
        ("line = 1", 'line = "1"', "case.1.line"),
        ("line = 1", 'agreement = { id = "x" }', "case.1.agreement.id"),
    ],
)
def test_what_is_no_contract_file(old: str, new: str, says: str, tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE.replace(old, new, 1))

    with pytest.raises(RulesFileError) as caught:
        read_rules(path)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('name = "patients-access"', 'name = "Patients"', "bad-name"),
        ('"patients"]', '"scans"]', "bad-data"),
        ("opening =", "Opening =", "bad-dates"),
        ("line = 1", "line = 2", "bad-case"),
    ],
)
def test_what_may_not_be_deployed(old: str, new: str, code: str, tmp_path: Path) -> None:
    _, troubles = check_rules(read_rules(written(tmp_path, WHOLE.replace(old, new, 1))))

    assert [trouble.code for trouble in troubles] == [code]


@pytest.mark.parametrize(("old", "new"), [('expect = "allow"', 'expect = "refuse"'), ("line = 1", "line = 0")])
def test_a_case_that_expects_something_else_fails(old: str, new: str, tmp_path: Path) -> None:
    file = read_rules(written(tmp_path, WHOLE.replace(old, new)))
    compiled, _ = check_rules(file)
    assert compiled is not None

    assert [result.holds for result in run_cases(file, compiled)] == [False]
