"""Where the rules contract keeps what, and how others read it."""

from collections.abc import Iterator

from node.base.codec import decode
from node.base.types import Height, OrgId
from node.ledger.contracts.contract import View
from node.ledger.contracts.rules.types import Planned, Schedule, Version

NAME = "rules"


def schedule_key(contract: str) -> str:
    """Of the contract called `owner/name`."""
    return f"schedule/{contract}"


def version_key(contract: str, number: int) -> str:
    """Of one of its versions."""
    return f"version/{contract}/{number:08}"


def bound_key(data: str) -> str:
    """Of the data set called `owner/name`."""
    return f"bound/{data}"


def schedule_of(rules: View, contract: str) -> Schedule | None:
    """Which version of `owner/name` holds when; None for no such contract."""
    return rules.load(Schedule, schedule_key(contract))


def version_of(rules: View, contract: str, number: int) -> Version | None:
    """One version of `owner/name`."""
    return rules.load(Version, version_key(contract, number))


def contracts(rules: View, owner: OrgId | None = None) -> Iterator[tuple[str, Schedule]]:
    """All contracts, or one owner's, by `owner/name`."""
    prefix = schedule_key("" if owner is None else f"{owner}/")
    for key, value in rules.scan(prefix):
        yield key.removeprefix("schedule/"), decode(Schedule, value)


def history(rules: View, contract: str) -> Iterator[Version]:
    """All versions of `owner/name`, oldest first."""
    for _, value in rules.scan(f"version/{contract}/"):
        yield decode(Version, value)


def binding(rules: View, data: str, height: Height) -> tuple[str, Planned] | None:
    """(contract, version) that decides over the data set called `owner/name` at this height.

    The contract's version may have left the data set out; that is for the caller to see.
    """
    owner, _, _ = data.partition("/")
    name = rules.get(bound_key(data))
    if name is None:
        return None
    contract = f"{owner}/{name.decode()}"
    schedule = schedule_of(rules, contract)
    assert schedule is not None, "a data set is bound to a contract that exists"
    planned = schedule.at(height)
    return None if planned is None else (contract, planned)
