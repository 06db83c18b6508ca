"""From values to bytes and back, by the type hints of dataclasses."""

from typing import Any, TypeVar

from node.base.codec.hints import DecodeError
from node.base.codec.reading import reader
from node.base.codec.writing import writer

T = TypeVar("T")


def encode(value: Any, as_type: Any = None) -> bytes:
    """The byte form of `value`, a dataclass instance (or any value of the hint `as_type`).

    Raises `ValueError` where a field does not fit its type: an int outside 64 bits, a wrong size.
    """
    parts: list[bytes] = []
    hint: Any = as_type if as_type is not None else type(value)
    writer(hint)(value, parts)
    return b"".join(parts)


def decode(as_type: type[T], data: bytes) -> T:
    """The value of `as_type` whose byte form is exactly `data`. Raises `DecodeError`."""
    hint: Any = as_type
    data = bytes(data)
    value: T
    value, stop = reader(hint)(data, 0)
    if stop != len(data):
        raise DecodeError(f"{len(data) - stop} bytes after the end of {getattr(as_type, '__name__', as_type)}")
    return value
