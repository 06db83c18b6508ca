"""Agreements, rule by rule: a state, a call, and the writes and events that are expected."""

from dataclasses import replace

import pytest

from node.base.codec import decode
from node.base.types import Digest, OrgId
from node.ledger.contracts.agreements import (
    AGREEMENTS,
    CONDITIONS_CHARACTERS_MAX,
    TERM_MS_MAX,
    Agreement,
    AgreementEvent,
    Operation,
    Sign,
    Signed,
    Terms,
    Withdraw,
    Withdrawn,
    agreement,
    all_agreements,
    why_not_in_force,
)
from node.testing.contract_bench import ContractBench

ADA, BOB, CID = OrgId("ada"), OrgId("bob"), OrgId("cid")
EXPIRES_MS = 2_000_000
TERMS = Terms(
    title="Heart study",
    parties=(ADA, BOB, CID),
    data=("ada/patients", "bob/patients"),
    purposes=("heart research", "teaching"),
    operations=(Operation.TRAIN, Operation.DOWNLOAD),
    expires_ms=EXPIRES_MS,
    conditions="No names.\nDelete within a year.",
)


def bench() -> ContractBench:
    return ContractBench(AGREEMENTS, ("ada", "bob", "cid", "dot"))


def drafted(*signers: str) -> tuple[ContractBench, Digest]:
    made = bench()
    id_, _ = made.call("ada", "draft", TERMS)
    for org in signers:
        made.call(org, "sign", Sign(id_))
    return made, id_


def why_not(made: ContractBench, id_: Digest, time_ms: int | None = None) -> str:
    found = agreement(made.view, id_)
    assert found is not None
    refusal = why_not_in_force(found, time_ms=time_ms or made.time_ms)
    return "" if refusal is None else refusal.code


def test_who_drafts_has_signed() -> None:
    made = bench()
    id_, events = made.call("ada", "draft", TERMS)
    assert agreement(made.view, id_) == Agreement(TERMS, ADA, (Signed(ADA, made.time_ms),), None)
    assert [key for key, _ in made.view.scan("")] == [f"agreement/{id_.hex()}"]
    assert [(e.name, decode(AgreementEvent, e.body)) for e in events] == [
        ("drafted", AgreementEvent(id_, ADA, "Heart study"))
    ]
    assert why_not(made, id_) == "not-signed"


def test_in_force_when_all_have_signed() -> None:
    made, id_ = drafted("cid")
    assert why_not(made, id_) == "not-signed"
    _, events = made.call("bob", "sign", Sign(id_))
    assert [event.name for event in events] == ["signed", "in-force"]
    assert why_not(made, id_) == ""
    assert [found for found, _ in all_agreements(made.view)] == [id_]


def test_it_ends_with_its_term_to_the_millisecond() -> None:
    made, id_ = drafted("bob", "cid")
    assert why_not(made, id_, EXPIRES_MS - 1) == ""
    assert why_not(made, id_, EXPIRES_MS) == "expired"


@pytest.mark.parametrize("signers", [(), ("bob",), ("bob", "cid")])
def test_any_partys_withdrawal_ends_it_at_once(signers: tuple[str, ...]) -> None:
    made, id_ = drafted(*signers)
    _, events = made.call("cid", "withdraw", Withdraw(id_, "our board said no"))
    found = agreement(made.view, id_)
    assert found is not None
    assert found.withdrawn == Withdrawn(CID, "our board said no", made.time_ms)
    assert why_not(made, id_) == "withdrawn"
    assert [(e.name, decode(AgreementEvent, e.body).words) for e in events] == [("withdrawn", "our board said no")]
    assert made.refused("bob", "sign", Sign(id_)) == "withdrawn"
    assert made.refused("ada", "withdraw", Withdraw(id_, "")) == "withdrawn"


def test_who_may_not_sign_or_withdraw() -> None:
    made, id_ = drafted("bob")
    assert made.refused("ada", "sign", Sign(id_)) == "already-signed"
    assert made.refused("bob", "sign", Sign(id_)) == "already-signed"
    assert made.refused("dot", "sign", Sign(id_)) == "not-party"
    assert made.refused("dot", "withdraw", Withdraw(id_, "")) == "not-party"
    assert made.refused("cid", "withdraw", Withdraw(id_, "two\nlines")) == "bad-reason"
    unknown = Digest(bytes(32))
    assert made.refused("ada", "sign", Sign(unknown)) == "unknown-agreement"
    assert made.refused("ada", "withdraw", Withdraw(unknown, "")) == "unknown-agreement"


def test_after_its_term_nobody_signs_or_withdraws() -> None:
    made, id_ = drafted("bob")
    made.time_ms = EXPIRES_MS - 2_000
    made.call("cid", "sign", Sign(id_))
    assert made.refused("cid", "withdraw", Withdraw(id_, "")) == "expired"
    assert made.refused("ada", "sign", Sign(id_)) == "expired"


@pytest.mark.parametrize(
    "changed",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"title": "two\nlines"},
        {"title": "turned \u202e round"},
        {"parties": (ADA,)},
        {"parties": (BOB, ADA)},
        {"parties": (ADA, ADA, BOB)},
        {"data": ()},
        {"data": ("bob/patients", "ada/patients")},
        {"data": tuple(f"ada/x{number:03}" for number in range(65))},
        {"purposes": ()},
        {"purposes": ("",)},
        {"purposes": ("b", "a")},
        {"purposes": ("x" * 201,)},
        {"operations": ()},
        {"operations": (Operation.DOWNLOAD, Operation.TRAIN)},
        {"expires_ms": 1_001_000},
        {"expires_ms": 1_001_000 + TERM_MS_MAX + 1},
        {"conditions": "x" * (CONDITIONS_CHARACTERS_MAX + 1)},
        {"conditions": "\0"},
    ],
)
def test_bad_terms(changed: dict[str, object]) -> None:
    assert bench().refused("ada", "draft", replace(TERMS, **changed)) == "bad-terms"


@pytest.mark.parametrize("data", ["patients", "dot/patients", "ada/", "ada/x/y", "/", "Ada/x"])
def test_every_owner_is_a_party(data: str) -> None:
    assert bench().refused("ada", "draft", replace(TERMS, data=(data,))) == "not-owner-party"


def test_only_parties_draft_and_only_members_are_parties() -> None:
    assert bench().refused("dot", "draft", TERMS) == "not-party"
    stranger = replace(TERMS, parties=(ADA, BOB, OrgId("eve")))
    assert bench().refused("ada", "draft", stranger) == "not-member"
