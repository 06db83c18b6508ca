"""Sharing, rule by rule: a state, a call, and the writes and events that are expected."""

from dataclasses import replace

import pytest

from node.base.codec import decode
from node.base.crypto import digest
from node.base.types import Digest, MemberSet, OrgId
from node.ledger.contracts.sharing import (
    SHARING,
    Authorize,
    Column,
    DataSet,
    Description,
    Grant,
    Register,
    Share,
    ShareData,
    Unauthorize,
    authorization,
    is_authorization_in_force,
    may_receive,
    version,
)
from node.testing.contract_bench import ContractBench

BOB, CID = OrgId("bob"), OrgId("cid")
DATA = "ada/patients"
FIRST, SECOND = Digest(digest("first")), Digest(digest("second"))


def bench(*calls: tuple[str, str, object]) -> ContractBench:
    """Three members; ada has registered `patients`; then the calls."""
    made = ContractBench(SHARING, ("ada", "bob", "cid"))
    made.call("ada", "register", Register("patients", FIRST))
    for org, method, payload in calls:
        made.call(org, method, payload)
    return made


AUTHORIZED = ("ada", "authorize", Authorize(DATA, BOB))
WITHDRAWN = ("ada", "unauthorize", Unauthorize(DATA, BOB))


def test_register() -> None:
    made = ContractBench(SHARING, ("ada", "bob"))
    _, events = made.call("ada", "register", Register("patients", FIRST))
    assert made.view.load(DataSet, "data/ada/patients") == DataSet(OrgId("ada"), 1, FIRST, made.time_ms, None)
    assert [(event.name, decode(Register, event.body)) for event in events] == [
        ("registered", Register("patients", FIRST))
    ]


def test_two_owners_may_use_one_name() -> None:
    made = bench(("bob", "register", Register("patients", SECOND)))
    assert [key for key, _ in made.view.scan("data/")] == ["data/ada/patients", "data/bob/patients"]


def test_a_name_is_taken_once() -> None:
    assert bench().refused("ada", "register", Register("patients", FIRST)) == "already-registered"


@pytest.mark.parametrize("name", ["", "A", "a/b", "-a", "a" * 64, "a\n", "é", "a b"])
def test_bad_names(name: str) -> None:
    assert bench().refused("ada", "register", Register(name, FIRST)) == "bad-name"


DESCRIBED = Description("csv", "Hearts\nof 2013", "research", 100, 2, (Column("age", "int64"),))


@pytest.mark.parametrize(
    "description",
    [
        replace(DESCRIBED, kind="exe"),
        replace(DESCRIBED, label="x" * 501),
        replace(DESCRIBED, label="Hearts\x1b[2J"),
        replace(DESCRIBED, purpose="research\u202e"),
        replace(DESCRIBED, plain_bytes=-1),
        replace(DESCRIBED, chunks=0),
        replace(DESCRIBED, columns=(Column("\x9b2J", "int64"),)),
        replace(DESCRIBED, columns=(Column("age", "x" * 200),)),
    ],
)
def test_descriptions_that_nobody_should_be_shown(description: Description) -> None:
    made = bench()
    assert made.refused("ada", "register", Register("rows", FIRST, description)) == "bad-description"
    made.call("ada", "register", Register("rows", FIRST, DESCRIBED))


def test_authorize() -> None:
    made = bench()
    id_, events = made.call(*AUTHORIZED)
    assert made.view.load(Grant, "grant/ada/patients/bob") == Grant(True, made.time_ms, id_)
    assert authorization(made.view, id_) == Authorize(DATA, BOB)
    assert is_authorization_in_force(made.view, id_)
    assert [event.name for event in events] == ["authorized"]
    assert may_receive(made.view, DATA, BOB)
    assert not may_receive(made.view, DATA, CID)


def test_only_the_owner_authorizes() -> None:
    assert bench().refused("bob", "authorize", Authorize(DATA, BOB)) == "not-owner"
    assert bench(AUTHORIZED).refused("bob", "authorize", Authorize(DATA, CID)) == "not-owner"


