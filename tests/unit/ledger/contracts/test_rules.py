"""Organisations' own contracts, rule by rule: what is deployed, from when it holds, and what it decides."""

import contextlib
from dataclasses import replace

import pytest

from node.base.codec import encode
from node.base.crypto import digest
from node.base.ports import Writes
from node.base.types import Digest, Height, MemberSet, OrgId, Parameters
from node.ledger.contracts import rules
from node.ledger.contracts.contract import BLOCK_STEPS_MAX, ORGANISATION_STEPS_MAX, Budget, Frame, Rejected
from node.ledger.contracts.rules import (
    RULES,
    AgreementFacts,
    BrokenRules,
    Counts,
    DataFacts,
    Date,
    Decision,
    Deploy,
    Facts,
    Line,
    Otherwise,
    Outcome,
    Planned,
    RuleSet,
    Schedule,
    Upgrade,
    Version,
    rules_digest,
)
from node.ledger.contracts.rules.compiled import compiling_cost, ready
from node.ledger.contracts.sharing import SHARING, Register
from node.testing.contract_bench import CHAIN, ContractBench
from node.testing.signing import verify_hash

NOBODY = Otherwise(Outcome.ERROR, "only north and east ask for this")
RULE_SET = RuleSet(
    name="patients-access",
    data=("patients",),
    dates=(),
    lines=(
        Line('requester == "north"', Outcome.ALLOW, ""),
        Line('requester == "east"', Outcome.REFUSE, "east has its own"),
    ),
    otherwise=NOBODY,
)
CONTRACT, DATA = "ada/patients-access", "ada/patients"
ORGS = ("ada", "east", "north", "west")


def bench(*deployed: RuleSet) -> ContractBench:
    """Ada has registered two data sets; then the deployments."""
    made = ContractBench(RULES, ORGS)
    for name in ("patients", "scans"):
        made.call("ada", "register", Register(name, Digest(digest(name))), contract=SHARING)
    for rule_set in deployed:
        made.call("ada", "deploy", Deploy(rule_set))
    return made


def frame(height: int, budget: Budget | None = None) -> Frame:
    nobody = MemberSet(())
    return Frame(
        CHAIN, Height(height), 5_000, nobody, nobody, Parameters(), verify_hash, Budget() if budget is None else budget
    )


def facts(requester: str, **changes: object) -> Facts:
    asked = Facts(
        OrgId(requester), "research", "train", DataFacts("patients", OrgId("ada")), None, now_ms=5_000, counts=Counts()
    )
    return replace(asked, **changes)


def decide(made: ContractBench, requester: str, *, height: int | None = None, **changes: object) -> Decision | None:
    at = made.height + 1 if height is None else height
    return rules.decide(made.state, frame(at), DATA, facts(requester, **changes))


def with_lines(*lines: str) -> RuleSet:
    return replace(RULE_SET, lines=tuple(Line(line, Outcome.ALLOW, "") for line in lines))


def test_deploy() -> None:
    made = bench()
    named = rules_digest(RULE_SET)
    planned = Planned(1, Height(made.height + 2), named)

    id_ = Digest(digest("bench", (made.height + 1).to_bytes(8, "big"), b"ada", encode(Deploy(RULE_SET))))
    version = Version(OrgId("ada"), 1, RULE_SET, named, planned.from_height, made.time_ms + 1_000, id_)
    made.expect(
        "ada",
        "deploy",
        Deploy(RULE_SET),
        writes={
            f"schedule/{CONTRACT}": Schedule(1, (planned,)),
            f"version/{CONTRACT}/00000001": version,
            f"bound/{DATA}": b"patients-access",
        },
        events=[("deployed", planned)],
    )


@pytest.mark.parametrize(
    ("requester", "outcome", "line", "code"),
    [
        ("north", Outcome.ALLOW, 1, "allowed-by-rule"),
        ("east", Outcome.REFUSE, 2, "refused-by-rule"),
        ("west", Outcome.ERROR, 0, "error-by-rule"),
    ],
)
def test_the_descriptions_example(requester: str, outcome: Outcome, line: int, code: str) -> None:
    decision = decide(bench(RULE_SET), requester)

    assert decision is not None
    assert (decision.outcome, decision.line, decision.code) == (outcome, line, code)
    assert (decision.contract, decision.version) == (CONTRACT, 1)


