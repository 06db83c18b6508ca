"""Probabilities for raw rows from a model file, anywhere the file and the rows are."""

from collections.abc import Callable
from pathlib import Path

from node.edge.learning.features import features_of
from node.edge.learning.model import probabilities
from node.edge.learning.modelfile import open_model
from node.edge.learning.preparation import read_preparation
from node.edge.learning.table import read_rows


def _ignore(note: str) -> None:
    pass


def predict(file: bytes, data: Path, note: Callable[[str], None] = _ignore) -> list[float]:
    """One probability per row of `data` (CSV or Parquet), in its order; the label column may be absent.

    `note` hears of unknown categories and empty columns. Raises `LearnerError`.
    """
    preparation, parameters = open_model(file)
    plan = read_preparation(preparation)
    rows = read_rows(plan.recipe, data, labelled=False)
    for line in rows.notes:
        note(line)
    return probabilities(plan, parameters, features_of(plan, rows))


def score(file: bytes, data: Path) -> tuple[list[int], list[float]]:
    """(labels, probabilities) of the rows in order, as `evaluation.evaluate` takes them. Raises `LearnerError`."""
    preparation, parameters = open_model(file)
    plan = read_preparation(preparation)
    rows = read_rows(plan.recipe, data, labelled=True)
    assert rows.labels is not None, "labelled rows have labels"
    return [int(label) for label in rows.labels], probabilities(plan, parameters, features_of(plan, rows))
