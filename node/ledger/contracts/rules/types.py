"""What the rules contract is asked and what it keeps."""

import enum
from dataclasses import dataclass

from node.base.codec import encode
from node.base.crypto import digest
from node.base.types import Digest, Height, OrgId


class Outcome(enum.IntEnum):
    """What a line says when its condition is true."""

    ALLOW = 1
    REFUSE = 2
    ERROR = 3
    """The request should not have been made like this: it is not even recorded as refused."""


@dataclass(frozen=True, slots=True)
class Line:
    """`when` the condition is true, `then` this, with the owner's `words` for whoever asked."""

    when: str
    """CEL over `VARIABLES`."""
    then: Outcome
    words: str


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What holds when no line's condition is true."""

    then: Outcome
    words: str


@dataclass(frozen=True, slots=True)
class Date:
    """A moment with a name: the conditions read it as `dates.<name>`, in milliseconds as `now_ms`."""

    name: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class RuleSet:
    """An organisation's own contract, as it stands on the ledger."""

    name: str
    data: tuple[str, ...]
    """Names of own data sets, without the owner, ascending, each once. An upgrade to none ends the rules."""
    dates: tuple[Date, ...]
    """Ascending by name."""
    lines: tuple[Line, ...]
    otherwise: Otherwise


def rules_digest(rules: RuleSet) -> Digest:
    """Names a rule set's content."""
    return Digest(digest("lepton/rules", encode(rules)))


@dataclass(frozen=True, slots=True)
class Deploy:
    """`deploy`: version 1 of a contract of the caller's, in force from the next block on."""

    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Upgrade:
    """`upgrade`: the next version of a contract of the caller's, in force from this height on."""

    rules: RuleSet
    from_height: Height
    """0: from the next block on."""


@dataclass(frozen=True, slots=True)
class Version:
    """One deployed version; never changed."""

    owner: OrgId
    number: int
    """Counts up from 1."""
    rules: RuleSet
    digest: Digest
    from_height: Height
    """The first height at which it decides."""
    deployed_ms: int
    transaction: Digest


@dataclass(frozen=True, slots=True)
class Planned:
    """A version by its number, with the height from which it holds."""

    number: int
    from_height: Height
    digest: Digest


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which version of a contract holds when."""

    versions: int
    """How many there are."""
    planned: tuple[Planned, ...]
    """Ascending by height: the one in force, and those to come."""

    def at(self, height: Height) -> Planned | None:
        """What is in force at this height; None before the first."""
        return next((one for one in reversed(self.planned) if one.from_height <= height), None)

    def since(self, height: Height) -> tuple[Planned, ...]:
        """What is in force at this height, and those to come after it."""
        current = self.at(height)
        return tuple(one for one in self.planned if current is None or one.number >= current.number)


@dataclass(frozen=True, slots=True)
class Decision:
    """What an owner's rules say to a request."""

    outcome: Outcome
    contract: str
    """`owner/name` of the contract that decided."""
    version: int
    line: int
    """The first line whose condition was true, from 1; 0 when none was."""
    code: str
    """`allowed-by-rule`, `refused-by-rule`, `error-by-rule`, or `rule-undecided`: a condition that came to neither true
    nor false, which refuses."""
    words: str
    """The owner's, of the line or of the default; may be empty."""

    @property
    def sentence(self) -> str:
        """For receipts: who decided, where, and why."""
        where = f"line {self.line}" if self.line else "the default"
        said = f": {self.words}" if self.words else ""
        return f"By {where} of {self.contract}, version {self.version}{said}"