def test_a_decision_says_who_decided_where_and_why() -> None:
    made = bench(RULE_SET)
    east, west = decide(made, "east"), decide(made, "west")

    assert east is not None
    assert east.sentence == "By line 2 of ada/patients-access, version 1: east has its own"
    assert west is not None
    assert west.sentence == "By the default of ada/patients-access, version 1: only north and east ask for this"


def test_a_data_set_without_rules_is_not_decided() -> None:
    made = bench(RULE_SET)

    assert rules.decide(made.state, frame(made.height + 1), "ada/scans", facts("north")) is None
    assert rules.decide(made.state, frame(made.height + 1), "bob/patients", facts("north")) is None
    assert rules.decides_over(made.state, DATA, Height(made.height + 1)) == CONTRACT
    assert rules.decides_over(made.state, "ada/scans", Height(made.height + 1)) is None


def test_a_contract_does_not_decide_in_its_own_block() -> None:
    made = bench(RULE_SET)

    assert decide(made, "north", height=made.height) is None


def test_an_upgrade_holds_from_its_height_on_and_changes_nothing_before() -> None:
    made = bench(RULE_SET)
    closed = replace(RULE_SET, lines=(), otherwise=Otherwise(Outcome.REFUSE, "closed"))
    made.call("ada", "upgrade", Upgrade(closed, Height(50)))

    before, after = decide(made, "north", height=49), decide(made, "north", height=50)

    assert before is not None
    assert after is not None
    assert (before.outcome, before.version) == (Outcome.ALLOW, 1)
    assert (after.outcome, after.version, after.line) == (Outcome.REFUSE, 2, 0)
    assert [v.rules for v in rules.history(made.view, CONTRACT)] == [RULE_SET, closed]


def test_an_upgrade_may_end_the_rules() -> None:
    made = bench(RULE_SET)
    made.call("ada", "upgrade", Upgrade(replace(RULE_SET, data=()), Height(0)))

    assert decide(made, "north") is None


def test_a_data_set_moves_to_another_contract_only_when_the_first_has_left_it() -> None:
    made = bench(RULE_SET)
    other = replace(RULE_SET, name="other")

    assert made.refused("ada", "deploy", Deploy(other)) == "bound-elsewhere"
    made.call("ada", "upgrade", Upgrade(replace(RULE_SET, data=()), Height(made.height + 3)))
    assert made.refused("ada", "deploy", Deploy(other)) == "bound-elsewhere"
    made.call("ada", "deploy", Deploy(other))
    decision = decide(made, "north")
    assert decision is not None
    assert decision.contract == "ada/other"


def test_the_version_in_force_stays_for_its_own_block() -> None:
    made = bench(RULE_SET)
    for number in range(20):
        made.call(
            "ada", "upgrade", Upgrade(replace(RULE_SET, otherwise=Otherwise(Outcome.REFUSE, f"{number}")), Height(0))
        )
        decision = decide(made, "north", height=made.height)
        assert decision is not None
        assert decision.version == number + 1


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        (("true", "requester =="), "rule-does-not-parse", 2),
        (("nobody == 1",), "rule-does-not-type-check", 1),
        (("requester == 1",), "rule-does-not-type-check", 1),
        (("true", "true", "1.5 > 1.0"), "rule-not-allowed", 3),
        (("timestamp(now_ms) > timestamp(0)",), "rule-not-allowed", 1),
        (("now_ms",), "rule-not-true-or-false", 1),
        (("a" * 1_001,), "rule-too-long", 1),
        (
            ("agreement.parties.all(a, agreement.parties.all(b, agreement.parties.all(c, a != b)))",),
            "rule-too-costly",
            1,
        ),
    ],
)
def test_a_broken_contract_changes_nothing_and_the_refusal_says_where(
    lines: tuple[str, ...], code: str, number: int
) -> None:
    made = bench(RULE_SET)
    broken = with_lines(*lines)

    with pytest.raises(Rejected) as refused:
        made.call("ada", "deploy", Deploy(replace(broken, name="new", data=("scans",))))
    assert made.refused("ada", "upgrade", Upgrade(broken, Height(0))) == code

    assert refused.value.code == code
    assert f"line {number}" in refused.value.reason
    decision = decide(made, "north")
    assert decision is not None
    assert decision.version == 1


