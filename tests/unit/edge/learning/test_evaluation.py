"""The figures against scikit-learn's, with ties, and undefined where they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, roc_auc_score

from node.base.ports import LearnerError
from node.edge.learning.evaluation import Evaluation, evaluate


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10).map(lambda x: x / 10)), min_size=1, max_size=60))
def test_area_and_accuracy_are_scikit_learns(pairs):
    labels = [label for label, _ in pairs]
    scores = [score for _, score in pairs]

    found = evaluate(labels, scores)

    assert found.positives == sum(labels)
    assert found.negatives == len(labels) - sum(labels)
    assert found.accuracy == pytest.approx(accuracy_score(labels, [score >= 0.5 for score in scores]))
    if len(set(labels)) == 2:
        assert found.auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    else:
        assert found.auc is None


def test_without_rows_nothing_is_defined():
    assert evaluate([], []) == Evaluation(None, None, 0, 0)


@pytest.mark.parametrize(("labels", "scores"), [([1], []), ([2], [0.5]), ([1], [float("nan")])])
def test_anything_else_is_refused(labels, scores):
    with pytest.raises(LearnerError):
        evaluate(labels, scores)
