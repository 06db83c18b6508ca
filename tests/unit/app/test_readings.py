from dataclasses import replace

import pytest

from node.api import OperatorRefusal
from node.app.moments import iso
from node.app.readings import read
from node.base.codec import encode
from node.base.ports import Writes
from node.base.types import Digest, Height, OrgId, Signature, Statement, VoteKind, statement_signing_bytes
from node.ledger.contracts.access import ACCESS, Ask, Grant
from node.ledger.contracts.agreements import AGREEMENTS, Operation, Sign, Terms
from node.ledger.contracts.evidence import NAME as EVIDENCE
from node.ledger.contracts.evidence import Report
from node.ledger.contracts.sharing import SHARING, Register
from node.ledger.memory import MemoryState
from node.ledger.system import HEAD_KEY, Head
from node.testing.contract_bench import ContractBench
from node.testing.society import Society


def test_an_unknown_topic_is_refused_and_the_known_ones_are_named():
    with pytest.raises(OperatorRefusal, match=r"it has .*membership, .*sharing") as refused:
        read("weather", MemoryState(), {})

    assert "'weather'" in str(refused.value)


def test_a_moment_beyond_the_calendar_is_shown_as_its_number():
    # A contract of another organisation may name such a date: it must stay readable.
    assert iso(1_767_225_600_000) == "2026-01-01T00:00:00Z"
    assert iso((1 << 53) - 1) == f"{(1 << 53) - 1} ms"


def test_arguments_that_the_topic_does_not_take_are_refused():
    with pytest.raises(OperatorRefusal, match="'sharing' does not take these arguments"):
        read("sharing", MemoryState(), {"owner": "basel"})


def test_agreements_and_requests_are_found_by_the_beginning_of_their_ids():
    bench = ContractBench(ACCESS, ("ada", "bob"))
    bench.call("ada", "register", Register("rows", Digest(bytes(32))), contract=SHARING)
    terms = Terms("Study", (OrgId("ada"), OrgId("bob")), ("ada/rows",), ("p",), (Operation.TRAIN,), 1 << 50, "")
    agreement, _ = bench.call("ada", "draft", replace(terms, expires_ms=bench.time_ms + 5_000), contract=AGREEMENTS)
    bench.call("bob", "sign", Sign(agreement), contract=AGREEMENTS)
    request, _ = bench.call("bob", "request", Ask("ada/rows", "p", Operation.TRAIN, agreement, ""))
    bench.call("ada", "grant", Grant(request))
    bench.state.apply(Writes(((HEAD_KEY, encode(Head(Height(9), 1 << 45))),), ()))

    (shown,) = read("agreements", bench.state, {"agreement": agreement.hex()[:6]})
    (asked,) = read("access", bench.state, {"request": request.hex()[:6]})

    assert (shown["state"], shown["missing"], shown["operations"]) == ("expired", [], ["train"])
    assert (asked["state"], asked["stands"], asked["fetches"]) == ("granted", False, 0)
    assert "expired" in asked["why_not"]
    assert read("access", bench.state, {"org": "eve"}) == read("access", bench.state, {"data": "ada/other"}) == []
    for topic, argument in (("agreements", "agreement"), ("access", "request")):
        with pytest.raises(OperatorRefusal, match=r"begins? with 'zz'"):
            read(topic, bench.state, {argument: "zz"})


def test_a_proven_contradiction_is_shown_with_the_members():
    society = Society(["ada", "bob", "cid", "dot"])
    society.blocks(1)
    blank = Statement(VoteKind.PREPARE, OrgId("dot"), Height(1), 3, Digest(bytes(32)), None, None, Signature(bytes(64)))
    said = []
    for mark in (b"1", b"2"):
        statement = replace(blank, block=Digest(mark * 32))
        message = statement_signing_bytes(society.founding.chain, statement)
        said.append(replace(statement, signature=Signature(society.node_signer("dot").sign(message))))
    assert read("membership", society.state, {})["faults"] == []

    assert society.call("ada", "report", Report(*said), contract=EVIDENCE).code == "ok"

    (shown,) = read("membership", society.state, {})["faults"]
    assert (shown["org"], shown["signed_twice"], shown["height"], shown["round"]) == ("dot", "prepare", 1, 3)
    assert (shown["reporter"], shown["suspended"]) == ("ada", True)
