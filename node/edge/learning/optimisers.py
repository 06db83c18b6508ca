"""The two optimisers that a recipe may name, written out.

`torch.optim` imports torch's compiler at its first step: two seconds and 70 MB in every job's process, for nothing
that is used here. A test holds these to what `torch.optim.SGD` and `torch.optim.AdamW` compute.
"""

import math
from collections.abc import Sequence
from typing import Final, Protocol

import torch

_BETA_1: Final = 0.9
_BETA_2: Final = 0.999
_EPSILON: Final = 1e-8


class Optimiser(Protocol):
    """Moves parameters along their gradients."""

    def step(self) -> None:
        """One step with the gradients that stand in the parameters; then they are cleared."""
        ...


class Sgd:
    """Stochastic gradient descent with momentum; weight decay is an L2 penalty, in the gradient."""

    def __init__(self, parameters: Sequence[tuple[torch.Tensor, float]], rate: float, momentum: float) -> None:
        """`parameters` are pairs of tensor and weight decay."""
        self._parameters = parameters
        self._rate = rate
        self._momentum = momentum
        self._velocities = [torch.zeros_like(value) for value, _ in parameters] if momentum else []

    @torch.no_grad()
    def step(self) -> None:
        """See `Optimiser`."""
        for index, (value, decay) in enumerate(self._parameters):
            assert value.grad is not None, "a step follows a backward pass"
            gradient = value.grad.add_(value, alpha=decay) if decay else value.grad
            if self._momentum:
                gradient = self._velocities[index].mul_(self._momentum).add_(gradient)
            value.add_(gradient, alpha=-self._rate)
            value.grad = None


class Adam:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), in torch's scaling of the decay."""

    def __init__(self, parameters: Sequence[tuple[torch.Tensor, float]], rate: float) -> None:
        """`parameters` are pairs of tensor and weight decay."""
        self._parameters = parameters
        self._rate = rate
        self._means = [torch.zeros_like(value) for value, _ in parameters]
        self._squares = [torch.zeros_like(value) for value, _ in parameters]
        self._steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """See `Optimiser`."""
        self._steps += 1
        size = self._rate / (1 - _BETA_1**self._steps)
        correction = math.sqrt(1 - _BETA_2**self._steps)
        for (value, decay), mean, square in zip(self._parameters, self._means, self._squares, strict=True):
            assert value.grad is not None, "a step follows a backward pass"
            value.mul_(1 - self._rate * decay)
            mean.lerp_(value.grad, 1 - _BETA_1)
            square.mul_(_BETA_2).addcmul_(value.grad, value.grad, value=1 - _BETA_2)
            value.addcdiv_(mean, square.sqrt().div_(correction).add_(_EPSILON), value=-size)
            value.grad = None
