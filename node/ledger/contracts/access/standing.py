"""Whether a member may use data now: asked by the contract, by whoever serves a chunk, and by training.

Each answer is worked out from the ledger anew, so a revocation, a withdrawal and an expiry act at once and nothing has
to be cleared away after them. `time_ms` is block time in a contract; a member that serves passes the later one of its
own clock and the last block's time.
"""

from node.base.types import Digest, OrgId, data_owner
from node.ledger.contracts import agreements, sharing
from node.ledger.contracts.access import store
from node.ledger.contracts.access.types import Basis, Request, State
from node.ledger.contracts.agreements import Operation
from node.ledger.contracts.contract import Readable, Refusal, View

_REFUSALS = {
    State.WAITING: Refusal("not-granted", "The request has not been granted; its owner has to decide first."),
    State.REFUSED: Refusal("refused", "The owner refused the request; ask again with other words, or another purpose."),
    State.REVOKED: Refusal("revoked", "The owner has revoked the grant; request access anew."),
    State.CANCELLED: Refusal("cancelled", "The request was cancelled by who made it; request access anew."),
}


def basis_of(id_: Digest, found: Request) -> Basis:
    """The request as something to stand on, whatever its state."""
    return Basis(id_, found.data, found.requester, found.operation, found.purpose, found.agreement)


def basis(ledger: Readable, id_: Digest) -> Basis | None:
    """The request or `authorize` of this id, whether it stands or not."""
    found = store.request(View(ledger, store.NAME), id_)
    if found is not None:
        return basis_of(id_, found)
    given = sharing.authorization(View(ledger, sharing.NAME), id_)
    return None if given is None else Basis(id_, given.data, given.recipient, None, "", None)


def refusal_of_basis(ledger: Readable, id_: Digest, *, time_ms: int) -> Refusal | None:
    """What keeps the basis from standing at this time; None while it stands."""
    found = store.request(View(ledger, store.NAME), id_)
    if found is None:
        return _refusal_of_authorization(View(ledger, sharing.NAME), id_)
    if found.state is not State.GRANTED:
        return _REFUSALS[found.state]
    return refusal_of_agreement(ledger, found.agreement, time_ms=time_ms)


def refusal_of_agreement(ledger: Readable, id_: Digest | None, *, time_ms: int) -> Refusal | None:
    """What keeps the agreement, where one is named, from being in force."""
    if id_ is None:
        return None
    found = agreements.agreement(View(ledger, agreements.NAME), id_)
    if found is None:
        return Refusal("unknown-agreement", "No agreement has this id; list the agreements to see theirs.")
    if (why := agreements.why_not_in_force(found, time_ms=time_ms)) is not None:
        return Refusal(f"agreement-{why.code}", why.reason)
    return None


def why_not_served(ledger: Readable, fetch_id: Digest, peer: OrgId, *, time_ms: int) -> str | None:
    """Why the peer gets no chunk on this fetch now; None if it does. Every serving member asks it for every chunk."""
    found = store.fetch(View(ledger, store.NAME), fetch_id)
    if found is None:
        return "No fetch of this id is on the ledger; fetch again once its block is final."
    if found.recipient != peer:
        return f"The fetch is {found.recipient}'s and serves nobody else."
    refusal = refusal_of_basis(ledger, found.basis, time_ms=time_ms)
    return None if refusal is None else refusal.reason


def why_not_usable(
    ledger: Readable, basis_id: Digest, org: OrgId, data: str, operation: Operation, *, time_ms: int
) -> str | None:
    """Why the member may not use another's data set in this way now; None if it may."""
    found = basis(ledger, basis_id)
    if found is None:
        return "No request or authorisation of this id is on the ledger."
    if found.recipient != org or found.data != data:
        return f"The basis lets {found.recipient} use {found.data}, nobody else and nothing else."
    if found.operation not in (None, operation):
        allowed = "nothing" if found.operation is None else found.operation.name.lower()
        return f"The basis is for the operation {allowed}; request {operation.name.lower()}."
    refusal = refusal_of_basis(ledger, basis_id, time_ms=time_ms)
    return None if refusal is None else refusal.reason


def owner_of(found: Basis) -> OrgId:
    """Who decides on the data set."""
    owner = data_owner(found.data)
    assert owner is not None, "a basis is made for a registered data set"
    return owner


def _refusal_of_authorization(view: View, id_: Digest) -> Refusal | None:
    if sharing.authorization(view, id_) is None:
        return Refusal("unknown-basis", "No request or authorisation of this id is on the ledger.")
    if not sharing.is_authorization_in_force(view, id_):
        return Refusal("revoked", "The owner has withdrawn this authorisation; ask it for a new one.")
    return None
