"""What the operator sees of shared data: data sets, versions, who is authorised, what was handed over, the copies."""

from dataclasses import asdict
from typing import Any

from node.base.codec import decode
from node.base.ports import StateReader
from node.ledger.contracts import replicas, sharing
from node.ledger.contracts.contract import View, view
from node.ledger.contracts.sharing import DataSet, Grant, versions


def read_sharing(state: StateReader) -> list[dict[str, Any]]:
    """What `lepton data list --json` prints of the ledger."""
    entries = view(state, sharing.NAME)
    return [
        _data_set(state, entries, key.removeprefix("data/"), decode(DataSet, value))
        for key, value in entries.scan("data/")
    ]


def read_copies(state: StateReader, data: str, version: int) -> list[dict[str, Any]]:
    """Who was asked to keep a copy of a version, by name, and what came of it: asked, held or dropped."""
    entries = view(state, replicas.NAME)
    asked = [
        {
            "holder": holder,
            "state": "asked" if copy.held_ms is None else "held",
            "since_ms": copy.asked_ms if copy.held_ms is None else copy.held_ms,
            "why": "",
        }
        for holder, copy in replicas.copies(entries, data, version)
    ]
    dropped = [
        {"holder": holder, "state": "dropped", "since_ms": found.time_ms, "why": found.why}
        for holder, found in replicas.dropped(entries, data, version)
    ]
    return sorted([*asked, *dropped], key=lambda copy: str(copy["holder"]))


def _data_set(state: StateReader, entries: View, name: str, data: DataSet) -> dict[str, Any]:
    grants = {key.rsplit("/", 1)[1]: decode(Grant, value) for key, value in entries.scan(f"grant/{name}/")}
    shares = [key.removeprefix(f"share/{name}/").split("/") for key, _ in entries.scan(f"share/{name}/")]
    return {
        "data": name,
        "owner": data.owner,
        "commitment": data.commitment.hex(),
        "registered_ms": data.registered_ms,
        "version": data.number,
        "description": None if data.description is None else asdict(data.description),
        "history": [
            {
                "version": version.number,
                "commitment": version.commitment.hex(),
                "registered_ms": version.registered_ms,
                "copies": read_copies(state, name, version.number),
            }
            for version in versions(entries, name)
        ],
        "authorized": sorted(org for org, grant in grants.items() if grant.in_force),
        "revoked": sorted(org for org, grant in grants.items() if not grant.in_force),
        "shares": [{"recipient": recipient, "commitment": digest} for recipient, digest in shares],
    }
