"""Where a rule's condition stands in its TOML file, so that a message can point at line and column."""

import re
from dataclasses import dataclass

from node.base.expressions import Place

_RULE = re.compile(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", re.MULTILINE)
_WHEN = re.compile(r"^[ \t]*when[ \t]*=[ \t]*", re.MULTILINE)
_QUOTES_MAX = 5
"""Three quotes and a line's end stand between the key and a text over several lines."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a file: line and column from 1, and the line's text."""

    line: int
    column: int
    text: str


def spot_of(source: str, rule: int, when: str, place: Place | None) -> Spot | None:
    """Where in `source` the place inside the condition of rule number `rule` (from 1) is; None where it is not found.

    A text with escapes stands otherwise in the file than it reads: then the condition's beginning.
    """
    heads = list(_RULE.finditer(source))
    if rule > len(heads):
        return None
    end = heads[rule].start() if rule < len(heads) else len(source)
    key = _WHEN.search(source, heads[rule - 1].end(), end)
    if key is None:
        return None
    start = source.find(when, key.end(), end) if when else -1
    if not 0 <= start <= key.end() + _QUOTES_MAX or place is None:
        return _spot(source, key.end())
    before = "".join(when.splitlines(keepends=True)[: place.line - 1])
    return _spot(source, start + len(before) + place.column - 1)


def spot_at(source: str, line: int, column: int) -> Spot:
    """A place that is known by line and column."""
    lines = source.splitlines()
    return Spot(line, column, lines[line - 1] if line <= len(lines) else "")


def _spot(source: str, offset: int) -> Spot:
    before = source[: min(offset, len(source))]
    line = before.count("\n") + 1
    return spot_at(source, line, len(before) - before.rfind("\n"))
