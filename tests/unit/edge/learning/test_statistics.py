"""Statistics between members: what is withheld, what is refused, and that all combine them alike."""

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.base.ports import LearnerError
from node.base.types import OrgId
from node.edge.learning.preparation import PARAMETERS_MAX, prepare, read_preparation, write_preparation
from node.edge.learning.recipe import Recipe, canonical_json, parse_recipe
from node.edge.learning.statistics import BLOB_BYTES_MAX, combine, mean_and_scale, moments, write_blob

A, B, C = OrgId("a"), OrgId("b"), OrgId("c")


def recipe(**model: Any) -> Recipe:
    return parse_recipe(
        json.dumps(
            {
                "label": "ill",
                "columns": [
                    {"kind": "numeric", "name": "age"},
                    {"kind": "categorical", "name": "sex", "categories": ["f", "m"]},
                    {"kind": "boolean", "name": "pain"},
                ],
                "model": model or {"kind": "logistic"},
                "training": {"epochs": 1, "batch_rows": None, "optimiser": "sgd", "learning_rate": 0.1},
                "seed": 0,
            }
        ).encode()
    )


def blob(ages: list[float], sex: dict[str, int] | None = None, rows: int = 100) -> bytes:
    return write_blob(
        rows,
        {"age": moments(ages)} if ages else {},
        {"sex": sex or {"f": 50, "m": 50}, "pain": {"false": 9, "true": 9}},
    )


def edited(**changes: Any) -> bytes:
    return canonical_json(json.loads(blob([1.0, 2.0] * 10)) | changes)


def test_a_numeric_column_under_ten_values_and_a_category_under_five_rows_are_withheld():
    nine = json.loads(write_blob(100, {"age": moments([1.0] * 9)}, {"sex": {"f": 4, "m": 5}}))
    ten = json.loads(write_blob(100, {"age": moments([1.0] * 10)}, {"sex": {"f": 4, "m": 5}}))

    assert nine["numeric"] == {}
    assert ten["numeric"] == {"age": {"count": 10, "sum": 10.0, "squares": 0.0}}
    assert ten["categories"] == {"sex": {"m": 5}}


def test_a_blob_holds_sums_only():
    assert json.loads(blob([1.0, 2.0, 3.0, 6.0] * 3, rows=100)) == {
        "version": 1,
        "rows": 100,
        "numeric": {"age": {"count": 12, "sum": 36.0, "squares": 42.0}},
        "categories": {"sex": {"f": 50, "m": 50}, "pain": {"false": 9, "true": 9}},
    }


