"""Access, rule by rule: a state, a call, and the writes and events that are expected."""

from dataclasses import replace

import pytest

from node.base.codec import decode
from node.base.crypto import digest
from node.base.types import Digest, MemberSet, OrgId
from node.ledger.contracts.access import (
    ACCESS,
    OPEN_MAX,
    AccessEvent,
    Ask,
    Cancel,
    Counts,
    Fetch,
    Fetched,
    Grant,
    Refuse,
    Request,
    Revoke,
    Seal,
    Sealed,
    State,
    store,
    why_not_served,
    why_not_usable,
)
from node.ledger.contracts.agreements import AGREEMENTS, Operation, Sign, Terms, Withdraw
from node.ledger.contracts.sharing import SHARING, Authorize, Register, Unauthorize
from node.testing.contract_bench import ContractBench

ADA, BOB, CID = OrgId("ada"), OrgId("bob"), OrgId("cid")
DATA, PURPOSE = "ada/patients", "heart research"
FIRST, SECOND = Digest(digest("first")), Digest(digest("second"))
EXPIRES_MS = 2_000_000
ASK = Ask(DATA, PURPOSE, Operation.TRAIN, None, "")
UNKNOWN = Digest(bytes(32))


def bench() -> ContractBench:
    """Three members; ada has registered `patients`."""
    made = ContractBench(ACCESS, ("ada", "bob", "cid"))
    made.call("ada", "register", Register("patients", FIRST), contract=SHARING)
    return made


def agreed(made: ContractBench, *signers: str) -> Digest:
    """An agreement of ada and bob on training with the data set."""
    terms = Terms("Heart study", (ADA, BOB), (DATA,), (PURPOSE,), (Operation.TRAIN,), EXPIRES_MS, "")
    id_, _ = made.call("ada", "draft", terms, contract=AGREEMENTS)
    for org in signers:
        made.call(org, "sign", Sign(id_), contract=AGREEMENTS)
    return id_


def requested(made: ContractBench, asked: Ask = ASK, org: str = "bob") -> Digest:
    return made.call(org, "request", asked)[0]


def granted(made: ContractBench, asked: Ask = ASK) -> Digest:
    id_ = requested(made, asked)
    made.call("ada", "grant", Grant(id_))
    return id_


def due(made: ContractBench) -> list[tuple[Digest, int]]:
    return list(store.due(made.view, ADA))


def served(made: ContractBench, fetch: Digest, peer: OrgId = BOB) -> str | None:
    return why_not_served(made.state, fetch, peer, time_ms=made.time_ms)


def keys(made: ContractBench) -> list[str]:
    return [key for key, _ in made.view.scan("")]


def test_request() -> None:
    made = bench()
    id_, events = made.call("bob", "request", replace(ASK, words="please\nsoon"))
    now = made.time_ms
    expected = Request(DATA, BOB, PURPOSE, Operation.TRAIN, None, "please\nsoon", now, State.WAITING, now, "", 0)
    assert store.request(made.view, id_) == expected
    assert keys(made) == [f"open/{DATA}/bob/{id_.hex()}", f"request/{id_.hex()}"]
    assert [(e.name, decode(AccessEvent, e.body)) for e in events] == [
        ("requested", AccessEvent(id_, DATA, BOB, 0, PURPOSE, 0))
    ]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"data": "ada/nothing"}, "unknown-data"),
        ({"data": ""}, "unknown-data"),
        ({"purpose": ""}, "bad-purpose"),
        ({"purpose": "x" * 201}, "bad-purpose"),
        ({"purpose": "a\nb"}, "bad-purpose"),
        ({"words": "x" * 1_001}, "bad-words"),
        ({"words": "\x1b[2J"}, "bad-words"),
        ({"agreement": UNKNOWN}, "unknown-agreement"),
    ],
)
def test_what_may_not_be_asked(changed: dict[str, object], code: str) -> None:
    assert bench().refused("bob", "request", replace(ASK, **changed)) == code


def test_nobody_asks_for_its_own_data() -> None:
    assert bench().refused("ada", "request", ASK) == "own-data"


