"""Compiles the type hints of a dataclass into a pair of functions: value to bytes, bytes to value."""

import dataclasses
import enum
import struct
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

_I64 = struct.Struct(">q")
_U32 = struct.Struct(">I")

_SIZES: dict[Any, int] = {}
_CHECKS: dict[Any, Callable[[Any], bool]] = {}
_KEEPERS: set[type] = set()


class DecodeError(ValueError):
    """Bytes that are not the encoding of the asked type. Of a peer's bytes: the peer's fault."""


class _Cursor:
    """A read position in one buffer; every read is held against the end."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)

    def take(self, count: int) -> bytes:
        start, stop = self.at, self.at + count
        if stop > self.end:
            raise DecodeError(f"{count} bytes expected at offset {start}, {self.end - start} left")
        self.at = stop
        return self.data[start:stop]


Writer = Callable[[Any, list[bytes]], None]
Reader = Callable[[_Cursor], Any]


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


def encode(value: Any, as_type: Any = None) -> bytes:
    """The byte form of `value`, a dataclass instance (or any value of the hint `as_type`).

    Raises `ValueError` where a field does not fit its type: an int outside 64 bits, a wrong size.
    """
    parts: list[bytes] = []
    hint: Any = as_type if as_type is not None else type(value)
    _writer(hint)(value, parts)
    return b"".join(parts)


def decode(as_type: type[T], data: bytes) -> T:
    """The value of `as_type` whose byte form is exactly `data`. Raises `DecodeError`."""
    cursor = _Cursor(bytes(data))
    hint: Any = as_type
    value: T = _reader(hint)(cursor)
    if cursor.at != cursor.end:
        raise DecodeError(f"{cursor.end - cursor.at} bytes after the end of {_name(as_type)}")
    return value


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint))


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


@cache
def _fields(cls: type) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(cls)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(cls))


@cache
def _writer(hint: Any) -> Writer:
    if isinstance(hint, typing.NewType):
        return _new_type_writer(hint)
    if _is_union(hint):
        return _union_writer(hint)
    if typing.get_origin(hint) is tuple:
        return _tuple_writer(typing.get_args(hint)[0])
    if dataclasses.is_dataclass(hint):
        return _dataclass_writer(typing.cast(type, hint))
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        return lambda value, out: out.append(bytes((hint(value).value,)))
    return _SCALAR_WRITERS[hint]


def _write_int(value: int, out: list[bytes]) -> None:
    try:
        out.append(_I64.pack(value))
    except struct.error as error:
        raise ValueError(f"{value!r} is not a 64-bit integer") from error


def _write_bytes(value: bytes, out: list[bytes]) -> None:
    out.append(_U32.pack(len(value)))
    out.append(value)


def _write_str(value: str, out: list[bytes]) -> None:
    _write_bytes(value.encode(), out)


def _write_bool(value: bool, out: list[bytes]) -> None:
    out.append(b"\x01" if value else b"\x00")


_SCALAR_WRITERS: dict[Any, Writer] = {
    int: _write_int,
    bytes: _write_bytes,
    str: _write_str,
    bool: _write_bool,
}


def _new_type_writer(hint: Any) -> Writer:
    size, check = _SIZES.get(hint), _CHECKS.get(hint)
    inner = None if size is not None else _writer(hint.__supertype__)

    def write(value: Any, out: list[bytes]) -> None:
        if check is not None and not check(value):
            raise ValueError(f"{value!r} is not a valid {hint.__name__}")
        if inner is not None:
            inner(value, out)
            return
        if len(value) != size:
            raise ValueError(f"{hint.__name__} has {size} bytes, not {len(value)}")
        out.append(value)

    return write


def _union_writer(hint: Any) -> Writer:
    arms = typing.get_args(hint)
    if type(None) in arms:
        (inner_hint,) = (arm for arm in arms if arm is not type(None))
        inner = _writer(inner_hint)

        def write_optional(value: Any, out: list[bytes]) -> None:
            out.append(b"\x00" if value is None else b"\x01")
            if value is not None:
                inner(value, out)

        return write_optional
    index = {arm: (bytes((at,)), _writer(arm)) for at, arm in enumerate(arms)}

    def write_union(value: Any, out: list[bytes]) -> None:
        tag, writer = index[type(value)]
        out.append(tag)
        writer(value, out)

    return write_union


def _tuple_writer(item_hint: Any) -> Writer:
    item = _writer(item_hint)

    def write(value: tuple[Any, ...], out: list[bytes]) -> None:
        out.append(_U32.pack(len(value)))
        for entry in value:
            item(entry, out)

    return write


def _dataclass_writer(cls: type) -> Writer:
    plan = [(name, _writer(hint)) for name, hint in _fields(cls)]

    def write(value: Any, out: list[bytes]) -> None:
        for name, writer in plan:
            writer(getattr(value, name), out)

    if cls not in _KEEPERS:
        return write

    def write_kept(value: Any, out: list[bytes]) -> None:
        kept = value.__dict__.get("encoded")
        if kept is None:
            write(value, out)
        else:
            out.append(kept)

    return write_kept


@cache
def _reader(hint: Any) -> Reader:
    if isinstance(hint, typing.NewType):
        return _new_type_reader(hint)
    if _is_union(hint):
        return _union_reader(hint)
    if typing.get_origin(hint) is tuple:
        return _tuple_reader(typing.get_args(hint)[0])
    if dataclasses.is_dataclass(hint):
        return _dataclass_reader(typing.cast(type, hint))
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        return _enum_reader(hint)
    return _SCALAR_READERS[hint]


def _read_int(cursor: _Cursor) -> int:
    return int(_I64.unpack(cursor.take(8))[0])


def _read_length(cursor: _Cursor) -> int:
    return int(_U32.unpack(cursor.take(4))[0])


def _read_bytes(cursor: _Cursor) -> bytes:
    return cursor.take(_read_length(cursor))


def _read_str(cursor: _Cursor) -> str:
    try:
        return _read_bytes(cursor).decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"text that is not UTF-8: {error}") from error


def _read_bool(cursor: _Cursor) -> bool:
    byte = cursor.take(1)[0]
    if byte > 1:
        raise DecodeError(f"a truth value is 0 or 1, not {byte}")
    return byte == 1


_SCALAR_READERS: dict[Any, Reader] = {
    int: _read_int,
    bytes: _read_bytes,
    str: _read_str,
    bool: _read_bool,
}


def _enum_reader(hint: type[enum.IntEnum]) -> Reader:
    known = {member.value: member for member in hint}

    def read(cursor: _Cursor) -> enum.IntEnum:
        byte = cursor.take(1)[0]
        if byte not in known:
            raise DecodeError(f"{byte} is not a {hint.__name__}")
        return known[byte]

    return read


def _new_type_reader(hint: Any) -> Reader:
    size, check = _SIZES.get(hint), _CHECKS.get(hint)
    inner: Reader = (lambda cursor: cursor.take(size)) if size is not None else _reader(hint.__supertype__)
    if check is None:
        return inner
    checked = check

    def read(cursor: _Cursor) -> Any:
        value = inner(cursor)
        if not checked(value):
            raise DecodeError(f"{value!r} is not a valid {hint.__name__}")
        return value

    return read


def _union_reader(hint: Any) -> Reader:
    arms = typing.get_args(hint)
    if type(None) in arms:
        (inner_hint,) = (arm for arm in arms if arm is not type(None))
        inner = _reader(inner_hint)
        return lambda cursor: inner(cursor) if _read_bool(cursor) else None
    readers = [_reader(arm) for arm in arms]

    def read(cursor: _Cursor) -> Any:
        tag = cursor.take(1)[0]
        if tag >= len(readers):
            raise DecodeError(f"{tag} names none of {len(readers)} kinds")
        return readers[tag](cursor)

    return read


def _tuple_reader(item_hint: Any) -> Reader:
    item = _reader(item_hint)

    def read(cursor: _Cursor) -> tuple[Any, ...]:
        count = _read_length(cursor)
        # Every item has at least one byte, so a count beyond what is left cannot be honest.
        if count > cursor.end - cursor.at:
            raise DecodeError(f"{count} items cannot fit in {cursor.end - cursor.at} bytes")
        return tuple([item(cursor) for _ in range(count)])

    return read


def _dataclass_reader(cls: type) -> Reader:
    readers = [_reader(hint) for _, hint in _fields(cls)]

    def read(cursor: _Cursor) -> Any:
        return cls(*[reader(cursor) for reader in readers])

    if cls not in _KEEPERS:
        return read

    def read_kept(cursor: _Cursor) -> Any:
        start = cursor.at
        value = read(cursor)
        value.__dict__["encoded"] = cursor.data[start : cursor.at]
        return value

    return read_kept
