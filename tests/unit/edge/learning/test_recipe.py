"""A recipe's form: what is refused, and in which words."""

import json
from typing import Any

import pytest

from node.base.ports import LearnerError
from node.edge.learning.recipe import RECIPE_BYTES_MAX, canonical_json, parse_recipe

GOOD: dict[str, Any] = {
    "label": "ill",
    "columns": [
        {"kind": "numeric", "name": "age", "missing": [0, "?"]},
        {"kind": "categorical", "name": "sex", "categories": ["f", "m"]},
        {"kind": "boolean", "name": "pain"},
    ],
    "model": {"kind": "mlp", "hidden": [4]},
    "training": {"epochs": 1, "batch_rows": None, "optimiser": "sgd", "learning_rate": 0.1},
    "seed": 0,
}


def changed(path: str, value: Any) -> bytes:
    recipe = json.loads(json.dumps(GOOD))
    *steps, last = path.split(".")
    at = recipe
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at[step]
    at[last] = value
    return json.dumps(recipe).encode()


def test_a_good_recipe_is_read_and_its_canonical_form_reads_the_same():
    recipe = parse_recipe(json.dumps(GOOD, indent=3).encode())

    assert recipe.columns[0].missing == (0.0, "?")
    assert parse_recipe(canonical_json(recipe.model_dump())) == recipe


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        ("surprise", 1, "surprise"),
        ("columns.0.surprise", 1, "surprise"),
        ("columns.0.kind", "picture", "kind"),
        ("columns.1.categories", ["f", "f"], "named once"),
        ("columns.1.missing", ["m"], "cannot stand for a gap"),
        ("columns.1.name", "age", "age declared more than once"),
        ("columns.1.name", "a\nb", "control characters"),
        ("label", "age", "cannot be an input"),
        ("model.kind", "forest", "model"),
        ("model.hidden", [], "hidden"),
        ("model.hidden", [10**6], "hidden"),
        ("training.epochs", 0, "epochs"),
        ("training.epochs", "1", "epochs"),
        ("training.learning_rate", 1e400, "learning_rate"),
        ("training.learning_rate", -1, "learning_rate"),
        ("training.optimiser", "newton", "optimiser"),
        ("seed", -1, "seed"),
        ("seed", 1.5, "seed"),
        ("columns", [], "columns"),
    ],
)
def test_what_is_wrong_is_refused_by_name(path, value, word):
    with pytest.raises(LearnerError, match=word):
        parse_recipe(changed(path, value))


def test_momentum_belongs_to_sgd_only():
    training = GOOD["training"] | {"optimiser": "adam", "momentum": 0.5}

    with pytest.raises(LearnerError, match="sgd only"):
        parse_recipe(changed("training", training))


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 40_000, b"null", b"\xff", b" " * (RECIPE_BYTES_MAX + 1)])
def test_bytes_that_are_no_recipe_are_refused(data):
    with pytest.raises(LearnerError):
        parse_recipe(data)
