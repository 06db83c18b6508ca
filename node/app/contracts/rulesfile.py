"""The file in which an organisation writes its contract: TOML, read and checked before anything leaves the machine.

::

    name = "patients-access"
    data = ["patients"]                       # your own data sets that it decides over

    [dates]                                   # moments that the conditions call dates.<name>
    opening = 2027-01-01T00:00:00Z

    [[rule]]                                  # the first whose condition is true decides
    when = 'requester == "north" && now_ms >= dates.opening'
    then = "allow"

    [otherwise]                               # when none is
    then = "refuse"                           # or "error": the request should not have been made like this
    words = "Ask north."                      # what the asker is told

    [[case]]                                  # an example; stays on this machine
    name = "north asks in time"
    requester = "north"
    now = 2027-03-01T00:00:00Z
    expect = "allow"
    line = 1                                  # which rule must decide; 0 is the default
"""

import datetime
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from node.app.contracts.errors import RulesFileError
from node.app.contracts.places import Spot, spot_of
from node.base.expressions import ExpressionError
from node.ledger.contracts.rules import (
    BrokenRules,
    Compiled,
    Date,
    Line,
    Otherwise,
    Outcome,
    RuleSet,
    compile_rules,
)
from node.ledger.contracts.rules.compiled import condition_language

FILE_BYTES_MAX = 256 << 10
_TOML_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong in a file."""

    code: str
    words: str
    rule: int = 0
    """Which one, from 1; 0 for none."""
    spot: Spot | None = None


def _milliseconds(value: Any) -> Any:
    """A TOML moment; one without a zone is UTC, a day is its beginning."""
    match value:
        case datetime.datetime():
            moment = value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
        case datetime.date():
            moment = datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
        case _:
            raise ValueError("it is no date: write it without quotes, as 2027-01-31 or 2027-01-31T12:00:00Z")
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(milliseconds=1)


Moment = Annotated[int, BeforeValidator(_milliseconds)]
Says = Literal["allow", "refuse", "error"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RulePart(_Part):
    """`[[rule]]`."""

    when: str
    then: Says
    words: str = ""


class OtherwisePart(_Part):
    """`[otherwise]`."""

    then: Says
    words: str = ""


class AgreementPart(_Part):
    """A case's agreement."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = "00" * 32
    title: str = ""
    parties: list[str] = []
    purposes: list[str] = []
    operations: list[str] = []
    in_force: bool = True
    expires: Moment = 4_102_444_800_000


class DataPart(_Part):
    """What a case says of the data set."""

    name: str | None = None
    kind: str = "csv"
    label: str = ""
    purpose: str = ""
    schema_: str = Field(default="", alias="schema")
    version: int = 1


class CountsPart(_Part):
    """What came before a case."""

    granted: int = 0
    fetched: int = 0
    granted_all: int = 0
    fetched_all: int = 0


class CasePart(_Part):
    """`[[case]]`."""

    name: str
    requester: str
    expect: Says
    line: int | None = None
    purpose: str = ""
    operation: str = "train"
    now: Moment = 1_767_225_600_000
    agreement: AgreementPart | None = None
    data: DataPart = Field(default_factory=lambda: DataPart.model_validate({}))
    counts: CountsPart = CountsPart()


class _File(_Part):
    name: str
    data: list[str]
    dates: dict[str, Moment] = {}
    rule: list[RulePart] = []
    otherwise: OtherwisePart
    case: list[CasePart] = []


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A file that could be read. Whether its conditions hold is `check_rules`'s word."""

    path: Path
    source: str
    rules: RuleSet
    cases: tuple[CasePart, ...]


def read_rules(path: Path) -> RulesFile:
    """Raises `RulesFileError`, `OSError`."""
    if path.stat().st_size > FILE_BYTES_MAX:
        raise RulesFileError(f"{path} has more than {FILE_BYTES_MAX >> 10} KiB: that is no contract")
    try:
        source = path.read_text("utf-8")
        found = _File.model_validate(tomllib.loads(source))
    except UnicodeDecodeError as error:
        raise RulesFileError(f"{path} is no text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise RulesFileError(f"{_pointed(path, str(error))}: this is no TOML") from error
    except ValidationError as error:
        raise RulesFileError("\n".join(f"{path}: {line}" for line in _said(error))) from error
    return RulesFile(path, source, _rule_set(found), tuple(found.case))


def check_rules(file: RulesFile) -> tuple[Compiled | None, Sequence[Trouble]]:
    """The contract ready to decide, or everything that is wrong in it."""
    troubles = _condition_troubles(file)
    if troubles:
        return None, troubles
    try:
        compiled = compile_rules(file.rules)
    except BrokenRules as broken:
        return None, [Trouble(broken.code, broken.reason, broken.line)]
    long = [one for one in file.cases if one.line is not None and not 0 <= one.line <= len(file.rules.lines)]
    return compiled, [
        Trouble("bad-case", f"case {one.name!r} expects line {one.line}, which is not there") for one in long
    ]


def _condition_troubles(file: RulesFile) -> list[Trouble]:
    """Of every condition, not of the first only: who writes mends them together."""
    language = condition_language(tuple(date.name for date in file.rules.dates))
    troubles = []
    for number, line in enumerate(file.rules.lines, start=1):
        try:
            language.compile(line.when)
        except ExpressionError as error:
            spot = spot_of(file.source, number, line.when, error.place)
            troubles.append(Trouble(f"rule-{error.reason.value}", error.words, number, spot))
    return troubles


def _rule_set(found: _File) -> RuleSet:
    return RuleSet(
        name=found.name,
        data=tuple(sorted(found.data)),
        dates=tuple(Date(name, found.dates[name]) for name in sorted(found.dates)),
        lines=tuple(Line(rule.when, _OUTCOMES[rule.then], rule.words) for rule in found.rule),
        otherwise=Otherwise(_OUTCOMES[found.otherwise.then], found.otherwise.words),
    )


_OUTCOMES: Mapping[str, Outcome] = {outcome.name.lower(): outcome for outcome in Outcome}


def _pointed(path: Path, said: str) -> str:
    found = _TOML_PLACE.search(said)
    return f"{path}: {said}" if found is None else f"{path}:{found[1]}:{found[2]}: {said[: found.start()].strip()}"


def _said(error: ValidationError) -> list[str]:
    lines = []
    for one in error.errors():
        # `rule.2.when` for people: they count from 1.
        where = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in one["loc"])
        words = "there is no such key here" if one["type"] == "extra_forbidden" else one["msg"]
        lines.append(f"{where}: {words}")
    return lines
