"""After a grant: the owner's daemon seals a version's key, the recipient says that it fetches."""

from node.base.types import Digest
from node.ledger.contracts import sharing
from node.ledger.contracts.access import store
from node.ledger.contracts.access.standing import basis, owner_of, refusal_of_basis
from node.ledger.contracts.access.types import Basis, Fetch, Fetched, Seal, Sealed
from node.ledger.contracts.contract import Context, Rejected


def seal(context: Context, asked: Seal) -> None:
    """The owner's daemon has an envelope for the recipient. A later one, sealed anew, takes its place."""
    found = _known(context, asked.basis)
    if owner_of(found) != context.org:
        raise Rejected("not-owner", "Only the owner of the data set seals its keys.")
    _require_standing(context, found, asked.version)
    known = store.sealed(context, asked.basis, asked.version)
    if known is not None and known.envelope == asked.envelope:
        raise Rejected("already-sealed", "This very envelope is on the ledger already.")
    context.store(store.sealed_key(asked.basis, asked.version), Sealed(asked.envelope, context.time_ms))
    context.delete(store.due_key(found.data, asked.basis, asked.version))
    context.put(store.unfetched_key(found.recipient, asked.basis, asked.version), b"")
    store.emit(context, "sealed", found, asked.version)


def fetch(context: Context, asked: Fetch) -> None:
    """The recipient fetches; a version that is not sealed for it yet becomes due at the owner."""
    found = _known(context, asked.basis)
    if found.recipient != context.org:
        raise Rejected("not-recipient", f"Only {found.recipient} fetches on this basis.")
    _require_standing(context, found, asked.version)
    if store.sealed(context, asked.basis, asked.version) is None:
        context.put(store.due_key(found.data, asked.basis, asked.version), b"")
    context.store(
        store.fetch_key(context.transaction),
        Fetched(asked.basis, asked.version, context.org, found.data, context.time_ms),
    )
    context.delete(store.unfetched_key(context.org, asked.basis, asked.version))
    store.add_counts(context, found.data, context.org, fetches=1)
    store.emit(context, "fetched", found, asked.version, words=context.transaction.hex())


def _known(context: Context, id_: Digest) -> Basis:
    found = basis(context.ledger, id_)
    if found is None:
        raise Rejected("unknown-basis", "No request or authorisation of this id is on the ledger.")
    return found


def _require_standing(context: Context, found: Basis, version: int) -> None:
    if refusal := refusal_of_basis(context.ledger, found.id, time_ms=context.time_ms):
        raise Rejected(*refusal)
    if sharing.version(context.other(sharing.NAME), found.data, version) is None:
        raise Rejected("unknown-version", "The data set has no version of this number.")
