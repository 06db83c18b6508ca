"""Conversions that an operator declares in a file, and what they do to a batch of rows.

```toml
drop = ["patient_id"]                  # columns that stay at home

[constant]                             # new columns, the same value in every row
hospital = "budapest"

[column.chol]
missing = [0, "?"]                     # values that stand for a gap
unit = { factor = 38.67, decimals = 1, from = "mmol/l", to = "mg/dl" }    # value * factor + offset, rounded
rename = "cholesterol_mg_dl"

[column.sex]
map = { m = "Male", f = "Female" }     # value by value
otherwise = "missing"                  # of values that are not named: "refuse" (the default), "keep" or "missing"

[column.smoker]
type = "boolean"                       # boolean, integer, number, text, date or time
```

A column's steps are done in this order: missing, map, unit, type, rename. Columns that are not named stay as they are.
Factors and offsets are the operator's own: no table of units knows that cholesterol's mmol is 38.67 mg.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.edge.tables.errors import TableError
from node.edge.tables.fitting import Misfit, shown_value
from node.edge.tables.reading import COLUMNS_MAX, Batch
from node.edge.tables.typed import as_text, plain, typed

CONVERSIONS_BYTES_MAX = 1 << 20
VALUES_MAX = 10_000
"""Values named by one map or list."""

Scalar = bool | int | float | str
Type = Literal["boolean", "integer", "number", "text", "date", "time"]


class Part(BaseModel):
    """A part of the file: strict in its types, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class Unit(Part):
    """Another unit: value * factor + offset."""

    factor: float | int = 1
    offset: float | int = 0
    decimals: Annotated[int, Field(ge=0, le=15)] | None = None
    """Digits kept behind the point; all where not given."""
    from_: str = Field(default="", alias="from")
    to: str = ""


class Conversion(Part):
    """What is done to one column."""

    missing: tuple[Scalar, ...] = Field(default=(), max_length=VALUES_MAX, strict=False)
    map: Mapping[str, Scalar] = Field(default={}, max_length=VALUES_MAX)
    otherwise: Literal["refuse", "keep", "missing"] = "refuse"
    unit: Unit | None = None
    type: Type | None = None
    rename: str | None = Field(default=None, min_length=1)


class Conversions(Part):
    """The whole file."""

    drop: tuple[str, ...] = Field(default=(), strict=False)
    constant: Mapping[str, Scalar] = {}
    column: Mapping[str, Conversion] = {}


@dataclass(frozen=True, slots=True)
class Converted:
    """A batch after its conversions."""

    cells: Any
    """`pyarrow.RecordBatch`."""
    refused: tuple[Misfit, ...]
    """Values that could not be converted; they are missing in `cells`."""


def read_conversions(text: str) -> Conversions:
    """The file's content. Raises `TableError`, which says which part is wrong."""
    if len(text) > CONVERSIONS_BYTES_MAX:
        raise TableError(f"conversions have at most {CONVERSIONS_BYTES_MAX} characters")
    try:
        return Conversions.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"the conversions are no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TableError(f"the conversions are wrong at {place}: {first['msg']}") from error


class Converter:
    """Conversions fitted to one table's columns."""

    def __init__(self, conversions: Conversions, names: Sequence[str], types: Mapping[str, str]) -> None:
        """`types` are those that a schema gives to the new names; a type that is declared counts before them.

        Raises `TableError` where a column is not there, or two would have one name.
        """
        absent = sorted({*conversions.drop, *conversions.column} - set(names))
        if absent:
            raise TableError(f"the table has no column {', '.join(map(repr, absent))}; it has {', '.join(names)}")
        both = sorted(set(conversions.drop) & set(conversions.column))
        if both:
            raise TableError(f"{', '.join(map(repr, both))} cannot be dropped and converted")
        self._constant = dict(conversions.constant)
        self._steps = {
            name: conversions.column.get(name, Conversion()) for name in names if name not in conversions.drop
        }
        self.kept = {name: step.rename or name for name, step in self._steps.items()}
        """Old names of the columns that stay, and their new ones."""
        self.names = (*self.kept.values(), *self._constant)
        """Of the columns that come out."""
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice or not 0 < len(self.names) <= COLUMNS_MAX:
            raise TableError(f"1 to {COLUMNS_MAX} columns must come out, each of another name: {', '.join(twice)}")
        self._types = {name: step.type or types.get(self.kept[name]) for name, step in self._steps.items()}
        self._constant_types = {name: types.get(name) for name in self._constant}
        self.touched = {name: self.kept[name] for name, step in self._steps.items() if step != Conversion()}
        """Those of `kept` for which something is declared."""

    def convert(self, batch: Batch) -> Converted:
        """The batch after its conversions."""
        columns: dict[str, Any] = {}
        refused: list[Misfit] = []
        for name, cells in zip(batch.cells.schema.names, batch.cells.columns, strict=True):
            if name in self._steps:
                original = plain(cells)
                columns[self.kept[name]], faults = _converted(self._steps[name], self._types[name], original)
                for rule, words, wrong in faults:
                    refused += [
                        Misfit(int(batch.rows[at]), name, rule, shown_value(original[at].as_py()), words)
                        for at in pc.indices_nonzero(wrong).to_pylist()
                    ]
        for name, value in self._constant.items():
            columns[name] = _constant(name, value, self._constant_types[name], batch.cells.num_rows)
        return Converted(pa.RecordBatch.from_pydict(columns), tuple(refused))


