"""Requests that the owner's rules decide, in the block that brings them."""

import pytest

from node.base.crypto import digest
from node.base.types import Digest, OrgId
from node.ledger.contracts import access
from node.ledger.contracts.access import ACCESS, Ask, Request, State
from node.ledger.contracts.access.store import counts
from node.ledger.contracts.access.store import request as request_of
from node.ledger.contracts.agreements import AGREEMENTS, Operation, Sign, Terms
from node.ledger.contracts.contract import Rejected
from node.ledger.contracts.rules import RULES, Deploy, Line, Otherwise, Outcome, RuleSet
from node.ledger.contracts.sharing import SHARING, Register
from node.testing.contract_bench import ContractBench

DATA = "ada/patients"


def bench(*lines: Line, otherwise: Outcome = Outcome.ERROR) -> ContractBench:
    made = ContractBench(ACCESS, ("ada", "bob", "cid", "dot"))
    made.call("ada", "register", Register("patients", Digest(digest("patients"))), contract=SHARING)
    rules = RuleSet("access", ("patients",), (), lines, Otherwise(otherwise, "only bob and cid ask"))
    made.call("ada", "deploy", Deploy(rules), contract=RULES)
    return made


EXAMPLE = (Line('requester == "bob"', Outcome.ALLOW, ""), Line('requester == "cid"', Outcome.REFUSE, "not for cid"))


def ask(made: ContractBench, org: str, purpose: str = "research", agreement: Digest | None = None) -> Request:
    id_, _ = made.call(org, "request", Ask(DATA, purpose, Operation.TRAIN, agreement, ""))
    found = request_of(made.view, id_)
    assert found is not None
    return found


def test_a_line_that_allows_grants_in_the_block() -> None:
    made = bench(*EXAMPLE)

    id_, events = made.call("bob", "request", Ask(DATA, "research", Operation.TRAIN, None, ""))

    found = request_of(made.view, id_)
    assert found is not None
    assert (found.state, found.rule_line) == (State.GRANTED, 1)
    assert found.why == "By line 1 of ada/access, version 1"
    assert [event.name for event in events] == ["requested", "granted"]
    assert access.refusal_of_basis(made.state, id_, time_ms=made.time_ms) is None
    # The owner's daemon seals afterwards: it is due.
    assert [key for key, _ in made.view.scan("due/ada/")] == [f"due/ada/{id_.hex()}/00000001"]


def test_a_line_that_refuses_says_which_and_why() -> None:
    found = ask(bench(*EXAMPLE), "cid")

    assert (found.state, found.rule_line) == (State.REFUSED, 2)
    assert found.why == "By line 2 of ada/access, version 1: not for cid"


def test_an_error_leaves_no_request() -> None:
    made = bench(*EXAMPLE)

    with pytest.raises(Rejected) as refused:
        ask(made, "dot")

    assert refused.value.code == "error-by-rule"
    assert refused.value.reason == "By the default of ada/access, version 1: only bob and cid ask"
    assert list(made.view.scan("request/")) == []


def test_a_condition_that_comes_to_nothing_refuses() -> None:
    found = ask(bench(Line('agreement.title == "x"', Outcome.ALLOW, ""), Line("true", Outcome.ALLOW, "")), "bob")

    assert (found.state, found.rule_line) == (State.REFUSED, 1)


def test_without_rules_it_waits_for_a_person() -> None:
    made = ContractBench(ACCESS, ("ada", "bob"))
    made.call("ada", "register", Register("patients", Digest(digest("patients"))), contract=SHARING)

    assert ask(made, "bob").state is State.WAITING


def test_counts_end_what_they_limit() -> None:
    made = bench(Line("counts.granted >= 2", Outcome.REFUSE, "twice is enough"), otherwise=Outcome.ALLOW)

    states = [ask(made, "bob").state for _ in range(3)]

    assert states == [State.GRANTED, State.GRANTED, State.REFUSED]
    assert ask(made, "cid").state is State.GRANTED
    assert counts(made.view, DATA).grants == 3


def test_a_condition_reads_the_agreement() -> None:
    when = 'agreement.present && agreement.title == "Heart" && agreement.in_force && purpose in agreement.purposes'
    made = bench(Line(when, Outcome.ALLOW, ""), otherwise=Outcome.REFUSE)
    parties = (OrgId("ada"), OrgId("bob"))
    terms = Terms("Heart", parties, (DATA,), ("research",), (Operation.TRAIN,), 1 << 40, "")
    id_, _ = made.call("ada", "draft", terms, contract=AGREEMENTS)
    made.call("bob", "sign", Sign(id_), contract=AGREEMENTS)

    assert ask(made, "bob", agreement=id_).state is State.GRANTED
    assert ask(made, "bob").state is State.REFUSED