@pytest.mark.parametrize("data", ["ada/nothing", "patients", "", "ada/", "ada/patients/bob"])
def test_unknown_data(data: str) -> None:
    assert bench().refused("ada", "authorize", Authorize(data, BOB)) == "unknown-data"
    assert bench().refused("ada", "unauthorize", Unauthorize(data, BOB)) == "unknown-data"
    assert bench().refused("ada", "share", ShareData(data, BOB, FIRST)) == "unknown-data"


def test_whom_not_to_authorize() -> None:
    assert bench().refused("ada", "authorize", Authorize(DATA, OrgId("eve"))) == "unknown-recipient"
    assert bench().refused("ada", "authorize", Authorize(DATA, OrgId("ada"))) == "own-data"
    assert bench(AUTHORIZED).refused(*AUTHORIZED) == "already-authorized"


def test_unauthorize() -> None:
    made = bench(AUTHORIZED)
    id_, events = made.call(*WITHDRAWN)
    assert made.view.load(Grant, "grant/ada/patients/bob") == Grant(False, made.time_ms, id_)
    assert [event.name for event in events] == ["unauthorized"]
    assert not may_receive(made.view, DATA, BOB)


def test_an_authorization_given_anew_is_another_one() -> None:
    made = bench()
    first, _ = made.call(*AUTHORIZED)
    made.call(*WITHDRAWN)
    assert not is_authorization_in_force(made.view, first)
    second, _ = made.call(*AUTHORIZED)
    assert [is_authorization_in_force(made.view, id_) for id_ in (first, second)] == [False, True]
    assert authorization(made.view, Digest(bytes(32))) is None


def test_versions_by_number() -> None:
    made = bench(("ada", "register", Register("patients", SECOND)))
    found = [version(made.view, DATA, number) for number in (-1, 0, 1, 2, 3)]
    assert [one and one.commitment for one in found] == [None, None, FIRST, SECOND, None]
    assert version(made.view, "ada/nothing", 1) is None


def test_only_the_owner_withdraws_what_was_given() -> None:
    assert bench(AUTHORIZED).refused("bob", "unauthorize", Unauthorize(DATA, BOB)) == "not-owner"
    assert bench().refused(*WITHDRAWN) == "not-authorized"
    assert bench(AUTHORIZED, WITHDRAWN).refused(*WITHDRAWN) == "revoked"


def test_share() -> None:
    made = bench(AUTHORIZED)
    id_, events = made.call("ada", "share", ShareData(DATA, BOB, SECOND))
    assert made.view.load(Share, f"share/{DATA}/bob/{SECOND.hex()}") == Share(id_, made.time_ms)
    assert [(event.name, decode(ShareData, event.body)) for event in events] == [
        ("shared", ShareData(DATA, BOB, SECOND))
    ]


def test_only_an_authorized_recipient_receives() -> None:
    share = ("ada", "share", ShareData(DATA, BOB, SECOND))
    assert bench().refused(*share) == "not-authorized"
    assert bench(AUTHORIZED, WITHDRAWN).refused(*share) == "revoked"
    assert bench(("ada", "authorize", Authorize(DATA, CID))).refused(*share) == "not-authorized"
    bench(AUTHORIZED, WITHDRAWN, AUTHORIZED, share)


def test_only_the_owner_shares_and_each_handing_over_once() -> None:
    share = ("ada", "share", ShareData(DATA, BOB, SECOND))
    assert bench(AUTHORIZED).refused("bob", "share", ShareData(DATA, BOB, SECOND)) == "not-owner"
    assert bench(AUTHORIZED, share).refused(*share) == "already-shared"


def test_a_recipient_that_left_the_network_receives_nothing() -> None:
    made = bench(AUTHORIZED)
    made.members = MemberSet(tuple(member for member in made.members.members if member.org != BOB))
    assert made.refused("ada", "share", ShareData(DATA, BOB, SECOND)) == "unknown-recipient"
