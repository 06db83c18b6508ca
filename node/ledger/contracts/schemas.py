"""Schemas: what the columns of a data set are, so that organisations mean the same by the same name.

A schema is called `owner/name/number`. A version never changes and never goes; a change is a new number. All members
see every word of it for ever, so ranges and categories are what makes sense for everybody, not what one owner's rows
hold. Whether rows fit is for their owner to find out, at home (`lepton data check`).

=================================  ===============================
key                                value
=================================  ===============================
``schema/<owner>/<name>/<number>``  `Schema`, number of eight digits
``newest/<owner>/<name>``           `Newest`: the highest number
=================================  ===============================

Refusals: bad-name, bad-schema, already-registered.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from node.base.codec import decode, encode
from node.base.types import OrgId, is_data_name
from node.ledger.contracts.contract import Context, Contract, Method, Rejected, View, is_text

NAME = "schemas"
TYPES = ("boolean", "integer", "number", "text", "date", "time")
"""`integer` fits 64 bits; `number` is a float64; `date` is 2013-01-31, `time` a date with a time of day."""
RANGED = ("integer", "number")

COLUMNS_MAX = 512
CATEGORIES_MAX = 1_024
"""Of one column."""
WORDS_MAX = 500
"""Characters of a meaning."""
NAME_CHARACTERS_MAX = 128
"""Of a column's name, unit or category."""
NUMBER_MAX = 99_999_999
"""Versions of one schema: as many as its keys have digits for."""

# [0-9] and not \d: the latter's meaning follows Python's version of Unicode.
_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,62})/([a-z0-9][a-z0-9._-]{0,62})/([1-9][0-9]{0,7})\Z")
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?\Z")


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """What one column is."""

    name: str
    type: str
    """One of `TYPES`."""
    unit: str
    """As people write it, `mg/dl`; empty where there is none."""
    least: str | None
    """The lowest value allowed, in decimal digits: the ledger has no floating point. For `RANGED` types only."""
    most: str | None
    categories: tuple[str, ...]
    """The only values allowed, as text; empty for any. For `text` and `integer` only."""
    meaning: str
    required: bool
    """Whether a data set must have the column."""
    nullable: bool
    """Whether values may be missing."""


@dataclass(frozen=True, slots=True)
class Register:
    """`register`: the caller's schema of this name is this from now on, under the next number."""

    name: str
    about: str
    columns: tuple[SchemaColumn, ...]


@dataclass(frozen=True, slots=True)
class Registered:
    """The body of the event `registered`."""

    reference: str
    """`owner/name/number`."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of a schema."""

    owner: OrgId
    name: str
    number: int
    """Counts up from 1."""
    about: str
    columns: tuple[SchemaColumn, ...]
    registered_ms: int

    @property
    def reference(self) -> str:
        """`owner/name/number`."""
        return f"{self.owner}/{self.name}/{self.number}"


@dataclass(frozen=True, slots=True)
class Newest:
    """The highest number of a schema."""

    number: int


def schema(schemas: View, reference: str) -> Schema | None:
    """The schema called `owner/name/number`; None for one that is not registered, or no such name."""
    parts = _REFERENCE.match(reference)
    return None if parts is None else schemas.load(Schema, _key(parts[1], parts[2], int(parts[3])))


def newest(schemas: View, name: str) -> Schema | None:
    """The newest version of the schema called `owner/name`."""
    found = schemas.load(Newest, f"newest/{name}")
    return None if found is None else schema(schemas, f"{name}/{found.number}")


def registered(schemas: View) -> Iterator[Schema]:
    """All versions of all schemas, by owner, name and number."""
    for _, value in schemas.scan("schema/"):
        yield decode(Schema, value)


def fault(name: str, about: str, columns: tuple[SchemaColumn, ...]) -> str | None:
    """What keeps this from being a schema, in words; None where nothing does. A command asks before it publishes."""
    if not is_data_name(name):
        return "A schema's name is 1 to 63 of a-z, 0-9, '.', '-' and '_'."
    if not is_text(about, WORDS_MAX):
        return f"What a schema is about is said in one line of at most {WORDS_MAX} characters."
    if not 0 < len(columns) <= COLUMNS_MAX or len({column.name for column in columns}) < len(columns):
        return f"A schema has 1 to {COLUMNS_MAX} columns, each of another name."
    faults = (_column_fault(column) for column in columns)
    return next((f"Column {at}: {words}" for at, words in enumerate(faults, start=1) if words), None)


def _column_fault(column: SchemaColumn) -> str | None:
    named = (column.name, *column.categories)
    if not all(text and is_text(text, NAME_CHARACTERS_MAX) for text in named):
        return f"names and categories are one line of 1 to {NAME_CHARACTERS_MAX} characters."
    if not is_text(column.unit, NAME_CHARACTERS_MAX):
        return f"a unit is one line of at most {NAME_CHARACTERS_MAX} characters."
    if not is_text(column.meaning, WORDS_MAX):
        return f"a meaning is one line of at most {WORDS_MAX} characters."
    if column.type not in TYPES:
        return f"a type is one of {', '.join(TYPES)}."
    return _range_fault(column) or _categories_fault(column)


def _range_fault(column: SchemaColumn) -> str | None:
    bounds = [bound for bound in (column.least, column.most) if bound is not None]
    if bounds and column.type not in RANGED:
        return f"a range belongs to the types {' and '.join(RANGED)} only."
    form = _INTEGER if column.type == "integer" else _NUMBER
    if any(form.match(bound) is None for bound in bounds):
        return "a range's ends are decimal digits, with a sign or a point where needed; whole for an integer."
    if len(bounds) == 2 and Decimal(bounds[0]) > Decimal(bounds[1]):
        return "a range's lower end is not above its upper end."
    return None


def _categories_fault(column: SchemaColumn) -> str | None:
    if column.categories and column.type not in ("text", "integer"):
        return "categories belong to the types text and integer only."
    if len(column.categories) > CATEGORIES_MAX or len(set(column.categories)) < len(column.categories):
        return f"a column has at most {CATEGORIES_MAX} categories, each named once."
    if column.type == "integer" and any(_INTEGER.match(category) is None for category in column.categories):
        return "the categories of an integer are decimal digits."
    return None


def _register(context: Context, call: Register) -> None:
    if words := fault(call.name, call.about, call.columns):
        raise Rejected("bad-name" if not is_data_name(call.name) else "bad-schema", words)
    name = f"{context.org}/{call.name}"
    known = newest(context, name)
    if known is not None and (known.about, known.columns) == (call.about, call.columns):
        raise Rejected("already-registered", "The newest version of this schema says the very same.")
    number = 1 if known is None else known.number + 1
    if number > NUMBER_MAX:
        raise Rejected("bad-schema", "This schema has no numbers left; choose another name.")
    made = Schema(context.org, call.name, number, call.about, call.columns, context.time_ms)
    context.store(_key(context.org, call.name, number), made)
    context.store(f"newest/{name}", Newest(number))
    context.emit("registered", encode(Registered(made.reference)))


def _key(owner: str, name: str, number: int) -> str:
    return f"schema/{owner}/{name}/{number:08}"


SCHEMAS = Contract(NAME, {"register": Method(Register, _register)})
