"""Organisations' conditions as a target: any text through parser, type check and fence, and what passes is evaluated.

Whatever is accepted must come to one result, taken alone and in a row with others.
"""

import random
from collections.abc import Callable
from pathlib import Path

from node.base.expressions import ExpressionError, Fell, Hit, Ladder, Language, Missed
from node.base.types import Digest, Height, OrgId
from node.ledger.contracts.rules import (
    VARIABLES,
    AgreementFacts,
    Counts,
    DataFacts,
    Date,
    Deploy,
    Facts,
    Line,
    Otherwise,
    Outcome,
    RuleSet,
    Upgrade,
)
from node.ledger.contracts.rules.facts import values_of
from node.testing.fuzz.values import Known

CONDITIONS = (
    "true",
    'requester == "ada"',
    'requester in ["bob", "cid"] && now_ms < 1798761600000',
    'purpose.contains("heart") || purpose.startsWith("a") || data.label.endsWith("é")',
    "agreement.present && agreement.in_force && requester in agreement.parties",
    'agreement.parties.exists(p, p == requester) ? counts.granted < 5 : operation == "train"',
    'agreement.purposes.all(p, p != "" && size(p) < 100)',
    "-counts.fetched * 2 + now_ms / 7 - 3 >= 1 % 2",
    'agreement.parties[1] + "x" < data.owner // why',
    "now_ms in [1, 2, 9223372036854775807] || !(data.version > 2)",
    'purpose.matches("(a+)+$")',
    "timestamp(now_ms).getHours() == 1 || 1.5 > double(now_ms)",
    '{"a": dyn(1)}["a"] == null || [1u].map(x, x) == [b"a"]',
    "agreement.parties.all(a, agreement.parties.all(b, agreement.parties.all(c, a != b)))",
)

_FACTS = Facts(
    OrgId("ada"),
    "heart research",
    "train",
    DataFacts("x", OrgId("bob"), "csv", "Patients", "research", "bob/heart/1", 2),
    AgreementFacts(Digest(bytes(32)), "Heart", ("ada", "bob"), ("research",), ("train",), True, 1 << 40),
    2_000_000,
    Counts(1, 2, 3, 4),
)


def build(folder: Path) -> tuple[list[bytes], Callable[[bytes], bool]]:
    """Inputs are the condition's text."""
    language, values = Language(VARIABLES), values_of(_FACTS)
    never, always = language.compile("false"), language.compile("true")

    def feed(data: bytes) -> bool:
        try:
            condition = language.compile(data.decode(errors="replace"))
        except ExpressionError:
            return False
        alone = Ladder(language, [condition]).climb(values)
        again = Ladder(language, [never, condition, always]).climb(values)
        assert again == _after_false(alone), f"{alone} alone and {again} in a row"
        return True

    return [text.encode() for text in CONDITIONS], feed


def known_rules() -> Known:
    """Rule sets that are often nearly right."""
    return {
        RuleSet: _rule_set,
        Deploy: lambda chance: Deploy(_rule_set(chance)),
        Upgrade: lambda chance: Upgrade(_rule_set(chance), Height(chance.choice((0, 51, 52, 100, 2**62)))),
    }


def _rule_set(chance: random.Random) -> RuleSet:
    conditions = CONDITIONS[: chance.choice((2, 10, 10, 14))]
    lines = tuple(
        Line(chance.choice(conditions), chance.choice(list(Outcome)), "x" * chance.choice((0, 0, 2, 2, 200, 201)))
        for _ in range(chance.choice((0, 1, 2, 3)))
    )
    return RuleSet(
        chance.choice(("a", "a", "b", "b", "Bad")),
        chance.choice((("x",), ("x",), ("y",), ("y",), (), ("x", "y"))),
        chance.choice(((), (), (), (Date("opening", 5),), (Date("A", -1),))),
        lines,
        Otherwise(chance.choice(list(Outcome)), ""),
    )


def _after_false(found: Hit | Missed | Fell) -> Hit | Fell:
    match found:
        case Hit(index):
            return Hit(index + 1)
        case Missed():
            return Hit(2)
        case Fell(index):
            return Fell(index + 1)
