"""Why a text is no condition that may be evaluated."""

import enum
from dataclasses import dataclass


class Reason(enum.Enum):
    """Our own codes: what stands in receipts. The library's words differ between versions and never do."""

    SYNTAX = "does-not-parse"
    """It is no CEL."""
    TYPES = "does-not-type-check"
    """It names what is not there, or compares what cannot be compared."""
    FENCE = "not-allowed"
    """It is CEL, and uses a part of it that may differ between members or that has no bound."""
    NOT_A_CONDITION = "not-true-or-false"
    """Its value is not a truth value."""
    TOO_LONG = "too-long"
    TOO_COSTLY = "too-costly"


SENTENCES = {
    Reason.SYNTAX: "it does not parse",
    Reason.TYPES: "it names what is not there, or compares what cannot be compared",
    Reason.FENCE: "it uses a part of CEL that is not allowed here",
    Reason.NOT_A_CONDITION: "its value is not true or false",
    Reason.TOO_LONG: "it is too long",
    Reason.TOO_COSTLY: "it may take too long to decide",
}
"""For receipts: the same words on every member."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the text: line and column count from 1, columns in characters."""

    line: int
    column: int


class ExpressionError(Exception):
    """The text is no condition that may be evaluated.

    `words` may quote the library: they are for the one who writes the expression, at his own machine, and never for
    anything that members must agree on.
    """

    def __init__(self, reason: Reason, words: str, place: Place | None = None) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words
        self.place = place

    @property
    def sentence(self) -> str:
        """What may stand on a receipt."""
        return SENTENCES[self.reason]
