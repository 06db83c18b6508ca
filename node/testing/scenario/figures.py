"""What training together gave, beside training alone and beside all rows put together.

Only the script sees these figures: it owns all files. A daemon opens nothing but its own folder.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from node.base.ports import LearnerError
from node.edge.learning.alone import train_alone
from node.edge.learning.evaluation import Evaluation, evaluate
from node.edge.learning.predict import score
from node.testing.scenario.plan import Scenario, Share


@dataclass(frozen=True, slots=True)
class MemberFigures:
    """One member's figures; None where one is undefined."""

    org: str
    alone: Evaluation | None
    """Its own model on its own held-out rows."""
    together: Evaluation
    """The shared model on its own held-out rows."""
    alone_everywhere: Evaluation | None
    """Its own model on all held-out rows."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one run."""

    members: tuple[MemberFigures, ...]
    together: Evaluation
    """The shared model on all held-out rows."""
    pooled: Evaluation
    """One model of all training rows put together, on all held-out rows."""

    @property
    def alone_aucs(self) -> list[float]:
        """Each member's own model on all held-out rows, where defined."""
        found = [member.alone_everywhere for member in self.members]
        return [one.auc for one in found if one is not None and one.auc is not None]

    @property
    def auc_macro(self) -> float | None:
        """Mean of the members' own-row areas of the shared model, where defined."""
        found = [member.together.auc for member in self.members if member.together.auc is not None]
        return mean(found) if found else None


def measure(
    scenario: Scenario, shares: Sequence[Share], rounds: int, shared_model: bytes, say: Callable[[str], None]
) -> Figures:
    """Train the models to compare with, and score all. `say` hears what is being done. Raises `LearnerError`."""
    recipe = json.dumps(scenario.recipe, sort_keys=True, separators=(",", ":")).encode()
    members = []
    for share in shares:
        say(f"training {share.org} alone, for comparison")
        model = _alone(recipe, share, rounds, say)
        members.append(
            MemberFigures(
                share.org,
                alone=None if model is None else _on(model, [share]),
                together=_on(shared_model, [share]),
                alone_everywhere=None if model is None else _on(model, shares),
            )
        )
    say("training on all rows put together, for comparison")
    pooled = train_alone(recipe, [share.train for share in shares], rounds)
    return Figures(tuple(members), _on(shared_model, shares), _on(pooled, shares))


def _alone(recipe: bytes, share: Share, rounds: int, say: Callable[[str], None]) -> bytes | None:
    try:
        return train_alone(recipe, [share.train], rounds)
    except LearnerError as error:
        say(f"{share.org} cannot train alone: {error}")
        return None


def _on(model: bytes, shares: Sequence[Share]) -> Evaluation:
    labels: list[int] = []
    probabilities: list[float] = []
    for share in shares:
        truth, found = score(model, share.held_out)
        labels += truth
        probabilities += found
    return evaluate(labels, probabilities)
