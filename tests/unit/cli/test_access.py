"""What `lepton data requests` shows of what it read."""

from typing import Any

import pytest

from node.cli.access import show_requests

REFUSED: dict[str, Any] = {
    "id": "7c01beef" * 8,
    "data": "cleveland/patients",
    "requester": "switzerland",
    "purpose": "the heart research of all four centres together",
    "operation": "statistics",
    "agreement": "a9" * 32,
    "words": "",
    "state": "refused",
    "stands": False,
    "why_not": "The request was refused.",
    "why": "By line 2 of cleveland/patients-access, version 1: Only parties of the Heart study.",
    "rule_line": 2,
    "fetches": 12,
}


def test_a_request_is_one_row_at_120_columns_and_why_is_told_once_below(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests([REFUSED])

    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if line.startswith("│")]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("7c01beef", "cleveland/patients", "switzerland", "statistics", "the heart research of a…"),
        *("a9a9a9a9", "refused", "12"),
    ]
    assert lines[-1] == f"7c01beef is refused: {REFUSED['why']}"
    assert max(map(len, lines)) <= 120


def test_a_grant_that_stands_no_more_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests([{**REFUSED, "state": "granted", "why": "", "why_not": "The agreement has expired."}])

    told = capsys.readouterr().out
    assert "lapsed" in told
    assert told.splitlines()[-1] == "7c01beef is granted, but does not stand: The agreement has expired."


def test_a_request_that_waits_has_nothing_to_explain(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests([{**REFUSED, "state": "waiting", "why": "", "stands": False}])

    assert "7c01beef is" not in capsys.readouterr().out
