"""Copies, rule by rule: a state, a call, and the writes and events that are expected."""

import pytest

from node.base.crypto import digest
from node.base.types import Digest, MemberSet, OrgId
from node.ledger.contracts.replicas import (
    REPLICAS,
    REPLICAS_MAX,
    Drop,
    Dropped,
    Hold,
    Release,
    Replicate,
    copies,
    dropped,
    kept_at,
    replica,
    why_not_copied,
)
from node.ledger.contracts.sharing import SHARING, Register
from node.testing.contract_bench import ContractBench

BOB, CID = OrgId("bob"), OrgId("cid")
DATA = "ada/patients"


def bench(*calls: tuple[str, str, object], orgs: tuple[str, ...] = ("ada", "bob", "cid")) -> ContractBench:
    """ada has registered `patients`; then the calls."""
    made = ContractBench(REPLICAS, orgs)
    made.call("ada", "register", Register("patients", Digest(digest("rows"))), contract=SHARING)
    for org, method, payload in calls:
        made.call(org, method, payload)
    return made


def test_asked_held_and_released() -> None:
    made = bench(("ada", "replicate", Replicate(DATA, 1, BOB)))
    assert list(kept_at(made.view, BOB)) == [(DATA, 1)]
    found = replica(made.view, DATA, 1, BOB)
    assert found is not None
    assert found.held_ms is None
    made.call("bob", "hold", Hold(DATA, 1))
    ((holder, copy),) = copies(made.view, DATA, 1)
    assert (holder, copy.held_ms) == (BOB, made.time_ms)
    made.call("ada", "release", Release(DATA, 1, BOB))
    assert list(copies(made.view, DATA, 1)) == []
    assert list(kept_at(made.view, BOB)) == []


def test_a_holder_declines_or_drops_with_its_reason() -> None:
    made = bench(("ada", "replicate", Replicate(DATA, 1, BOB)))
    _, events = made.call("bob", "drop", Drop(DATA, 1, "no room"))
    assert [event.name for event in events] == ["dropped"]
    assert list(copies(made.view, DATA, 1)) == []
    assert list(dropped(made.view, DATA, 1)) == [(BOB, Dropped("no room", made.time_ms))]
    made.call("ada", "replicate", Replicate(DATA, 1, BOB))
    assert list(dropped(made.view, DATA, 1)) == []


def test_only_the_owner_and_who_was_asked_get_chunks_for_a_copy() -> None:
    made = bench(("ada", "replicate", Replicate(DATA, 1, BOB)))
    assert why_not_copied(made.state, DATA, 1, BOB) is None
    assert why_not_copied(made.state, DATA, 1, OrgId("ada")) is None
    assert "neither owns" in (why_not_copied(made.state, DATA, 1, CID) or "")
    assert "neither owns" in (why_not_copied(made.state, DATA, 2, BOB) or "")


@pytest.mark.parametrize(
    ("org", "method", "payload", "code"),
    [
        ("ada", "replicate", Replicate("ada/none", 1, BOB), "unknown-data"),
        ("bob", "replicate", Replicate(DATA, 1, CID), "not-owner"),
        ("ada", "replicate", Replicate(DATA, 2, CID), "unknown-version"),
        ("ada", "replicate", Replicate(DATA, 1, OrgId("ada")), "own-data"),
        ("ada", "replicate", Replicate(DATA, 1, OrgId("eve")), "unknown-holder"),
        ("ada", "replicate", Replicate(DATA, 1, BOB), "already-asked"),
        ("cid", "hold", Hold(DATA, 1), "not-asked"),
        ("cid", "drop", Drop(DATA, 1, "no"), "not-asked"),
        ("bob", "drop", Drop(DATA, 1, "a\nb"), "bad-reason"),
        ("bob", "release", Release(DATA, 1, BOB), "not-owner"),
        ("ada", "release", Release(DATA, 1, CID), "not-asked"),
    ],
)
def test_refusals(org: str, method: str, payload: object, code: str) -> None:
    made = bench(("ada", "replicate", Replicate(DATA, 1, BOB)))
    assert made.refused(org, method, payload) == code


def test_held_is_said_once_and_copies_are_bounded() -> None:
    orgs = ("ada", *(f"m{number:02}" for number in range(REPLICAS_MAX + 1)))
    made = bench(*(("ada", "replicate", Replicate(DATA, 1, OrgId(org))) for org in orgs[1:-1]), orgs=orgs)
    assert made.refused("ada", "replicate", Replicate(DATA, 1, OrgId(orgs[-1]))) == "too-many"
    made.call(orgs[1], "hold", Hold(DATA, 1))
    assert made.refused(orgs[1], "hold", Hold(DATA, 1)) == "already-held"


def test_a_member_that_left_is_asked_no_more() -> None:
    made = bench()
    made.members = MemberSet(tuple(member for member in made.members.members if member.org != "bob"))
    assert made.refused("ada", "replicate", Replicate(DATA, 1, BOB)) == "unknown-holder"
