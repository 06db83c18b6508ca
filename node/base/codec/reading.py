"""Makes a reader from a type hint: bytes to value. Every read is held against the end; made as the writers are."""

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from node.base.codec.hints import U32, DecodeError, Scalar, fields, item, keeps, made, optional, scalar, union

Reader = Callable[[bytes, int], tuple[Any, int]]


@cache
def reader(hint: Any) -> Reader:
    """What reads a value at an offset; returns it and the offset behind it. Raises `DecodeError`."""
    if (inner := optional(hint)) is not None:
        return _optional_reader(reader(inner))
    if arms := union(hint):
        return _union_reader(tuple(reader(arm) for arm in arms))
    if (entry := item(hint)) is not None:
        return _tuple_reader(reader(entry))
    return _plain_reader(hint)


def _optional_reader(inner: Reader) -> Reader:
    def read_optional(data: bytes, at: int) -> tuple[Any, int]:
        if at >= len(data):
            raise _short(data, at, 1)
        flag = data[at]
        if flag > 1:
            raise _untrue(flag)
        return inner(data, at + 1) if flag else (None, at + 1)

    return read_optional


def _union_reader(arms: tuple[Reader, ...]) -> Reader:
    count = len(arms)

    def read_union(data: bytes, at: int) -> tuple[Any, int]:
        if at >= len(data):
            raise _short(data, at, 1)
        tag = data[at]
        if tag >= count:
            raise DecodeError(f"{tag} names none of {count} kinds")
        return arms[tag](data, at + 1)

    return read_union


def _tuple_reader(entry: Reader) -> Reader:
    unpack = U32.unpack_from

    def read_tuple(data: bytes, at: int) -> tuple[Any, int]:
        left = len(data) - at - 4
        if left < 0:
            raise _short(data, at, 4)
        (count,) = unpack(data, at)
        # Every item has at least one byte, so a count beyond what is left cannot be honest.
        if count > left:
            raise DecodeError(f"{count} items cannot fit in {left} bytes")
        at += 4
        items = []
        for _ in range(count):
            value, at = entry(data, at)
            items.append(value)
        return tuple(items), at

    return read_tuple


def _plain_reader(hint: Any) -> Reader:
    """Of a dataclass or a scalar."""
    source = _Source()
    found = scalar(hint)
    if found is not None:
        source.scalar("value_", found)
        result = "value_"
    else:
        for name, field_hint in fields(hint):
            source.field(name, field_hint)
        source.names["cls"] = hint
        result = f"cls({', '.join(f'{name}_' for name, _ in fields(hint))})"
    read: Reader = source.made(result)
    if not keeps(hint):
        return read

    def read_kept(data: bytes, at: int) -> tuple[Any, int]:
        value, stop = read(data, at)
        value.__dict__["encoded"] = data[at:stop]
        return value, stop

    return read_kept


class _Source:
    """The source of one reader; fixed values wait in a row until something else comes, their checks behind them."""

    def __init__(self) -> None:
        self._lines = ["def read(data, at):"]
        self.names: dict[str, Any] = {
            "StructError": struct.error,
            "DecodeError": DecodeError,
            "short": _short,
            "misfit": _misfit,
            "untrue": _untrue,
            "not_text": _not_text,
        }
        self._row: list[tuple[str, str]] = []
        self._checks: list[str] = []

    def field(self, name: str, hint: Any) -> None:
        found = scalar(hint)
        if found is not None:
            self.scalar(f"{name}_", found)
            return
        self._flush()
        at = len(self.names)
        self.names[f"read{at}"] = reader(hint)
        self._lines.append(f" {name}_, at = read{at}(data, at)")

    def scalar(self, value: str, found: Scalar) -> None:
        """Read into this local name."""
        self._row.append((found.letter, value))
        at = len(self.names)
        if found.kind is bool:
            self._checks += [f" if {value} > 1: raise untrue({value})", f" {value} = {value} == 1"]
        elif found.kind in (bytes, str):
            self._flush()
            self._lines += [
                f" stop = at + {value}",
                f" if stop > len(data): raise short(data, at, {value})",
                f" {value} = data[at:stop]",
                " at = stop",
            ]
            if found.kind is str:
                self._lines += [
                    f" try: {value} = {value}.decode()",
                    " except UnicodeDecodeError as error: raise not_text(error) from error",
                ]
        elif found.kind is not None:
            self.names[f"known{at}"] = {member.value: member for member in found.kind}  # type: ignore[attr-defined]
            self._checks += [
                f" if {value} not in known{at}: raise misfit({found.name!r}, {value})",
                f" {value} = known{at}[{value}]",
            ]
        if found.check is not None:
            self.names[f"check{at}"] = found.check
            self._checks.append(f" if not check{at}({value}): raise misfit({found.name!r}, {value})")

    def made(self, result: str) -> Any:
        self._flush()
        return made("read", [*self._lines, f" return {result}, at"], self.names)

    def _flush(self) -> None:
        if self._row:
            row, at = struct.Struct(">" + "".join(letter for letter, _ in self._row)), len(self.names)
            self.names[f"unpack{at}"] = row.unpack_from
            self._lines += [
                f" try: {', '.join(value for _, value in self._row)}, = unpack{at}(data, at)",
                f" except StructError: raise short(data, at, {row.size}) from None",
                f" at += {row.size}",
            ]
        self._lines += self._checks
        self._row, self._checks = [], []


def _short(data: bytes, at: int, count: int) -> DecodeError:
    return DecodeError(f"{count} bytes expected at offset {at}, {len(data) - at} left")


def _misfit(name: str, value: Any) -> DecodeError:
    return DecodeError(f"{value!r} is not a valid {name}")


def _untrue(byte: int) -> DecodeError:
    return DecodeError(f"a truth value is 0 or 1, not {byte}")


def _not_text(error: UnicodeDecodeError) -> DecodeError:
    return DecodeError(f"text that is not UTF-8: {error}")
