"""How good probabilities are: area under the ROC curve and accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from node.base.ports import LearnerError


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures over labelled rows; None where a figure is undefined."""

    auc: float | None
    """Area under the ROC curve; undefined unless both classes are there."""
    accuracy: float | None
    """Share of rows on the right side of one half; undefined without rows."""
    positives: int
    negatives: int


def evaluate(labels: Sequence[int], probabilities: Sequence[float]) -> Evaluation:
    """The figures for labels of 0 and 1 and as many finite probabilities. Raises `LearnerError` for anything else.

    The area by ranks, ties sharing their mean rank: (R - p(p + 1)/2) / (p n), R the sum of the positives' ranks
    (Mann and Whitney 1947; Hanley and McNeil 1982).
    """
    truth = np.asarray(labels, np.float64)
    scores = np.asarray(probabilities, np.float64)
    if truth.shape != scores.shape or truth.ndim != 1:
        raise LearnerError(f"There are {truth.size} labels for {scores.size} probabilities.")
    if not np.isin(truth, (0.0, 1.0)).all() or not np.isfinite(scores).all():
        raise LearnerError("Labels must be 0 or 1 and probabilities finite.")
    positives = int(truth.sum())
    negatives = truth.size - positives
    accuracy = float(np.mean((scores >= 0.5) == (truth == 1))) if truth.size else None
    auc = None
    if positives and negatives:
        _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
        rank_sum = float(ranks[truth == 1].sum())
        auc = (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
    return Evaluation(auc, accuracy, positives, negatives)
