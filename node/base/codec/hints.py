"""What a type hint says of a byte form: its shape, its size, which values are well-formed."""

import dataclasses
import enum
import struct
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

U32 = struct.Struct(">I")
_SIZES: dict[Any, int] = {}
_CHECKS: dict[Any, Callable[[Any], bool]] = {}
_KEEPERS: set[type] = set()


class DecodeError(ValueError):
    """Bytes that are not the encoding of the asked type. Of a peer's bytes: the peer's fault."""


def register_size(new_type: Any, size: int) -> None:
    """Declare that values of the NewType over `bytes` have exactly `size` bytes."""
    _SIZES[new_type] = size


def register_check(new_type: Any, check: Callable[[Any], bool]) -> None:
    """Declare which values of the NewType are well-formed; others are refused both ways."""
    _CHECKS[new_type] = check


def keeps_bytes(cls: type[T]) -> type[T]:
    """Class decorator: what was decoded keeps its byte form as `encoded` and is written from there, not made again.

    For frozen dataclasses with a cached property `encoded`. There is one encoding of a value, so the two are equal.
    """
    _KEEPERS.add(cls)
    return cls


def keeps(cls: Any) -> bool:
    """Whether `keeps_bytes` was said of the class."""
    return cls in _KEEPERS


@dataclass(frozen=True, slots=True)
class Scalar:
    """A hint whose form is a fixed number of bytes, or a length and bytes."""

    letter: str
    """In a `struct` layout; of bytes and text it is the length's."""
    size: int | None = None
    """Of a sized NewType: so many bytes, which `struct` would cut or pad."""
    kind: type | None = None
    """`bool`, `bytes`, `str` or an `IntEnum`: what becomes of the number; None where it is the value."""
    check: Callable[[Any], bool] | None = None
    name: str = ""


def scalar(hint: Any) -> Scalar | None:
    """What the hint is when it is a scalar; None for dataclasses, unions and tuples."""
    if isinstance(hint, typing.NewType):
        size = _SIZES.get(hint)
        below = Scalar(f"{size}s", size) if size is not None else scalar(hint.__supertype__)
        if below is None:
            return None
        return dataclasses.replace(below, check=_CHECKS.get(hint), name=hint.__name__)
    if not isinstance(hint, type):
        return None
    if issubclass(hint, enum.IntEnum) or hint is bool:
        return Scalar("B", kind=hint, name=hint.__name__)
    if hint in (bytes, str):
        return Scalar("I", kind=hint, name=hint.__name__)
    return Scalar("q", name="int") if hint is int else None


@cache
def fields(hint: Any) -> tuple[tuple[str, Any], ...]:
    """Names and hints of a dataclass's fields, in order."""
    hints = typing.get_type_hints(hint)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(hint))


def optional(hint: Any) -> Any:
    """What `T | None` is about; None for every other hint."""
    arms = union(hint)
    return next((arm for arm in arms if arm is not type(None)), None) if type(None) in arms else None


def union(hint: Any) -> tuple[Any, ...]:
    """The kinds of a union, in order; none for every other hint."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()


def item(hint: Any) -> Any:
    """Of what a tuple is made; None for every other hint."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None


def made(name: str, lines: list[str], names: dict[str, Any]) -> Any:
    """The function `name` of this source over these names. The source is made here, of our own types' names alone."""
    exec("\n".join(lines), names)
    return names[name]