@given(
    st.lists(
        st.lists(
            st.floats(-1e30, 1e30, allow_subnormal=False) | st.integers(-5, 5).map(float), min_size=10, max_size=20
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_scaling_is_that_of_the_pooled_rows_and_independent_of_the_order_of_members(parts):
    blobs = {OrgId(str(index)): blob(values) for index, values in enumerate(parts)}
    pooled = np.array(list(itertools.chain(*parts)), np.longdouble)

    scaling = combine(recipe(), blobs)

    mean, scale = scaling.numeric["age"]
    spread = float(np.abs(pooled).max())
    assert math.isclose(mean, float(pooled.mean()), rel_tol=1e-9, abs_tol=spread * 1e-12)
    if float(pooled.std()) > max(spread * 1e-9, 1e-100):  # smaller squares vanish in float64
        assert math.isclose(scale, float(pooled.std()), rel_tol=1e-6)
    for order in itertools.permutations(blobs.items()):
        assert combine(recipe(), dict(order)) == scaling


def test_every_order_of_members_prepares_the_same_bytes():
    blobs = {A: blob([0.1, 0.7] * 9), B: blob([1e9, 3.3] * 7), C: blob([-2.5e-7] * 11)}

    made = {
        write_preparation(prepare(recipe(), combine(recipe(), dict(order))))
        for order in itertools.permutations(blobs.items())
    }

    assert len(made) == 1
    assert write_preparation(read_preparation(next(iter(made)))) == next(iter(made))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.1, -1e30, 3e-300])
def test_without_variance_the_scale_is_one(value):
    # Sums of 0.1 are not exact: rounding must not pass for variation, in one member or between members.
    mean, scale = mean_and_scale([moments([value] * count) for count in (10, 13, 29)])

    assert math.isclose(mean, value)
    assert scale == 1.0


def test_a_column_that_one_member_lacks_is_scaled_by_the_others():
    assert combine(recipe(), {A: blob([]), B: blob([1.0, 3.0] * 5)}).numeric["age"] == (2.0, 1.0)


@pytest.mark.parametrize(
    ("blobs", "column"),
    [({A: blob([]), B: blob([1.0] * 9)}, "age"), ({A: blob([1.0] * 10, {"f": 4, "m": 4})}, "sex")],
)
def test_a_column_that_nobody_has_is_refused_by_name(blobs, column):
    with pytest.raises(LearnerError, match=f"No member has enough values in column {column}"):
        combine(recipe(), blobs)


def test_a_category_that_nobody_tells_has_no_feature():
    with_m = prepare(recipe(), combine(recipe(), {A: blob([1.0] * 10)}))
    without = prepare(recipe(), combine(recipe(), {A: blob([1.0] * 10, {"f": 90, "m": 4})}))

    assert with_m.categories["sex"] == ("f", "m")
    assert without.categories["sex"] == ("f",)
    assert (with_m.width, without.width) == (7, 6)


@pytest.mark.parametrize(
    ("lie", "word"),
    [
        (b"", "form"),
        (b"{", "form"),
        (b"[" * 100_000, "form"),
        (b" " * (BLOB_BYTES_MAX + 1), "bytes"),
        (b" " + blob([1.0] * 10), "canonical"),
        (edited(surprise=1), "surprise"),
        (edited(version=2), "version"),
        (edited(rows=0), "rows"),
        (edited(rows=-5), "rows"),
        (edited(rows=2**63), "rows"),
        (edited(numeric={"weight": {"count": 20, "sum": 0.0, "squares": 0.0}}), "does not declare"),
        (edited(numeric={"sex": {"count": 20, "sum": 0.0, "squares": 0.0}}), "does not declare"),
        (edited(numeric={"age": {"count": 9, "sum": 0.0, "squares": 0.0}}), "counts 9 values"),
        (edited(numeric={"age": {"count": -20, "sum": 0.0, "squares": 0.0}}), "count"),
        (edited(numeric={"age": {"count": 101, "sum": 0.0, "squares": 0.0}}), "101 values"),
        (edited(numeric={"age": {"count": 20, "sum": 0.0, "squares": -1.0}}), "squares"),
        (edited(numeric={"age": {"count": 20, "sum": 1e308, "squares": 0.0}}), "sum"),
        (edited(numeric={"age": {"count": 20, "sum": 1e32, "squares": 0.0}}), "cannot have"),
        (edited(numeric={"age": {"count": 20, "sum": 0.0, "squares": 1e66}}), "cannot have"),
        (edited(numeric={"age": {"count": 20, "sum": "1", "squares": 0.0}}), "sum"),
        (edited().replace(b'"sum":30.0', b'"sum":NaN'), "form"),
        (edited().replace(b'"sum":30.0', b'"sum":1e999'), "sum"),
        (edited().replace(b'"sum":30.0', b'"sum":' + b"9" * 5000), "form"),
        (edited(categories={"sex": {"x": 20}}), "does not declare"),
        (edited(categories={"age": {"1": 20}}), "does not declare"),
        (edited(categories={"sex": {"f": 4}}), "cannot be told"),
        (edited(categories={"sex": {"f": 60, "m": 60}}), "add up"),
    ],
)
def test_a_lying_member_is_named(lie, word):
    with pytest.raises(LearnerError, match=f"(?s)member b cannot be used.*{word}"):
        combine(recipe(), {A: blob([1.0] * 10), B: lie})


def test_the_largest_honest_and_dishonest_statistics_still_prepare():
    extremes = {A: edited(numeric={"age": {"count": 20, "sum": 2e31, "squares": 8e61}}), B: blob([-1e30] * 10)}

    preparation = prepare(recipe(), combine(recipe(), extremes))

    assert read_preparation(write_preparation(preparation)) == preparation


def test_no_statistics_at_all_and_a_model_too_large_are_refused():
    with pytest.raises(LearnerError, match="no statistics"):
        combine(recipe(), {})
    large = recipe(kind="mlp", hidden=[16_384, 16_384])
    with pytest.raises(LearnerError, match=f"at most {PARAMETERS_MAX}"):
        prepare(large, combine(large, {A: blob([1.0] * 10)}))


def test_a_preparation_of_any_other_form_is_refused():
    good = write_preparation(prepare(recipe(), combine(recipe(), {A: blob([1.0, 2.0] * 10)})))

    for bad in (
        b"",
        b" " + good,
        good.replace(b'"scale":0.5', b'"scale":0.0'),
        good.replace(b'"scale":0.5', b'"scale":1e999'),
        good.replace(b'["layers.0.weight",[1,7]]', b'["layers.0.weight",[1,8]]'),
        good.replace(b'"sex":["f","m"]', b'"sex":["m","f"]'),
        good.replace(b'"numeric":{"age"', b'"numeric":{"edge"'),
    ):
        assert bad != good
        with pytest.raises(LearnerError):
            read_preparation(bad)
