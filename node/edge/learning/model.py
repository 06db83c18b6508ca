"""The models in PyTorch, and their training: kept small enough to read in one sitting.

Responsible for the forward pass, the loss and the optimiser. Rows, features and files are left to others; parameters
come and go as the flat little-endian float32 vector that the preparation lays out.
"""

import hashlib
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import assert_never

import numpy as np
import torch
from torch import nn

from node.base.ports import LearnerError
from node.edge.learning.features import Matrix
from node.edge.learning.modelfile import finite_parameters
from node.edge.learning.optimisers import Adam, Optimiser, Sgd
from node.edge.learning.preparation import Preparation
from node.edge.learning.recipe import Training
from node.edge.learning.table import Floats

_PREDICT_ROWS = 65_536
_SILENCE_S = 5.0
"""Within a long epoch, how often it is said that training goes on."""


class Network(nn.Module):
    """Linear layers with rectifiers between them; with one layer it is logistic regression. Answers logits."""

    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        shapes = [tensor.shape for tensor in preparation.layout if len(tensor.shape) == 2]
        # skip_init: the parameters come from the flat vector, never from torch's own chance.
        self.layers = nn.ModuleList(
            nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
            for outputs, inputs in shapes
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(rows, width) to (rows,)."""
        for layer in self.layers[:-1]:
            inputs = torch.relu(layer(inputs))
        logits: torch.Tensor = self.layers[-1](inputs)
        return logits.squeeze(1)


def load(preparation: Preparation, parameters: bytes) -> Network:
    """The network with these parameters. Raises `LearnerError` if they are not finite or not as many as needed."""
    flat = torch.from_numpy(finite_parameters(preparation, parameters, "The base model").copy())
    network = Network(preparation)
    tensors = network.state_dict()
    start = 0
    for tensor in preparation.layout:
        tensors[tensor.name].copy_(flat[start : start + tensor.length].view(tensor.shape))
        start += tensor.length
    return network


def dump(preparation: Preparation, network: Network) -> bytes:
    """The network's parameters as the flat vector."""
    tensors = network.state_dict()
    flat = torch.cat([tensors[tensor.name].reshape(-1) for tensor in preparation.layout])
    return flat.numpy().astype("<f4", copy=False).tobytes()


def train(
    preparation: Preparation,
    base: bytes,
    features: Matrix,
    labels: Floats,
    *,
    training_round: int,
    stream: str,
    progress: Callable[[str], None],
) -> tuple[bytes, float]:
    """Train for one training round's epochs; returns parameters and the mean loss of the last epoch.

    `stream` names who trains: the order of rows follows from it, the recipe's seed and the training round.
    Raises `LearnerError` when the loss or a parameter stops being a number.
    """
    training = preparation.recipe.training
    network = load(preparation, base)
    optimiser = _optimiser(training, network, training_round)
    inputs = torch.from_numpy(features)
    truth = torch.from_numpy(labels.astype(np.float32))
    weight = torch.tensor(training.positive_weight)
    orders = _orders(f"{preparation.recipe.seed} {stream} {training_round}", len(labels), training.batch_rows)
    mean = math.nan
    for epoch, batches in zip(range(1, training.epochs + 1), orders, strict=False):
        total = 0.0
        told_s = time.monotonic()
        for batch in batches:
            rows = slice(None) if batch is None else batch
            loss = nn.functional.binary_cross_entropy_with_logits(network(inputs[rows]), truth[rows], pos_weight=weight)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(truth[rows])
            if time.monotonic() - told_s > _SILENCE_S:
                told_s = time.monotonic()
                progress(f"epoch {epoch} of {training.epochs}")
        mean = total / len(labels)
        if not math.isfinite(mean):
            raise LearnerError(
                f"The loss is not a number in epoch {epoch} of training round {training_round}: "
                "a lower learning rate is needed."
            )
        progress(f"epoch {epoch} of {training.epochs}, loss {mean:.4f}")
    parameters = dump(preparation, network)
    finite_parameters(preparation, parameters, f"After training round {training_round} the model")
    return parameters, mean


def probabilities(preparation: Preparation, parameters: bytes, features: Matrix) -> list[float]:
    """The probability of label 1 per row, in order."""
    network = load(preparation, parameters)
    result: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(features), _PREDICT_ROWS):
            logits = network(torch.from_numpy(features[start : start + _PREDICT_ROWS]))
            result.extend(torch.sigmoid(logits.double()).tolist())
    return result


def _optimiser(training: Training, network: Network, training_round: int) -> Optimiser:
    rate = training.learning_rate * training.learning_rate_decay**training_round
    parameters: list[tuple[torch.Tensor, float]] = [
        (value, training.weight_decay if name.endswith("weight") else 0.0) for name, value in network.named_parameters()
    ]
    match training.optimiser:
        case "sgd":
            return Sgd(parameters, rate, training.momentum)
        case "adam":
            return Adam(parameters, rate)
        case other:
            assert_never(other)


def _orders(seed: str, rows: int, batch_rows: int | None) -> Iterator[list[torch.Tensor | None]]:
    """Per epoch the batches of row numbers; one None stands for all rows at once."""
    if batch_rows is None or batch_rows >= rows:
        yield from itertools.repeat([None])
        return
    source = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big"))
    while True:
        order = torch.from_numpy(source.permutation(rows))
        yield [order[start : start + batch_rows] for start in range(0, rows, batch_rows)]
