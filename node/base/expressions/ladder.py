"""Ordered conditions: which is the first that is true.

Every value but `true` and `false` ends the search: an error, a value that is not there, a budget that is used up.
Nobody can then say what the later conditions were meant for.

Conditions are evaluated several at once, as one expression that gives the number of the first true one, which is three
times as fast; where that comes to no number, one after the other finds out where it stopped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cel_expr_python import cel

from node.base.expressions.errors import ExpressionError
from node.base.expressions.language import Condition, Language, Reader, Value

GROUP = 16
"""Conditions in one expression; the library's bound on nesting is 32."""


@dataclass(frozen=True, slots=True)
class Hit:
    """This condition is the first that is true; the first of all has index 0."""

    index: int


@dataclass(frozen=True, slots=True)
class Missed:
    """None is true."""


@dataclass(frozen=True, slots=True)
class Fell:
    """This condition came to neither true nor false."""

    index: int


class Ladder:
    """Compiled conditions, in their order."""

    def __init__(self, language: Language, conditions: Sequence[Condition]) -> None:
        self._language = language
        self._conditions = tuple(conditions)
        self.variables = frozenset[str]().union(*(condition.variables for condition in conditions))
        self.cost = sum(condition.cost for condition in conditions)

    def climb(self, values: Mapping[str, Value]) -> Hit | Missed | Fell:
        """The first condition that is true over these values. A value larger than its kind allows fells the first."""
        activation = self._reader.activation(values)
        if activation is None:
            return Fell(0)
        for first, program in self._groups:
            number = None if program is None else _evaluated(program, activation)
            if number is None or isinstance(number, bool):
                found = self._one_by_one(first, activation)
                if not isinstance(found, Missed):
                    return found
            elif number >= 0:
                return Hit(first + number)
        return Missed()

    def _one_by_one(self, first: int, activation: cel.Activation) -> Hit | Missed | Fell:
        for index, condition in enumerate(self._conditions[first : first + GROUP], start=first):
            value = _evaluated(condition.program, activation)
            if value is True:
                return Hit(index)
            if value is not False:
                return Fell(index)
        return Missed()

    @cached_property
    def _reader(self) -> Reader:
        return self._language.reader(self.variables)

    @cached_property
    def _groups(self) -> tuple[tuple[int, cel.Expression | None], ...]:
        """(index of the first, the expression); None where it would be nested too deeply."""
        found: list[tuple[int, cel.Expression | None]] = []
        for first in range(0, len(self._conditions), GROUP):
            members = self._conditions[first : first + GROUP]
            # A line of its own ends a comment that may stand at the condition's end.
            steps = "".join(f"({condition.text}\n) ? {number} : " for number, condition in enumerate(members))
            try:
                found.append((first, self._language.program(f"{steps}-1")))
            except ExpressionError:
                found.append((first, None))
        return tuple(found)


def _evaluated(program: cel.Expression, activation: cel.Activation) -> bool | int | None:
    """A truth or a number; None for whatever else it comes to."""
    try:
        value = program.eval(activation).value()
    except RuntimeError:
        # The library's word for a budget that is used up.
        return None
    return value if isinstance(value, int) else None