def test_open_requests_have_a_maximum() -> None:
    made = bench()
    ids = [requested(made) for _ in range(OPEN_MAX)]
    assert made.refused("bob", "request", ASK) == "too-many"
    requested(made, org="cid")
    made.call("bob", "cancel", Cancel(ids[0]))
    requested(made)


@pytest.mark.parametrize(
    ("org", "changed", "code"),
    [
        ("bob", {"operation": Operation.DOWNLOAD}, "operation-outside"),
        ("bob", {"purpose": "advertising"}, "purpose-outside"),
        ("bob", {"data": "ada/other"}, "other-data"),
        ("cid", {}, "not-party"),
    ],
)
def test_what_an_agreement_does_not_cover(org: str, changed: dict[str, object], code: str) -> None:
    made = bench()
    made.call("ada", "register", Register("other", SECOND), contract=SHARING)
    asked = replace(ASK, agreement=agreed(made, "bob"))
    assert made.refused(org, "request", replace(asked, **changed)) == code
    requested(made, asked)


def test_under_an_agreement_that_is_not_in_force_nothing_is_asked_or_granted() -> None:
    made = bench()
    asked = replace(ASK, agreement=agreed(made))
    assert made.refused("bob", "request", asked) == "agreement-not-signed"
    asked = replace(ASK, agreement=agreed(made, "bob"))
    waiting = requested(made, asked)
    made.call("ada", "withdraw", Withdraw(asked.agreement, ""), contract=AGREEMENTS)
    assert made.refused("ada", "grant", Grant(waiting)) == "agreement-withdrawn"
    assert made.refused("bob", "request", asked) == "agreement-withdrawn"
    asked = replace(ASK, agreement=agreed(made, "bob"))
    waiting = requested(made, asked)
    made.time_ms = EXPIRES_MS
    assert made.refused("ada", "grant", Grant(waiting)) == "agreement-expired"
    assert made.refused("bob", "request", asked) == "agreement-expired"


def test_grant() -> None:
    made = bench()
    id_ = requested(made)
    _, events = made.call("ada", "grant", Grant(id_))
    found = store.request(made.view, id_)
    assert found is not None
    assert (found.state, found.changed_ms) == (State.GRANTED, made.time_ms)
    assert due(made) == [(id_, 1)]
    assert store.counts(made.view, DATA, BOB) == store.counts(made.view, DATA) == Counts(grants=1)
    assert store.counts(made.view, DATA, CID) == Counts()
    assert [(e.name, decode(AccessEvent, e.body)) for e in events] == [
        ("granted", AccessEvent(id_, DATA, BOB, 0, "", 0))
    ]
    assert made.refused("ada", "grant", Grant(id_)) == "wrong-state"


def test_refuse_revoke_cancel() -> None:
    made = bench()
    for method, payload, org, state, first in (
        ("refuse", lambda id_: Refuse(id_, "not for this"), "ada", State.REFUSED, requested),
        ("revoke", lambda id_: Revoke(id_, "not for this"), "ada", State.REVOKED, granted),
        ("cancel", Cancel, "bob", State.CANCELLED, requested),
        ("cancel", Cancel, "bob", State.CANCELLED, granted),
    ):
        id_ = first(made)
        _, events = made.call(org, method, payload(id_))
        found = store.request(made.view, id_)
        assert found is not None
        assert (found.state, found.why) == (state, "" if method == "cancel" else "not for this")
        assert due(made) == []
        assert store.open_count(made.view, DATA, BOB) == 0
        assert [(e.name, decode(AccessEvent, e.body).words) for e in events] == [(state.name.lower(), found.why)]
        for call in (("ada", "grant", Grant(id_)), ("ada", "refuse", Refuse(id_, "")), ("bob", "cancel", Cancel(id_))):
            assert made.refused(*call) == "wrong-state"
        assert made.refused("ada", "revoke", Revoke(id_, "")) == "wrong-state"


