"""Organisations' own contracts: ordered conditions in CEL that decide over requests for their data.

A contract is data, not code: lines of `when` → allow, refuse or error, and a default. Its conditions are typed,
fenced and priced (`node.base.expressions`) before it is taken, so that every member comes to the same decision in a
known time; whatever a condition comes to besides true and false refuses. Versions are never changed; an upgrade names
the height from which it holds. Who asks for a decision is the contract `access`.

====================================  ============================================================
key                                   value
====================================  ============================================================
``schedule/<owner>/<name>``           `Schedule`: which version holds when
``version/<owner>/<name>/<number>``   `Version`: every one
``bound/<owner>/<data>``              the name of the contract that decides over the data set
====================================  ============================================================

- `types`      what it is asked and keeps
- `facts`      what conditions can read
- `compiled`   a rule set checked and made ready to decide
- `deploying`  its methods
- `store`      its keys, and how others read them

Refusals: bad-name, bad-data, bad-dates, too-many-lines, bad-words, rule-does-not-parse, rule-does-not-type-check,
rule-not-allowed, rule-not-true-or-false, rule-too-long, rule-too-costly, already-deployed, unknown-contract,
too-many-contracts, bad-height, too-many-versions, too-many-planned, unknown-data, bound-elsewhere, budget-spent. Of
decisions: refused-by-rule, error-by-rule, rule-undecided.
"""

from node.base.types import Height
from node.ledger.contracts.contract import Contract, Frame, Method, Readable, View, view
from node.ledger.contracts.rules.compiled import (
    UNDECIDED,
    BrokenRules,
    Compiled,
    compile_rules,
    compiling_cost,
    ready,
)
from node.ledger.contracts.rules.deploying import deploy, upgrade
from node.ledger.contracts.rules.facts import VARIABLES, AgreementFacts, Counts, DataFacts, Facts
from node.ledger.contracts.rules.store import NAME, binding, contracts, history, schedule_of, version_of
from node.ledger.contracts.rules.types import (
    Date,
    Decision,
    Deploy,
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

__all__ = [
    "NAME",
    "RULES",
    "VARIABLES",
    "AgreementFacts",
    "BrokenRules",
    "Compiled",
    "Counts",
    "DataFacts",
    "Date",
    "Decision",
    "Deploy",
    "Facts",
    "Line",
    "Otherwise",
    "Outcome",
    "Planned",
    "RuleSet",
    "Schedule",
    "Upgrade",
    "Version",
    "binding",
    "compile_rules",
    "contracts",
    "decide",
    "decides_over",
    "history",
    "rules_digest",
    "schedule_of",
    "version_of",
]


def decide(ledger: Readable, frame: Frame, data: str, facts: Facts) -> Decision | None:
    """What the owner's rules say to a request for the data set called `owner/name`; None where it has none for it.

    Its price is taken from the block's budget, in the requester's name. Raises `Rejected` when that is spent.
    """
    rules = view(ledger, NAME)
    found = binding(rules, data, frame.height)
    if found is None:
        return None
    contract, planned = found

    def pay(rules_: RuleSet) -> RuleSet:
        # A member that was just started has to compile first: each block pays for that once for each contract, before.
        frame.budget.spend_once(facts.requester, planned.digest, compiling_cost(rules_))
        return rules_

    try:
        compiled = ready(planned.digest, lambda: pay(_rules_of(rules, contract, planned.number)))
    except BrokenRules as broken:
        # A CEL that was adopted since may take less than the one under which the contract was deployed.
        written = pay(_rules_of(rules, contract, planned.number))
        return _undecided(contract, planned, broken) if data.partition("/")[2] in written.data else None
    pay(compiled.rules)
    if data.partition("/")[2] not in compiled.rules.data:
        return None
    frame.budget.spend(facts.requester, compiled.cost)
    return compiled.decide(facts, contract, planned.number)


def _undecided(contract: str, planned: Planned, broken: BrokenRules) -> Decision:
    words = "the network's version of CEL does not take this contract, which refuses; its owner must upgrade it"
    return Decision(Outcome.REFUSE, contract, planned.number, broken.line, UNDECIDED, words)


def _rules_of(rules: View, contract: str, number: int) -> RuleSet:
    version = version_of(rules, contract, number)
    assert version is not None, "a planned version is on the ledger"
    return version.rules


def decides_over(ledger: Readable, data: str, height: Height) -> str | None:
    """`owner/name` of the contract that decides over the data set at this height, if there is one."""
    found = binding(view(ledger, NAME), data, height)
    if found is None:
        return None
    version = version_of(view(ledger, NAME), found[0], found[1].number)
    return found[0] if version is not None and data.partition("/")[2] in version.rules.data else None


RULES = Contract(NAME, {"deploy": Method(Deploy, deploy), "upgrade": Method(Upgrade, upgrade)})