@pytest.mark.parametrize(
    ("rule_set", "code"),
    [
        (replace(RULE_SET, name="Bad Name"), "bad-name"),
        (replace(RULE_SET, data=()), "bad-data"),
        (replace(RULE_SET, data=("scans", "patients")), "bad-data"),
        (replace(RULE_SET, data=("patients", "patients")), "bad-data"),
        (replace(RULE_SET, data=("../x",)), "bad-data"),
        (replace(RULE_SET, data=("unknown",)), "unknown-data"),
        (replace(RULE_SET, dates=(Date("B", 1),)), "bad-dates"),
        (replace(RULE_SET, dates=(Date("a", -1),)), "bad-dates"),
        (replace(RULE_SET, dates=(Date("b", 1), Date("a", 1))), "bad-dates"),
        (with_lines(*["true"] * 65), "too-many-lines"),
        (replace(RULE_SET, otherwise=Otherwise(Outcome.REFUSE, "x" * 201)), "bad-words"),
        (replace(RULE_SET, otherwise=Otherwise(Outcome.REFUSE, "no\x1b[2J")), "bad-words"),
        (replace(RULE_SET, lines=(Line("true", Outcome.ALLOW, "yes\u202e"),)), "bad-words"),
        (with_lines(*["true" + " " * 990] * 9), "rule-too-long"),
        (with_lines(*["agreement.parties.exists(p, p == requester + requester)"] * 30), "rule-too-costly"),
    ],
)
def test_what_is_no_contract(rule_set: RuleSet, code: str) -> None:
    assert bench().refused("ada", "deploy", Deploy(rule_set)) == code


def test_only_the_owner_of_the_data_decides_over_it() -> None:
    assert bench().refused("east", "deploy", Deploy(RULE_SET)) == "unknown-data"


def test_deployed_once_and_upgraded_only_when_deployed() -> None:
    made = bench(RULE_SET)

    assert made.refused("ada", "deploy", Deploy(RULE_SET)) == "already-deployed"
    assert made.refused("ada", "upgrade", Upgrade(replace(RULE_SET, name="other"), Height(0))) == "unknown-contract"


def test_the_heights_that_an_upgrade_may_name() -> None:
    made = bench(RULE_SET)

    assert made.refused("ada", "upgrade", Upgrade(RULE_SET, Height(made.height))) == "bad-height"
    assert made.refused("ada", "upgrade", Upgrade(RULE_SET, Height(2_000_000))) == "bad-height"
    made.call("ada", "upgrade", Upgrade(RULE_SET, Height(100)))
    assert made.refused("ada", "upgrade", Upgrade(RULE_SET, Height(100))) == "bad-height"
    assert made.refused("ada", "upgrade", Upgrade(RULE_SET, Height(60))) == "bad-height"
    for height in range(101, 107):
        made.call("ada", "upgrade", Upgrade(RULE_SET, Height(height)))
    assert made.refused("ada", "upgrade", Upgrade(RULE_SET, Height(200))) == "too-many-planned"


def test_contracts_of_an_organisation_are_counted() -> None:
    made = bench()
    for number in range(64):
        made.call("ada", "register", Register(f"d{number}", Digest(bytes(32))), contract=SHARING)
        made.call("ada", "deploy", Deploy(replace(RULE_SET, name=f"c{number}", data=(f"d{number}",))))

    assert made.refused("ada", "deploy", Deploy(RULE_SET)) == "too-many-contracts"


AGREEMENT = AgreementFacts(
    Digest(bytes(32)), "Heart", ("ada", "north"), ("research",), ("train",), in_force=True, expires_ms=9_000
)


@pytest.mark.parametrize(
    ("when", "changes"),
    [
        ('purpose == "research" && operation == "train"', {}),
        ('data.owner == "ada" && data.name == "patients" && data.version == 1', {}),
        (
            'data.kind == "csv" && data.schema == "ada/heart/2"',
            {"data": DataFacts("patients", OrgId("ada"), kind="csv", schema="ada/heart/2")},
        ),
        ("now_ms == 5000 && !agreement.present", {}),
        (
            "agreement.in_force && requester in agreement.parties && agreement.expires_ms > now_ms",
            {"agreement": AGREEMENT},
        ),
        (
            'purpose in agreement.purposes && operation in agreement.operations && agreement.title == "Heart"',
            {"agreement": AGREEMENT},
        ),
        (
            "counts.granted == 1 && counts.fetched == 2 && counts.granted_all == 3 && counts.fetched_all == 4",
            {"counts": Counts(1, 2, 3, 4)},
        ),
    ],
)
def test_what_a_condition_reads(when: str, changes: dict[str, object]) -> None:
    decision = decide(bench(with_lines(when)), "north", **changes)

    assert decision is not None
    assert decision.outcome is Outcome.ALLOW