def test_who_decides() -> None:
    made = bench()
    id_ = requested(made)
    for org in ("bob", "cid"):
        assert made.refused(org, "grant", Grant(id_)) == "not-owner"
        assert made.refused(org, "refuse", Refuse(id_, "")) == "not-owner"
        assert made.refused(org, "revoke", Revoke(id_, "")) == "not-owner"
    assert made.refused("ada", "cancel", Cancel(id_)) == "not-requester"
    assert made.refused("ada", "revoke", Revoke(id_, "")) == "wrong-state"
    assert made.refused("ada", "refuse", Refuse(id_, "x" * 301)) == "bad-reason"
    made.call("ada", "grant", Grant(id_))
    assert made.refused("ada", "refuse", Refuse(id_, "")) == "wrong-state"
    assert made.refused("ada", "revoke", Revoke(id_, "a\nb")) == "bad-reason"
    for call in (Grant(UNKNOWN), Refuse(UNKNOWN, ""), Revoke(UNKNOWN, ""), Cancel(UNKNOWN)):
        assert made.refused("ada", type(call).__name__.lower(), call) == "unknown-request"


def test_who_left_the_network_is_granted_nothing() -> None:
    made = bench()
    id_ = requested(made)
    made.members = MemberSet(tuple(member for member in made.members.members if member.org != BOB))
    assert made.refused("ada", "grant", Grant(id_)) == "not-member"


def test_seal() -> None:
    made = bench()
    id_ = granted(made)
    _, events = made.call("ada", "seal", Seal(id_, 1, FIRST))
    assert store.sealed(made.view, id_, 1) == Sealed(FIRST, made.time_ms)
    assert due(made) == []
    assert [(e.name, decode(AccessEvent, e.body).version) for e in events] == [("sealed", 1)]
    assert made.refused("ada", "seal", Seal(id_, 1, FIRST)) == "already-sealed"
    assert list(store.unfetched(made.view, BOB)) == [(id_, 1)]
    made.call("ada", "seal", Seal(id_, 1, SECOND))
    assert store.sealed(made.view, id_, 1) == Sealed(SECOND, made.time_ms)


def test_what_is_not_sealed() -> None:
    made = bench()
    id_ = granted(made)
    assert made.refused("bob", "seal", Seal(id_, 1, FIRST)) == "not-owner"
    assert made.refused("ada", "seal", Seal(id_, 2, FIRST)) == "unknown-version"
    assert made.refused("ada", "seal", Seal(UNKNOWN, 1, FIRST)) == "unknown-basis"
    assert made.refused("ada", "seal", Seal(requested(made), 1, FIRST)) == "not-granted"
    made.call("ada", "revoke", Revoke(id_, ""))
    assert made.refused("ada", "seal", Seal(id_, 1, FIRST)) == "revoked"


def test_fetch() -> None:
    made = bench()
    id_ = granted(made)
    made.call("ada", "seal", Seal(id_, 1, FIRST))
    fetch, events = made.call("bob", "fetch", Fetch(id_, 1))
    assert store.fetch(made.view, fetch) == Fetched(id_, 1, BOB, DATA, made.time_ms)
    assert due(made) == []
    assert list(store.unfetched(made.view, BOB)) == []
    assert store.counts(made.view, DATA, BOB) == store.counts(made.view, DATA) == Counts(grants=1, fetches=1)
    assert [(e.name, decode(AccessEvent, e.body)) for e in events] == [
        ("fetched", AccessEvent(id_, DATA, BOB, 1, fetch.hex(), 0))
    ]
    assert served(made, fetch) is None
    assert "bob's" in (served(made, fetch, CID) or "")
    assert "No fetch" in (served(made, id_) or "")


def test_a_new_version_is_sealed_when_somebody_fetches_it() -> None:
    made = bench()
    id_ = granted(made)
    made.call("ada", "seal", Seal(id_, 1, FIRST))
    made.call("ada", "register", Register("patients", SECOND), contract=SHARING)
    assert due(made) == []
    made.call("bob", "fetch", Fetch(id_, 2))
    assert due(made) == [(id_, 2)]