def _constant(name: str, value: Scalar, kind: str | None, count: int) -> Any:
    cells = pa.array([value] * count, None if count else pa.string())
    if kind is None:
        return cells
    values, wrong = typed(kind, cells)
    if pc.any(wrong).as_py():
        raise TableError(f"the constant {name} is not of the type {kind}, which the schema wants")
    return values


_Faults = list[tuple[str, str, Any]]


def _converted(step: Conversion, kind: str | None, cells: Any) -> tuple[Any, _Faults]:
    faults: _Faults = []
    if step.missing:
        cells = _replaced(cells, _gap(step.missing))[0]
    if step.map:
        cells, unknown = _replaced(cells, partial(_mapped, _by_text(step.map), step.otherwise), as_texts=True)
        faults.append(("map", 'a value that the map does not name; say what is meant with otherwise = "…"', unknown))
    if step.unit is not None:
        numbers, wrong = typed("number", cells)
        faults.append(("unit", "no number", wrong))
        cells = _in_unit(step.unit, numbers)
    if kind is not None:
        cells, wrong = typed(kind, cells)
        faults.append(("type", f"not of the type {kind}", wrong))
    return cells, [fault for fault in faults if pc.any(fault[2]).as_py()]


def _in_unit(unit: Unit, numbers: Any) -> Any:
    values = pc.add(pc.multiply(numbers, float(unit.factor)), float(unit.offset))
    return values if unit.decimals is None else pc.round(values, unit.decimals)


def _replaced(cells: Any, new: Callable[[str], tuple[str | None, bool]], *, as_texts: bool = False) -> tuple[Any, Any]:
    """Cells with `new` applied to each different value's text: (text or None for a gap, whether it is refused)."""
    packed = as_text(cells).dictionary_encode()
    found = [new(value) for value in packed.dictionary.to_pylist()]
    refused = pa.array([bad for _, bad in found], pa.bool_()).take(packed.indices)
    if as_texts:
        values = pa.array([value for value, _ in found], pa.string()).take(packed.indices)
    else:
        gone = pa.array([value is None for value, _ in found], pa.bool_()).take(packed.indices)
        values = pc.if_else(pc.fill_null(gone, True), pa.scalar(None, cells.type), cells)
    return values, pc.fill_null(refused, False)


def _gap(missing: Sequence[Scalar]) -> Callable[[str], tuple[str | None, bool]]:
    known = {_key(value) for value in missing}
    return lambda value: (None if _key(value) in known else value, False)


def _by_text(values: Mapping[str, Scalar]) -> dict[str, str]:
    return {_key(old): new if isinstance(new, str) else _text(new) for old, new in values.items()}


def _mapped(values: Mapping[str, str], otherwise: str, value: str) -> tuple[str | None, bool]:
    new = values.get(_key(value))
    if new is not None:
        return new, False
    return (value if otherwise == "keep" else None), otherwise == "refuse"


def _key(value: Scalar) -> str:
    """What two writings of one value share: 0, 0.0 and "0" are the same, and so are true and "True"."""
    text = value if isinstance(value, str) else _text(value)
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        return repr(float(text)) if text.isascii() and text.strip() == text else text
    except ValueError:
        return text


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
