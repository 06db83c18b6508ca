"""Part `sharing-rules`: how many requests an organisation's contract decides in a second on one core.

`decisions_per_s`: a contract of 20 rules whose last one decides, asked through the ledger as a request's block asks it:
binding, schedule, facts, conditions. Processor time of one thread; every decision has facts of its own. Beside it what
one block may decide at most, and how long the first decision takes after a start, when the contract is compiled.
"""

import time
from dataclasses import replace

from node.base.crypto import digest
from node.base.types import Digest, Height, MemberSet, OrgId, Parameters
from node.ledger.contracts import rules
from node.ledger.contracts.contract import ORGANISATION_STEPS_MAX, Frame
from node.ledger.contracts.rules import (
    RULES,
    Counts,
    DataFacts,
    Deploy,
    Facts,
    Line,
    Otherwise,
    Outcome,
    RuleSet,
    compile_rules,
)
from node.ledger.contracts.sharing import SHARING, Register
from node.testing.bench.figures import Figure
from node.testing.contract_bench import CHAIN, ContractBench
from node.testing.signing import verify_hash

RULES_COUNT = 20
DECISIONS = 20_000
PER_BLOCK = 1_000
DATA = "ada/patients"


async def measure_rulings() -> list[Figure]:
    """`decisions_per_s`."""
    bench = _deployed()
    facts = [
        Facts(
            OrgId(f"org{number}"),
            f"research {number}",
            "train",
            DataFacts("patients", OrgId("ada"), "csv", "Patients", "research", "", 1),
            None,
            1_800_000_000_000 + number,
            Counts(number % 5, number % 7, number, number),
        )
        for number in range(PER_BLOCK)
    ]
    since = time.process_time()
    compiled = compile_rules(_contract())
    compiled.decide(facts[0], DATA, 1)
    compiling_s = time.process_time() - since
    _decide(bench, facts)
    since = time.process_time()
    for _ in range(DECISIONS // PER_BLOCK):
        _decide(bench, facts)
    spent_s = time.process_time() - since
    raw = {
        "decision_us": spent_s / DECISIONS * 1e6,
        "first_decision_ms": compiling_s * 1e3,
        "rules": float(RULES_COUNT),
        "per_block_and_organisation": float(ORGANISATION_STEPS_MAX // compiled.cost),
    }
    return [Figure("decisions_per_s", DECISIONS / spent_s, raw)]


def _decide(bench: ContractBench, facts: list[Facts]) -> None:
    """One block's decisions."""
    nobody = MemberSet(())
    frame = Frame(CHAIN, Height(bench.height + 1), bench.time_ms, nobody, nobody, Parameters(), verify_hash)
    for one in facts:
        decision = rules.decide(bench.state, frame, DATA, one)
        assert decision is not None, "the data set has rules"
        assert decision.line == RULES_COUNT, "the last rule decides"


def _deployed() -> ContractBench:
    bench = ContractBench(RULES, ("ada", "bob"))
    bench.call("ada", "register", Register("patients", Digest(digest("patients"))), contract=SHARING)
    bench.call("ada", "deploy", Deploy(_contract()))
    return bench


def _contract() -> RuleSet:
    """Conditions of the kinds that the templates have; all but the last are false."""
    kinds = (
        'requester == "nobody{0}"',
        'purpose in ["marketing {0}", "insurance {0}"]',
        'operation == "download" && counts.granted > {0}',
        "now_ms < 17{0:02}000000000",
        'purpose.contains("secret {0}") || data.kind == "npz"',
    )
    lines = [Line(kinds[number % 5].format(number), Outcome.REFUSE, "") for number in range(RULES_COUNT - 1)]
    last = Line('operation == "train" && data.version >= 1', Outcome.ALLOW, "")
    return replace(_EMPTY, lines=(*lines, last))


_EMPTY = RuleSet("access", ("patients",), (), (), Otherwise(Outcome.ERROR, ""))