def test_who_may_not_fetch() -> None:
    made = bench()
    waiting, id_ = requested(made), granted(made)
    assert made.refused("cid", "fetch", Fetch(id_, 1)) == "not-recipient"
    assert made.refused("ada", "fetch", Fetch(id_, 1)) == "not-recipient"
    assert made.refused("bob", "fetch", Fetch(id_, 2)) == "unknown-version"
    assert made.refused("bob", "fetch", Fetch(id_, 0)) == "unknown-version"
    assert made.refused("bob", "fetch", Fetch(UNKNOWN, 1)) == "unknown-basis"
    assert made.refused("bob", "fetch", Fetch(waiting, 1)) == "not-granted"
    made.call("ada", "refuse", Refuse(waiting, ""))
    assert made.refused("bob", "fetch", Fetch(waiting, 1)) == "refused"
    made.call("bob", "cancel", Cancel(id_))
    assert made.refused("bob", "fetch", Fetch(id_, 1)) == "cancelled"


def test_revocation_stops_serving_and_fetching() -> None:
    made = bench()
    id_ = granted(made)
    fetch, _ = made.call("bob", "fetch", Fetch(id_, 1))
    made.call("ada", "seal", Seal(id_, 1, FIRST))
    made.call("ada", "revoke", Revoke(id_, "over"))
    assert list(store.unfetched(made.view, BOB)) == []
    assert "revoked" in (served(made, fetch) or "")
    assert made.refused("bob", "fetch", Fetch(id_, 1)) == "revoked"
    assert due(made) == []


@pytest.mark.parametrize("ended", ["withdrawn", "expired"])
def test_with_its_agreement_ends_what_stands_on_it(ended: str) -> None:
    made = bench()
    agreement = agreed(made, "bob")
    id_ = granted(made, replace(ASK, agreement=agreement))
    fetch, _ = made.call("bob", "fetch", Fetch(id_, 1))
    assert served(made, fetch) is None
    if ended == "withdrawn":
        made.call("bob", "withdraw", Withdraw(agreement, ""), contract=AGREEMENTS)
    else:
        made.time_ms = EXPIRES_MS
    assert served(made, fetch) is not None
    assert why_not_usable(made.state, id_, BOB, DATA, Operation.TRAIN, time_ms=made.time_ms) is not None
    assert made.refused("bob", "fetch", Fetch(id_, 1)) == f"agreement-{ended}"
    assert made.refused("ada", "seal", Seal(id_, 1, FIRST)) == f"agreement-{ended}"


def test_an_authorization_is_a_basis_until_it_is_withdrawn() -> None:
    made = bench()
    basis, _ = made.call("ada", "authorize", Authorize(DATA, BOB), contract=SHARING)
    fetch, _ = made.call("bob", "fetch", Fetch(basis, 1))
    assert due(made) == [(basis, 1)]
    made.call("ada", "seal", Seal(basis, 1, FIRST))
    assert served(made, fetch) is None
    made.call("ada", "unauthorize", Unauthorize(DATA, BOB), contract=SHARING)
    made.call("ada", "authorize", Authorize(DATA, BOB), contract=SHARING)
    assert "withdrawn" in (served(made, fetch) or "")
    assert made.refused("bob", "fetch", Fetch(basis, 1)) == "revoked"


def test_use_is_held_against_member_data_and_operation() -> None:
    made = bench()
    id_ = granted(made)
    basis, _ = made.call("ada", "authorize", Authorize(DATA, BOB), contract=SHARING)

    def why(basis: Digest, org: OrgId = BOB, data: str = DATA, operation: Operation = Operation.TRAIN) -> str:
        return why_not_usable(made.state, basis, org, data, operation, time_ms=made.time_ms) or ""

    assert why(id_) == why(basis) == why(basis, operation=Operation.DOWNLOAD) == ""
    assert "operation train" in why(id_, operation=Operation.DOWNLOAD)
    assert "nobody else" in why(id_, org=CID)
    assert "nothing else" in why(id_, data="ada/other")
    assert "No request" in why(UNKNOWN)
