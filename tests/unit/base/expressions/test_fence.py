"""Which texts are conditions: what is refused, why, and where; what one may cost."""

import pytest

from node.base.expressions import ExpressionError, Language, Number, Reason, Text, Texts, Truth
from node.base.expressions.errors import Place

LANGUAGE = Language(
    {
        "requester": Text(64),
        "purpose": Text(2_000),
        "now_ms": Number(),
        "data.name": Text(64),
        "agreement.present": Truth(),
        "agreement.parties": Texts(64, 64),
    }
)


def refused(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        LANGUAGE.compile(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "true",
        'requester == "north"',
        'requester in ["north", "east"] && now_ms < 1000',
        "requester in agreement.parties",
        'agreement.parties.exists(party, party == requester && party.startsWith("n"))',
        'agreement.parties.all(party, party != "west")',
        'data.name.endsWith("-2026") || purpose.contains("heart")',
        "agreement.present ? agreement.parties.size() > 2 : now_ms % 2 == 0",
        'agreement.parties[0] + "x" == "northx" // the first one',
        "-now_ms + 3 * 4 / 2 - 1 <= 0 && !agreement.present",
        "now_ms in [1, 2, 3]",
        'size(purpose) > 10 && purpose >= "a"',
        "purpose == '😀 and \\n more'",
    ],
)
def test_what_may_be_written(text: str) -> None:
    condition = LANGUAGE.compile(text)

    assert 0 < condition.cost < 10_000
    assert condition.text == text


@pytest.mark.parametrize(
    "text",
    [
        "1.0 > 0.5",
        "double(now_ms) > 1.0",
        "now_ms + 1 == int(1.0)",
        "dyn(requester) == requester",
        "[dyn(1)] == [dyn(1)]",
        '["a", 1] == ["a", 1]',
        "[] == []",
        "null == null",
        "1u == 1u",
        'b"a" == b"a"',
        "{1: 2}[1] == 2",
        '{"a": 1}.all(key, key == "a")',
        '"a" in {"a": 1}',
        'agreement.parties.map(party, party + "x") == agreement.parties',
        'agreement.parties.filter(party, party == "a").size() > 1',
        'agreement.parties.exists_one(party, party == "a")',
        "timestamp(now_ms) > timestamp(0)",
        'duration("1s") == duration("1s")',
        'timestamp("2026-01-01T00:00:00Z").getHours() == 1',
        'timestamp("2026-01-01T00:00:00Z").getHours("Europe/Berlin") == 1',
        'purpose.matches("a.*")',
        'matches(purpose, "(a+)+$")',
        'string(now_ms) == "1"',
        'int("12") == 12',
        "bytes(requester).size() == 1",
        "type(requester) == string",
        "google.protobuf.Int64Value{value: 1} == 1",
        "[[requester]].exists(inner, inner == [requester])",
    ],
)
def test_what_is_outside_the_fence(text: str) -> None:
    assert refused(text).reason is Reason.FENCE


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("requester ==", Place(1, 13)),
        ('requester == "\\ud800"', None),
        ('requester == "\ud800"', None),
        ("((" * 200 + "true" + "))" * 200, None),
        ("now_ms == 9223372036854775808", None),
    ],
)
def test_what_is_no_expression(text: str, place: Place | None) -> None:
    error = refused(text)

    assert error.reason is Reason.SYNTAX
    assert place is None or error.place == place
    assert error.words


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("requester == 1", Place(1, 11)),
        ('requester == "a"\n  && nobody == 1', Place(2, 6)),
        ("agreement.secret == 1", None),
        ("a" * 900, Place(1, 1)),
        ("requester && now_ms", None),
        ("requester.nothing()", None),
    ],
)
def test_what_does_not_type_check(text: str, place: Place | None) -> None:
    error = refused(text)

    assert error.reason is Reason.TYPES
    assert place is None or error.place == place


def test_the_fence_says_where() -> None:
    error = refused('requester == "north"\n  && "é" + purpose == string(now_ms)')

    assert error.place == Place(2, 29)
    assert "string" in error.words


@pytest.mark.parametrize("text", ["1", "requester", "agreement.parties", "now_ms + 1"])
def test_a_condition_is_true_or_false(text: str) -> None:
    assert refused(text).reason is Reason.NOT_A_CONDITION


def test_an_expression_has_a_length() -> None:
    assert refused("true" + " " * 997).reason is Reason.TOO_LONG


@pytest.mark.parametrize(
    "text",
    [
        "agreement.parties.exists(a, agreement.parties.exists(b, a + b == purpose))",
        "agreement.parties.all(a, agreement.parties.all(b, agreement.parties.all(c, a != b)))",
        "purpose.contains(purpose)",
        " || ".join(["purpose.contains(requester + requester)"] * 3),
    ],
)
def test_what_may_take_too_long(text: str) -> None:
    assert refused(text).reason is Reason.TOO_COSTLY


def test_the_cost_follows_from_the_text() -> None:
    plain, loop = LANGUAGE.compile("now_ms > 1"), LANGUAGE.compile("agreement.parties.exists(p, p == requester)")

    assert plain.cost == 3
    # A list of 64 at the most, each item read and compared, and the loop's own condition.
    assert loop.cost > 64 * 8
    assert loop.cost == LANGUAGE.compile("agreement.parties.exists(p, p == requester)").cost


def test_what_a_condition_reads() -> None:
    assert LANGUAGE.compile("agreement.parties.exists(p, p == requester) || now_ms == 0").variables == {
        "agreement.parties",
        "requester",
        "now_ms",
    }


def test_a_loops_variable_hides_nothing_outside_it() -> None:
    condition = LANGUAGE.compile('agreement.parties.all(requester, requester != "")')

    assert condition.variables == {"agreement.parties"}
