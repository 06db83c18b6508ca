"""What the operator sees of agreements: their terms, who signed, and whether they are in force now."""

from typing import Any

from node.api import OperatorRefusal
from node.app.moments import iso, now_ms
from node.base.ports import StateReader
from node.base.types import Digest
from node.ledger.contracts import agreements
from node.ledger.contracts.agreements import Agreement, all_agreements, why_not_in_force
from node.ledger.contracts.contract import view

IN_FORCE = "in force"


def read_agreements(state: StateReader, agreement: str = "") -> list[dict[str, Any]]:
    """All agreements, or the one whose id begins so; the oldest first.

    Raises `OperatorRefusal` unless exactly one begins with what is asked for.
    """
    now = now_ms(state)
    entries = [(id_, found) for id_, found in all_agreements(view(state, agreements.NAME))]
    chosen = [(id_, found) for id_, found in entries if id_.hex().startswith(agreement.lower())]
    if agreement and len(chosen) != 1:
        which = "no agreement begins" if not chosen else f"{len(chosen)} agreements begin"
        raise OperatorRefusal(f"{which} with {agreement!r}; look with: lepton agreement list")
    shown = [_agreement(id_, found, now) for id_, found in chosen]
    return sorted(shown, key=lambda one: (one["signed"][0]["at"], one["id"]))


def _agreement(id_: Digest, found: Agreement, now: int) -> dict[str, Any]:
    terms, withdrawn = found.terms, found.withdrawn
    refusal = why_not_in_force(found, time_ms=now)
    return {
        "id": id_.hex(),
        "title": terms.title,
        "state": IN_FORCE if refusal is None else refusal.code.replace("-", " "),
        "parties": list(terms.parties),
        "drafter": found.drafter,
        "signed": [{"org": signature.org, "at": iso(signature.time_ms)} for signature in found.signed],
        "missing": list(found.missing),
        "data": list(terms.data),
        "purposes": list(terms.purposes),
        "operations": [operation.name.lower() for operation in terms.operations],
        "expires": iso(terms.expires_ms),
        "expires_ms": terms.expires_ms,
        "conditions": terms.conditions,
        "withdrawn": None
        if withdrawn is None
        else {"org": withdrawn.org, "why": withdrawn.why, "at": iso(withdrawn.time_ms)},
    }
