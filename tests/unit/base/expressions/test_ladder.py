"""Which of ordered conditions decides; whatever is not true or false ends the search."""

from collections.abc import Mapping

import pytest

from node.base.expressions import Fell, Hit, Ladder, Language, Missed, Number, Text, Texts, Truth, Value

LANGUAGE = Language({"who": Text(10), "n": Number(), "items": Texts(3, 5), "on": Truth()})
VALUES: Mapping[str, Value] = {"who": "ada", "n": 7, "items": ("a", "b"), "on": True}


def climb(*texts: str, values: Mapping[str, Value] = VALUES) -> Hit | Missed | Fell:
    return Ladder(LANGUAGE, [LANGUAGE.compile(text) for text in texts]).climb(values)


def test_the_first_true_one_decides() -> None:
    assert climb("n > 8", 'who == "ada"', "true") == Hit(1)
    assert climb("n > 8", "!on") == Missed()
    assert climb() == Missed()


@pytest.mark.parametrize("index", [0, 1, 15, 16, 17, 31, 32, 49])
def test_any_of_many(index: int) -> None:
    texts = [f"n == {1000 + number}" for number in range(50)]
    texts[index] = "n == 7 // a comment ends with its line"

    assert climb(*texts) == Hit(index)


@pytest.mark.parametrize(
    "text",
    ["n / 0 == 1", "n % (n - 7) == 1", "n + 9223372036854775807 > 0", 'items[2] == "a"', 'items[-1] == "a"'],
)
@pytest.mark.parametrize("index", [0, 3, 20])
def test_an_error_ends_the_search(text: str, index: int) -> None:
    texts = ["n == 1"] * 21
    texts[index] = text

    assert climb(*texts, "true") == Fell(index)


def test_what_is_not_there_ends_the_search() -> None:
    without = {name: value for name, value in VALUES.items() if name != "items"}

    assert climb("on && 'a' in items", "true", values=without) == Fell(0)
    assert climb("on || 'a' in items", "true", values=without) == Hit(0)


@pytest.mark.parametrize(
    "values",
    [
        {**VALUES, "who": "a" * 11},
        {**VALUES, "who": "é" * 6},
        {**VALUES, "who": 7},
        {**VALUES, "n": 1 << 63},
        {**VALUES, "n": True},
        {**VALUES, "items": ("a",) * 4},
        {**VALUES, "items": ("aaaaaa",)},
        {**VALUES, "on": 1},
    ],
)
def test_a_value_that_is_too_large_or_of_another_kind_decides_nothing(values: Mapping[str, Value]) -> None:
    assert climb('who == "x" || n == 1 || on || "a" in items', "true", values=values) == Fell(0)


def test_conditions_nested_as_deep_as_can_be_decide_in_a_row_too() -> None:
    # Together they would go beyond the library's bound; one after the other they do not.
    deep = "(" * 25 + "n == 8" + ")" * 25

    assert climb(*[deep] * 20, "n == 7") == Hit(20)