def test_a_date_has_a_name() -> None:
    made = bench(replace(with_lines("now_ms >= dates.opening"), dates=(Date("closing", 9_000), Date("opening", 6_000))))

    early, late = decide(made, "north"), decide(made, "north", now_ms=6_000)

    assert early is not None
    assert late is not None
    assert (early.outcome, late.outcome) == (Outcome.ERROR, Outcome.ALLOW)


@pytest.mark.parametrize(
    ("when", "changes"),
    [
        ('agreement.title == "Heart"', {}),
        ("counts.granted / 0 == 1", {}),
        ('agreement.parties[5] == "ada"', {"agreement": AGREEMENT}),
        ('purpose == "x"', {"purpose": "x" * 2_001}),
    ],
)
def test_what_comes_to_neither_true_nor_false_refuses(when: str, changes: dict[str, object]) -> None:
    made = bench(with_lines(when, "true"))

    decision = decide(made, "north", **changes)

    assert decision is not None
    assert (decision.outcome, decision.code, decision.line) == (Outcome.REFUSE, "rule-undecided", 1)


def test_a_contract_that_a_later_cel_does_not_take_refuses() -> None:
    # As if it had been deployed under a version that took this.
    made = bench(RULE_SET)
    put(made, replace(RULE_SET, lines=(*RULE_SET.lines, Line("1.5 > 1.0", Outcome.ALLOW, ""))))

    for _ in range(2):
        decision = decide(made, "north")
        assert decision is not None
        assert (decision.outcome, decision.code, decision.line) == (Outcome.REFUSE, "rule-undecided", 3)


def put(made: ContractBench, rule_set: RuleSet) -> None:
    """As deployed, and compiled by nobody."""
    named = rules_digest(rule_set)
    version = Version(OrgId("ada"), 1, rule_set, named, Height(1), 0, Digest(bytes(32)))
    schedule = Schedule(1, (Planned(1, Height(1), named),))
    stored = {f"schedule/{CONTRACT}": schedule, f"version/{CONTRACT}/00000001": version}
    writes = tuple((f"rules/{key}".encode(), encode(value)) for key, value in stored.items())
    made.state.apply(Writes(writes, ()))


def test_a_block_that_has_no_budget_left_compiles_nothing() -> None:
    made, unseen = bench(RULE_SET), replace(RULE_SET, otherwise=Otherwise(Outcome.REFUSE, "compiled by nobody"))
    put(made, unseen)
    budget = Budget()
    budget.spend(OrgId("north"), ORGANISATION_STEPS_MAX)

    with pytest.raises(Rejected, match="budget-spent"):
        rules.decide(made.state, frame(made.height + 1, budget), DATA, facts("north"))

    assert loads(unseen) == 1


def loads(rule_set: RuleSet) -> int:
    """How often the rule set is asked for to be compiled."""
    loaded: list[RuleSet] = []

    def load() -> RuleSet:
        loaded.append(rule_set)
        return rule_set

    with contextlib.suppress(BrokenRules):
        ready(rules_digest(rule_set), load)
    return len(loaded)


def test_what_is_broken_is_compiled_once() -> None:
    broken = with_lines("requester == 'compiled once'", "1.5 > 1.0")

    assert [loads(broken), loads(broken)] == [1, 0]


def test_a_block_compiles_for_a_tenth_of_a_second_however_small_contracts_are() -> None:
    # A millisecond each is what the language of a contract's own dates takes.
    assert BLOCK_STEPS_MAX // compiling_cost(with_lines("true")) < 100


def test_a_block_decides_no_more_than_its_budget() -> None:
    made = bench(with_lines('agreement.parties.exists(p, p == requester) || purpose.contains("heart")'))
    budget = Budget()
    decided = {"north": 0, "west": 0, "east": 0}

    def ask_until_refused(org: str) -> None:
        for _ in range(10_000):
            rules.decide(made.state, frame(made.height + 1, budget), DATA, facts(org))
            decided[org] += 1

    for org in decided:
        with pytest.raises(Rejected, match="budget-spent"):
            ask_until_refused(org)

    assert decided["north"] > 100
    # Half of the block for one, the rest for the next, nothing for a third.
    assert 0 <= decided["west"] - decided["north"] <= 30
    assert decided["east"] <= 1
    assert ORGANISATION_STEPS_MAX * 2 == BLOCK_STEPS_MAX
    assert rules.decide(made.state, frame(made.height + 2), DATA, facts("east")) is not None
