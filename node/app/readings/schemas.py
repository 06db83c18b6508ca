"""What the operator sees of schemas: all by name, or one with its columns."""

from dataclasses import asdict
from itertools import islice
from typing import Any

from node.api import OperatorRefusal
from node.base.ports import StateReader
from node.ledger.contracts import schemas
from node.ledger.contracts.contract import view

LISTED_MAX = 10_000


def read_schemas(state: StateReader, owner: str | None = None) -> list[dict[str, Any]]:
    """Versions of schemas without their columns, by name and number; the first `LISTED_MAX`."""
    found = (made for made in schemas.registered(view(state, schemas.NAME)) if owner in (None, made.owner))
    return [
        {
            "schema": made.reference,
            "about": made.about,
            "columns": len(made.columns),
            "registered_ms": made.registered_ms,
        }
        for made in islice(found, LISTED_MAX)
    ]


def read_schema(state: StateReader, schema: str) -> dict[str, Any]:
    """One version with its columns; `owner/name` is the newest. Raises `OperatorRefusal`."""
    held = view(state, schemas.NAME)
    found = schemas.newest(held, schema) if schema.count("/") == 1 else schemas.schema(held, schema)
    if found is None:
        raise OperatorRefusal(
            f"no schema {schema!r} is registered; its form is owner/name or owner/name/number: lepton schema list"
        )
    return {
        "schema": found.reference,
        "about": found.about,
        "registered_ms": found.registered_ms,
        "columns": [asdict(column) for column in found.columns],
    }
