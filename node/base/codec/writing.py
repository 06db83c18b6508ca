"""Makes a writer from a type hint: value to bytes.

As `dataclasses` does, it makes source: a row of fixed fields goes through one `struct` call, which is several times
faster than a call for each field.
"""

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from node.base.codec.hints import U32, Scalar, fields, item, keeps, made, optional, scalar, union

Writer = Callable[[Any, list[bytes]], None]


@cache
def writer(hint: Any) -> Writer:
    """What appends the parts of a value's byte form to a list. Raises `ValueError` for values that do not fit."""
    if (inner := optional(hint)) is not None:
        return _optional_writer(writer(inner))
    if arms := union(hint):
        return _union_writer(arms)
    if (entry := item(hint)) is not None:
        return _tuple_writer(writer(entry))
    return _plain_writer(hint)


def _optional_writer(inner: Writer) -> Writer:
    def write_optional(value: Any, out: list[bytes]) -> None:
        if value is None:
            out.append(b"\x00")
        else:
            out.append(b"\x01")
            inner(value, out)

    return write_optional


def _union_writer(arms: tuple[Any, ...]) -> Writer:
    index = {arm: (bytes((at,)), writer(arm)) for at, arm in enumerate(arms)}

    def write_union(value: Any, out: list[bytes]) -> None:
        tag, write = index[type(value)]
        out.append(tag)
        write(value, out)

    return write_union


def _tuple_writer(entry: Writer) -> Writer:
    def write_tuple(value: tuple[Any, ...], out: list[bytes]) -> None:
        out.append(U32.pack(len(value)))
        for each in value:
            entry(each, out)

    return write_tuple


def _plain_writer(hint: Any) -> Writer:
    """Of a dataclass or a scalar."""
    source = _Source()
    found = scalar(hint)
    if found is not None:
        source.take("value", "value_", found)
    else:
        for name, field_hint in fields(hint):
            source.field(name, field_hint)
    write: Writer = source.made()
    if not keeps(hint):
        return write

    def write_kept(value: Any, out: list[bytes]) -> None:
        kept = value.__dict__.get("encoded")
        if kept is None:
            write(value, out)
        else:
            out.append(kept)

    return write_kept


class _Source:
    """The source of one writer; fixed values wait in a row until something else comes."""

    def __init__(self) -> None:
        self._lines = ["def write(value, out):"]
        self._names: dict[str, Any] = {"StructError": struct.error, "misfit": _misfit, "missized": _missized}
        self._row: list[tuple[str, str]] = []

    def field(self, name: str, hint: Any) -> None:
        at = len(self._names)
        found = scalar(hint)
        if found is None:
            self._flush()
            self._names[f"write{at}"] = writer(hint)
            self._lines.append(f" write{at}(value.{name}, out)")
            return
        self.take(f"value.{name}", f"{name}_", found)

    def take(self, expression: str, value: str, found: Scalar) -> None:
        """Take what the expression gives into the row, by this local name."""
        at, lines = len(self._names), self._lines
        lines.append(f" {value} = {expression}")
        if found.check is not None:
            self._names[f"check{at}"] = found.check
            lines.append(f" if not check{at}({value}): raise misfit({found.name!r}, {value})")
        if found.size is not None:
            lines.append(f" if len({value}) != {found.size}: raise missized({found.name!r}, {found.size}, {value})")
        elif found.kind in (bytes, str):
            if found.kind is str:
                lines.append(f" {value} = {value}.encode()")
            self._row.append(("I", f"len({value})"))
            self._flush()
            self._lines.append(f" out.append({value})")
            return
        elif found.kind is bool:
            lines.append(f" {value} = 1 if {value} else 0")
        elif found.kind is not None:
            self._names[f"kind{at}"] = found.kind
            lines.append(f" {value} = kind{at}({value}).value")
        self._row.append((found.letter, value))

    def made(self) -> Any:
        self._flush()
        self._lines.append(" return None")
        return made("write", self._lines, self._names)

    def _flush(self) -> None:
        if not self._row:
            return
        at, values = len(self._names), ", ".join(value for _, value in self._row)
        self._names[f"pack{at}"] = struct.Struct(">" + "".join(letter for letter, _ in self._row)).pack
        self._lines += [
            " try:",
            f"  out.append(pack{at}({values}))",
            " except StructError as error:",
            f"  raise misfit('64-bit integer', ({values},)) from error",
        ]
        self._row = []


def _misfit(name: str, value: Any) -> ValueError:
    return ValueError(f"{value!r} is not a valid {name}")


def _missized(name: str, size: int, value: Any) -> ValueError:
    return ValueError(f"{name} has {size} bytes, not {len(value)}")
