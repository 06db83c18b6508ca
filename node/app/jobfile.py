"""The job file that an operator proposes: JSON with `name`, `rounds` and `recipe`, turned into the ledger's terms."""

import json
from pathlib import Path
from typing import Any

from node.base.errors import ExplainedError
from node.base.types import OrgId, is_org_id
from node.edge.learning.recipe import parse_recipe
from node.ledger.contracts.training import JobTerms

CONTRIBUTORS_MIN = 2
"""Where nobody says otherwise, half of the participants must contribute, and two where there are two."""


class JobFileError(ExplainedError):
    """A job file that cannot be proposed; the text says what to mend."""


def terms_from_file(
    file: Path, *, rounds: int | None, participants: list[str], minimum: int | None, count: int, deadline_ms: int
) -> JobTerms:
    """The terms of the job that `file` describes, for `count` participants. Raises `JobFileError`, `LearnerError`."""
    try:
        described = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise JobFileError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(described, dict) or not {"name", "rounds", "recipe"} <= described.keys():
        raise JobFileError(f"{file} must be a JSON object with `name`, `rounds` and `recipe`")
    strangers = [org for org in participants if not is_org_id(org)]
    if strangers:
        raise JobFileError(f"{strangers[0]!r} is no organisation's name")
    recipe = json.dumps(described["recipe"], sort_keys=True, separators=(",", ":")).encode()
    parse_recipe(recipe)
    return JobTerms(
        name=str(described["name"]),
        participants=tuple(sorted(OrgId(org) for org in participants)),
        rounds=rounds if rounds is not None else int(described["rounds"]),
        minimum=minimum if minimum is not None else max(min(count, CONTRIBUTORS_MIN), count // 2),
        recipe=recipe,
        progress_deadline_ms=deadline_ms,
    )


def shown_recipe(recipe: bytes) -> Any:
    """The recipe as JSON; None for bytes that are none, which any member may propose: the list is read all the same."""
    try:
        return json.loads(recipe)
    except (ValueError, RecursionError):
        return None
