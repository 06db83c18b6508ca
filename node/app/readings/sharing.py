"""What the operator sees of shared data: data sets, their versions, who is authorised, what was handed over."""

from dataclasses import asdict
from typing import Any

from node.base.codec import decode
from node.base.ports import StateReader
from node.ledger.contracts import sharing
from node.ledger.contracts.contract import View, view
from node.ledger.contracts.sharing import DataSet, Grant, versions


def read_sharing(state: StateReader) -> list[dict[str, Any]]:
    """What `lepton data list --json` prints of the ledger."""
    entries = view(state, sharing.NAME)
    return [
        _data_set(entries, key.removeprefix("data/"), decode(DataSet, value)) for key, value in entries.scan("data/")
    ]


def _data_set(entries: View, name: str, data: DataSet) -> dict[str, Any]:
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
            {"version": version.number, "commitment": version.commitment.hex(), "registered_ms": version.registered_ms}
            for version in versions(entries, name)
        ],
        "authorized": sorted(org for org, grant in grants.items() if grant.in_force),
        "revoked": sorted(org for org, grant in grants.items() if not grant.in_force),
        "shares": [{"recipient": recipient, "commitment": digest} for recipient, digest in shares],
    }
