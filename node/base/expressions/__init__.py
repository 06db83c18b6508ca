"""Conditions that organisations write in CEL: compiled, fenced, priced and evaluated, the same on every member.

It stands in `base` because the ledger decides by it, and the ledger imports only what is below it; like `base.crypto`
it wraps a library behind a few pure functions: texts and values go in, `true`, `false` or a refusal come out. No clock,
no chance, no files: what an expression may know is in the values that it is given.

- `language`    kinds of values, the environment of typed variables, compiling
- `fence`       which checked expressions may be evaluated at all, and what one may cost at the most
- `ladder`      ordered conditions: which is the first that is true
- `errors`      why a text is no condition

The library is cel-cpp by cel-expr-python. Another version of it may decide otherwise, so the version is a parameter of
the chain (`Parameters.cel_version`); whether the installed one is that one is for the caller to see to.
"""

from node.base.expressions.errors import ExpressionError, Place, Reason
from node.base.expressions.ladder import Fell, Hit, Ladder, Missed
from node.base.expressions.language import (
    EXPRESSION_CHARACTERS_MAX,
    Condition,
    Kind,
    Language,
    Number,
    Text,
    Texts,
    Truth,
    Value,
)

__all__ = [
    "EXPRESSION_CHARACTERS_MAX",
    "Condition",
    "ExpressionError",
    "Fell",
    "Hit",
    "Kind",
    "Ladder",
    "Language",
    "Missed",
    "Number",
    "Place",
    "Reason",
    "Text",
    "Texts",
    "Truth",
    "Value",
]
