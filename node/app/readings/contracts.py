"""What the operator sees of organisations' contracts: which there are, their versions, what each says."""

from typing import Any

from node.api import OperatorRefusal
from node.base.ports import StateReader
from node.ledger.contracts import rules
from node.ledger.contracts.contract import view
from node.ledger.contracts.rules import RuleSet, Schedule, Version
from node.ledger.system import head


def read_contracts(state: StateReader) -> dict[str, Any]:
    """What `lepton contract list --json` prints."""
    entries, height = view(state, rules.NAME), head(state).height
    found = [_listed(name, schedule, height) for name, schedule in rules.contracts(entries)]
    for contract in found:
        version = rules.version_of(entries, contract["contract"], contract["in_force"] or contract["versions"])
        assert version is not None, "a schedule names versions that are there"
        contract["data"] = _data(version)
        contract["lines"] = len(version.rules.lines)
    return {"height": height, "contracts": found}


def read_contract(state: StateReader, contract: str) -> dict[str, Any]:
    """What `lepton contract history --json` prints: every version of `owner/name`. Raises `OperatorRefusal`."""
    entries, height = view(state, rules.NAME), head(state).height
    schedule = rules.schedule_of(entries, contract)
    if schedule is None:
        raise OperatorRefusal(f"there is no contract {contract}; list them: lepton contract list")
    return {
        "height": height,
        **_listed(contract, schedule, height),
        "history": [_version(version) for version in rules.history(entries, contract)],
    }


def _listed(contract: str, schedule: Schedule, height: int) -> dict[str, Any]:
    current = next((one for one in reversed(schedule.planned) if one.from_height <= height), None)
    return {
        "contract": contract,
        "versions": schedule.versions,
        "in_force": None if current is None else current.number,
        "to_come": [
            {"version": one.number, "from_height": one.from_height}
            for one in schedule.planned
            if one.from_height > height
        ],
    }


def _data(version: Version) -> list[str]:
    return [f"{version.owner}/{name}" for name in version.rules.data]


def _version(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "from_height": version.from_height,
        "deployed_ms": version.deployed_ms,
        "transaction": version.transaction.hex(),
        "digest": version.digest.hex(),
        "data": _data(version),
        **shown_rules(version.rules),
    }


def shown_rules(found: RuleSet) -> dict[str, Any]:
    """A rule set for people and programs."""
    return {
        "name": found.name,
        "dates": {date.name: date.time_ms for date in found.dates},
        "lines": [{"when": line.when, "then": line.then.name.lower(), "words": line.words} for line in found.lines],
        "otherwise": {"then": found.otherwise.then.name.lower(), "words": found.otherwise.words},
    }
