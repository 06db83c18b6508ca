"""The schema file that an operator writes: TOML, turned into what the ledger registers; and its first draft."""

import json
import tomllib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.base.errors import ExplainedError
from node.ledger.contracts.schemas import TYPES, Register, SchemaColumn, fault

if TYPE_CHECKING:
    from node.edge.tables import DraftColumn

FILE_BYTES_MAX = 1 << 20
RARE_ROWS = 5
"""A category of fewer rows may tell of single persons: a draft leaves it to its operator to name it."""

Bound = int | Decimal
_HEAD = """\
# A draft from {source}: read every line before you register it. All members see it for ever, so a range and a
# category say what makes sense for everybody, not what your rows hold. Types: {types}.
name = {name}
about = ""
"""


class SchemaFileError(ExplainedError):
    """A schema file that cannot be registered; the text says what to mend."""


class Part(BaseModel):
    """A part of the file: strict in its types, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileColumn(Part):
    """One `[[column]]`."""

    name: str
    type: str
    unit: str = ""
    least: Bound | None = None
    most: Bound | None = None
    categories: Annotated[tuple[str | int, ...], Field(strict=False)] = ()
    meaning: str = ""
    required: bool = True
    nullable: bool = False


class SchemaFile(Part):
    """The whole file."""

    name: str
    about: str = ""
    column: Annotated[tuple[FileColumn, ...], Field(strict=False)]


def read_schema_file(path: Path) -> Register:
    """The schema in the file, as the ledger would take it. Raises `SchemaFileError`."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SchemaFileError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise SchemaFileError(f"{path} has more than {FILE_BYTES_MAX} bytes: it is no schema")
    try:
        # Decimal keeps 0.1 as it is written.
        found = SchemaFile.model_validate(tomllib.loads(content.decode(), parse_float=Decimal))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SchemaFileError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SchemaFileError(f"{path}, {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    schema = Register(found.name, found.about, tuple(_column(column) for column in found.column))
    if words := fault(schema.name, schema.about, schema.columns):
        raise SchemaFileError(f"{path}: {words}")
    return schema


def draft_text(source: str, columns: "Sequence[DraftColumn]", name: str) -> str:
    """A schema file to be edited, from what was seen of the columns."""
    head = _HEAD.format(source=source, types=", ".join(TYPES), name=_quoted(name))
    return head + "".join(f"\n{_draft_column(column)}" for column in columns)


def rare_categories(column: "DraftColumn") -> tuple[str, ...]:
    """What a draft names in a comment only."""
    return tuple(category for category in column.categories if column.rows_of(category) < RARE_ROWS)


def _column(column: FileColumn) -> SchemaColumn:
    return SchemaColumn(
        name=column.name,
        type=column.type,
        unit=column.unit,
        least=_decimal(column.least),
        most=_decimal(column.most),
        categories=tuple(str(category) for category in column.categories),
        meaning=column.meaning,
        required=column.required,
        nullable=column.nullable,
    )


def _decimal(bound: Bound | None) -> str | None:
    # `f` never writes an exponent, which the ledger does not take.
    return None if bound is None else f"{bound:f}" if isinstance(bound, Decimal) else str(bound)


def _draft_column(column: "DraftColumn") -> str:
    lines = [
        "[[column]]",
        f"name = {_quoted(column.name)}",
        f"type = {_quoted(column.type)}",
        'unit = ""',
        'meaning = ""',
        "required = true",
        f"nullable = {'true' if column.missing else 'false'}"
        + (f"    # {column.missing:,} of {column.values + column.missing:,} are missing" if column.missing else ""),
    ]
    if column.least is not None and not column.categories:
        lines += [f"# seen here: {column.least} to {column.most}", "# least = 0", "# most = 0"]
    if column.categories:
        rare = rare_categories(column)
        common = [category for category in column.categories if category not in rare]
        lines.append(f"categories = [{', '.join(map(_quoted, common))}]")
        if rare:
            lines.append(
                f"# in fewer than {RARE_ROWS} rows here; add what is no secret: {', '.join(map(_quoted, rare))}"
            )
    return "\n".join(lines) + "\n"


def _quoted(text: Any) -> str:
    # JSON's strings are TOML's basic strings, but for a character that TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
