"""A request's way: asked, granted or refused, revoked or cancelled."""

from dataclasses import replace

from node.base.types import Digest
from node.ledger.contracts import agreements, sharing
from node.ledger.contracts.access import store
from node.ledger.contracts.access.ruling import ruling
from node.ledger.contracts.access.standing import basis_of, owner_of, refusal_of_agreement
from node.ledger.contracts.access.types import (
    OPEN_MAX,
    PURPOSE_CHARACTERS_MAX,
    WHY_CHARACTERS_MAX,
    WORDS_CHARACTERS_MAX,
    Ask,
    Cancel,
    Grant,
    Refuse,
    Request,
    Revoke,
    State,
)
from node.ledger.contracts.contract import Context, Rejected, is_text
from node.ledger.contracts.rules import Outcome


def request(context: Context, asked: Ask) -> None:
    """Any member asks for any data set but its own; the owner's rules decide at once, else it waits for the owner."""
    _check(context, asked)
    decision = ruling(context, asked)
    if decision is not None and decision.outcome is Outcome.ERROR:
        raise Rejected(decision.code, decision.sentence)
    made = Request(
        data=asked.data,
        requester=context.org,
        purpose=asked.purpose,
        operation=asked.operation,
        agreement=asked.agreement,
        words=asked.words,
        asked_ms=context.time_ms,
        state=State.WAITING,
        changed_ms=context.time_ms,
        why="",
        rule_line=0,
    )
    context.store(store.request_key(context.transaction), made)
    context.put(store.open_key(context.transaction, made), b"")
    store.emit(context, "requested", basis_of(context.transaction, made), words=asked.purpose)
    if decision is not None:
        state = State.GRANTED if decision.outcome is Outcome.ALLOW else State.REFUSED
        _settle(context, context.transaction, made, state, decision.sentence, decision.line)


def grant(context: Context, asked: Grant) -> None:
    """The owner allows it, for as long as the agreement it names is in force."""
    found = _of_owner(context, asked.request, State.WAITING)
    if refusal := refusal_of_agreement(context.ledger, found.agreement, time_ms=context.time_ms):
        raise Rejected(*refusal)
    if found.requester not in context.members.keys:
        raise Rejected("not-member", "Who asked is no longer a member of this network; refuse the request.")
    _settle(context, asked.request, found, State.GRANTED)


def refuse(context: Context, asked: Refuse) -> None:
    """The owner does not allow it."""
    found = _of_owner(context, asked.request, State.WAITING)
    _check_why(asked.why)
    _settle(context, asked.request, found, State.REFUSED, asked.why)


def revoke(context: Context, asked: Revoke) -> None:
    """The owner takes a grant back; from this block on nobody serves on it."""
    found = _of_owner(context, asked.request, State.GRANTED)
    _check_why(asked.why)
    _settle(context, asked.request, found, State.REVOKED, asked.why)


def cancel(context: Context, asked: Cancel) -> None:
    """Who asked takes the request back, also a granted one."""
    found = _known(context, asked.request)
    if found.requester != context.org:
        raise Rejected("not-requester", f"Only {found.requester}, who made the request, cancels it.")
    _require_state(found, State.WAITING, State.GRANTED)
    _settle(context, asked.request, found, State.CANCELLED)


_EVENTS = {
    State.GRANTED: "granted",
    State.REFUSED: "refused",
    State.REVOKED: "revoked",
    State.CANCELLED: "cancelled",
}


def _settle(context: Context, id_: Digest, found: Request, state: State, why: str = "", rule_line: int = 0) -> None:
    """Move the request on; a grant makes its newest version due for sealing, all else ends what is due or unfetched."""
    settled = replace(found, state=state, changed_ms=context.time_ms, why=why, rule_line=rule_line)
    context.store(store.request_key(id_), settled)
    if state is State.GRANTED:
        newest = sharing.data_set(context.other(sharing.NAME), found.data)
        assert newest is not None, "data sets are never unregistered"
        context.put(store.due_key(found.data, id_, newest.number), b"")
        store.add_counts(context, found.data, found.requester, grants=1)
    else:
        context.delete(store.open_key(id_, found))
        for of_version in (store.due_key(found.data, id_, 0), store.unfetched_key(found.requester, id_, 0)):
            for key, _ in context.scan(of_version.rpartition("/")[0] + "/"):
                context.delete(key)
    store.emit(context, _EVENTS[state], basis_of(id_, found), words=why, rule_line=rule_line)


def _check(context: Context, asked: Ask) -> None:
    """Raises `Rejected` for what no owner needs to see."""
    known = sharing.data_set(context.other(sharing.NAME), asked.data)
    if known is None:
        raise Rejected("unknown-data", "No data set is registered under this name; its form is owner/name.")
    if known.owner == context.org:
        raise Rejected("own-data", "The data set is your own; you need to ask nobody.")
    if not asked.purpose or not is_text(asked.purpose, PURPOSE_CHARACTERS_MAX):
        raise Rejected("bad-purpose", f"Give the purpose in one line of 1 to {PURPOSE_CHARACTERS_MAX} characters.")
    if not is_text(asked.words, WORDS_CHARACTERS_MAX, lines=True):
        raise Rejected("bad-words", f"Words to the owner have at most {WORDS_CHARACTERS_MAX} characters.")
    _check_agreement(context, asked)
    if store.open_count(context, asked.data, context.org) >= OPEN_MAX:
        raise Rejected("too-many", f"You have {OPEN_MAX} open requests for this data set; cancel one first.")


def _check_agreement(context: Context, asked: Ask) -> None:
    """What an agreement does not cover is refused at once."""
    if asked.agreement is None:
        return
    if refusal := refusal_of_agreement(context.ledger, asked.agreement, time_ms=context.time_ms):
        raise Rejected(*refusal)
    found = agreements.agreement(context.other(agreements.NAME), asked.agreement)
    assert found is not None, "an agreement in force is on the ledger"
    if context.org not in found.terms.parties:
        raise Rejected("not-party", "You are no party of this agreement.")
    if asked.data not in found.terms.data:
        raise Rejected("other-data", "The agreement does not name this data set.")
    if asked.operation not in found.terms.operations:
        allowed = ", ".join(operation.name.lower() for operation in found.terms.operations)
        raise Rejected("operation-outside", f"The agreement allows only: {allowed}.")
    if asked.purpose not in found.terms.purposes:
        raise Rejected("purpose-outside", "The agreement does not name this purpose; use its own words.")


def _known(context: Context, id_: Digest) -> Request:
    found = store.request(context, id_)
    if found is None:
        raise Rejected("unknown-request", "No request has this id; list the requests to see theirs.")
    return found


def _of_owner(context: Context, id_: Digest, state: State) -> Request:
    """The request, if the caller owns its data set and it stands where it must."""
    found = _known(context, id_)
    if owner_of(basis_of(id_, found)) != context.org:
        raise Rejected("not-owner", "Only the owner of the data set decides on its requests.")
    _require_state(found, state)
    return found


def _require_state(found: Request, *states: State) -> None:
    if found.state not in states:
        wanted = " or ".join(state.name.lower() for state in states)
        raise Rejected("wrong-state", f"The request is {found.state.name.lower()}; it would have to be {wanted}.")


def _check_why(why: str) -> None:
    if not is_text(why, WHY_CHARACTERS_MAX):
        raise Rejected("bad-reason", f"Give the reason in one line of at most {WHY_CHARACTERS_MAX} characters.")
