"""The language of one purpose: its typed variables, and texts compiled over them.

Only truth values, whole numbers, texts and lists of these two exist in it. Each kind states how large its values may
be, so that what an expression may cost is known before it is evaluated.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from cel_expr_python import cel
from google.protobuf.any_pb2 import Any as AnyMessage

from node._proto.expression_pb2 import Checked
from node.base.expressions import fence
from node.base.expressions.errors import ExpressionError, Place, Reason

EXPRESSION_CHARACTERS_MAX = 1_000
INT_MAX = (1 << 63) - 1

_NOISE = re.compile(r" \(in container ''\)| \[INVALID_ARGUMENT\]$")
_POSITION = re.compile(r"<input>:(\d+):(\d+): (.*)")

Value = bool | int | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number of 64 bits, with a sign."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text of so many bytes in UTF-8 at the most."""

    bytes_max: int


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of so many texts at the most."""

    items_max: int
    bytes_max: int
    """Of each."""


Kind = Truth | Number | Text | Texts


@dataclass(frozen=True, slots=True)
class Condition:
    """A text that was compiled and passed the fence."""

    text: str
    variables: frozenset[str]
    """What it reads."""
    cost: int
    """At the most, in steps; follows from the text alone."""
    program: cel.Expression


class Language:
    """Typed variables and the texts over them. Immutable; making one takes about a millisecond."""

    def __init__(self, variables: Mapping[str, Kind]) -> None:
        """Names may have dots (`data.name`)."""
        self.variables = dict(variables)
        self._sizes = {name: _size(kind) for name, kind in variables.items()}

    def compile(self, text: str) -> Condition:
        """Raises `ExpressionError`."""
        if len(text) > EXPRESSION_CHARACTERS_MAX:
            words = f"the expression has {len(text)} characters, {EXPRESSION_CHARACTERS_MAX} at most are allowed"
            raise ExpressionError(Reason.TOO_LONG, words)
        program = self.program(text)
        wrapped = AnyMessage.FromString(program.serialize())
        checked = Checked.FromString(wrapped.value)
        walked = fence.walk(checked, text, self._sizes)
        return Condition(text, walked.variables, walked.cost, program)

    def program(self, text: str) -> cel.Expression:
        """Compiled and type-checked only. Raises `ExpressionError`."""
        if not _is_text(text):
            raise ExpressionError(Reason.SYNTAX, "the expression is no text in UTF-8")
        try:
            return self._environment.compile(text)
        except RuntimeError as error:
            # The one exception that the library has for a text that it does not take.
            raise _refused(str(error), Reason.TYPES if self._parses(text) else Reason.SYNTAX) from None

    def _parses(self, text: str) -> bool:
        try:
            self._environment.compile(text, disable_check=True)
        except RuntimeError:
            return False
        return True

    def reader(self, names: frozenset[str]) -> "Reader":
        """What makes values of these names ready to be read."""
        return Reader(self._environment, {name: self.variables[name] for name in sorted(names)})

    @cached_property
    def _environment(self) -> cel.Env:
        return cel.NewEnv(variables={name: _cel_type(kind) for name, kind in self.variables.items()})


class Reader:
    """Takes the values of some names over into the library, for one decision after the other."""

    def __init__(self, environment: cel.Env, kinds: Mapping[str, Kind]) -> None:
        self._environment = environment
        self._checks = tuple((name, _check(kind)) for name, kind in kinds.items())

    def activation(self, values: Mapping[str, Value]) -> cel.Activation | None:
        """The values, ready to be read; None where one is larger than its kind allows.

        A name without a value is left out: whoever reads it comes to no result.
        """
        data: dict[str, bool | int | str | list[str]] = {}
        for name, check in self._checks:
            value = values.get(name)
            if value is None:
                continue
            if not check(value):
                return None
            data[name] = list(value) if isinstance(value, tuple) else value
        return self._environment.Activation(data)


def _refused(said: str, reason: Reason) -> ExpressionError:
    found = _POSITION.search(said)
    if found is None:
        return ExpressionError(reason, said.splitlines()[0] if said else "CEL refuses the expression")
    line, column, words = int(found[1]), int(found[2]), found[3]
    return ExpressionError(reason, _NOISE.sub("", words), Place(line, column))


def _cel_type(kind: Kind) -> cel.Type:
    match kind:
        case Truth():
            return cel.Type.BOOL
        case Number():
            return cel.Type.INT
        case Text():
            return cel.Type.STRING
        case Texts():
            return cel.Type.List(cel.Type.STRING)


def _size(kind: Kind) -> fence.Size:
    match kind:
        case Truth() | Number():
            return fence.Size()
        case Text(bytes_max):
            return fence.Size(bytes_max)
        case Texts(items_max, bytes_max):
            return fence.Size(bytes_max, items_max)


def _check(kind: Kind) -> Callable[[Value], bool]:
    """Whether a value is of the kind, and no larger than it allows."""
    match kind:
        case Truth():
            return lambda value: value is True or value is False
        case Number():
            return lambda value: type(value) is int and -INT_MAX - 1 <= value <= INT_MAX
        case Text(bytes_max):
            return lambda value: isinstance(value, str) and _is_text(value, bytes_max)
        case Texts(items_max, bytes_max):
            return lambda value: (
                isinstance(value, tuple)
                and len(value) <= items_max
                and all(isinstance(item, str) and _is_text(item, bytes_max) for item in value)
            )


def _is_text(text: str, bytes_max: int | None = None) -> bool:
    """Whether it is text in UTF-8, and no longer than this."""
    if text.isascii():
        return bytes_max is None or len(text) <= bytes_max
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return False
    return bytes_max is None or size <= bytes_max
