"""Training on rows of one owner, or on rows put together: what a network's model is compared with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from node.base.types import OrgId
from node.edge.learning.features import features_of, statistics_of
from node.edge.learning.initial import initial_parameters
from node.edge.learning.model import train
from node.edge.learning.modelfile import write_model
from node.edge.learning.preparation import prepare, write_preparation
from node.edge.learning.recipe import parse_recipe
from node.edge.learning.statistics import combine
from node.edge.learning.table import read_rows


def train_alone(recipe: bytes, data: Sequence[Path], rounds: int) -> bytes:
    """The model file of one model trained on all rows of `data`: as long and as carefully as the shared one.

    The same recipe, `rounds` training rounds of its local epochs, and these rows' own scaling. Nothing is withheld,
    as nothing leaves; a column without values is left without effect. Raises `LearnerError`.
    """
    declared = parse_recipe(recipe)
    read = [read_rows(declared, path, labelled=True) for path in data]
    blobs = {OrgId(str(index)): statistics_of(declared, rows, withhold=False) for index, rows in enumerate(read)}
    plan = prepare(declared, combine(declared, blobs, withheld=False))
    features = np.concatenate([features_of(plan, rows) for rows in read])
    labels = np.concatenate([rows.labels for rows in read if rows.labels is not None])
    parameters = initial_parameters(plan)
    for training_round in range(1, rounds + 1):
        parameters, _ = train(
            plan,
            parameters,
            features,
            labels,
            training_round=training_round,
            stream="alone",
            progress=lambda _line: None,
        )
    return write_model(write_preparation(plan), parameters)
