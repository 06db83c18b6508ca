"""What the operator sees of requests for data: who asked, what the owner said, and whether it stands now."""

from collections import Counter
from typing import Any

from node.api import OperatorRefusal
from node.app.moments import iso, now_ms
from node.base.ports import StateReader
from node.base.types import Digest, data_owner
from node.ledger.contracts import access
from node.ledger.contracts.access import Request, refusal_of_basis, store
from node.ledger.contracts.contract import View, view

SHOWN_MAX = 500
"""The newest; one that is older is found by its id."""


def read_access(state: StateReader, request: str = "", org: str = "", data: str = "") -> list[dict[str, Any]]:
    """Requests, the newest first: all, the one whose id begins so, those of an organisation's asking or owning, or
    those for a data set called `owner/name`.

    Raises `OperatorRefusal` unless exactly one begins with what is asked for.
    """
    entries = view(state, access.NAME)
    chosen = [
        (id_, found)
        for id_, found in store.requests(entries)
        if id_.hex().startswith(request.lower())
        and (not org or org in (found.requester, data_owner(found.data)))
        and (not data or data == found.data)
    ]
    if request and len(chosen) != 1:
        which = "no request begins" if not chosen else f"{len(chosen)} requests begin"
        raise OperatorRefusal(f"{which} with {request!r}; look with: lepton data requests")
    newest = sorted(chosen, key=lambda one: (-one[1].asked_ms, one[0]))[:SHOWN_MAX]
    fetched = Counter(found.basis for _, found in store.fetches(entries))
    return [_request(state, entries, id_, found, fetched[id_]) for id_, found in newest]


def _request(state: StateReader, entries: View, id_: Digest, found: Request, fetches: int) -> dict[str, Any]:
    refusal = refusal_of_basis(state, id_, time_ms=now_ms(state))
    return {
        "id": id_.hex(),
        "data": found.data,
        "requester": found.requester,
        "purpose": found.purpose,
        "operation": found.operation.name.lower(),
        "agreement": None if found.agreement is None else found.agreement.hex(),
        "words": found.words,
        "state": found.state.name.lower(),
        "stands": refusal is None,
        "why_not": "" if refusal is None else refusal.reason,
        "why": found.why,
        "rule_line": found.rule_line or None,
        "asked": iso(found.asked_ms),
        "changed": iso(found.changed_ms),
        "sealed_versions": store.sealed_versions(entries, id_),
        "fetches": fetches,
    }
