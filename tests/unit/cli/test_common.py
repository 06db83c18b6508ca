"""What commands print of others' words."""

import pytest

from node.cli.common import print_table


def test_others_words_in_a_table_are_neither_markup_nor_orders_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A request with such a purpose is refused, and an audit shows refused requests too.
    rows = [["[red]eve\x1b]0;owned\x07\u202egpj"], ["two\nlines"], [None]]
    print_table("of [bold]x[/nope]\x1b[2J", ["who [a]"], rows)

    told = capsys.readouterr().out
    assert "of [bold]x[/nope]\N{REPLACEMENT CHARACTER}[2J" in told
    assert "[red]eve\N{REPLACEMENT CHARACTER}]0;owned" in told
    assert not {"\x1b", "\x07", "\u202e"} & set(told)
    assert "two " in told
    assert "lines" in told


def test_a_name_stays_on_one_line_whatever_is_said_of_it(capsys):
    names = ["zurich_basel/patients", "w/x"]

    print_table("data", ["name", *(f"column {at}" for at in range(8))], [(name, *["word " * 9] * 8) for name in names])

    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert max(len(line) for line in printed.splitlines()) <= 120
