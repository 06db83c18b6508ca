"""A small chain on which contracts of organisations decide, the same on every member: deployed, broken, upgraded.

`python -m node.testing.rulings` prints its last header's digest: two processes that differ in anything that may decide
otherwise (hash seed, memory, what was compiled before) must print the same.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from node.app.contracts.rulesfile import read_rules
from node.app.contracts.templates import TEMPLATES, template_text
from node.base.crypto import digest
from node.base.types import Digest, Height, OrgId
from node.ledger.contracts.access import Ask
from node.ledger.contracts.agreements import Operation, Sign, Terms
from node.ledger.contracts.rules import Deploy, Line, Otherwise, Outcome, RuleSet, Upgrade
from node.ledger.contracts.sharing import Register
from node.testing.fuzz.rules import CONDITIONS
from node.testing.society import Society

ORGS = ("a", "ada", "b", "bob", "north")
OWNER = "ada"


def ruled_chain() -> Society:
    """A chain of some dozen blocks. Every contract that is taken decides several requests."""
    society = Society(ORGS)
    contracts = [*_templates(), *_conditions()]
    for number, contract in enumerate(contracts):
        data = f"d{number}"
        society.call(OWNER, "register", Register(data, Digest(digest(data))), contract="sharing")
        society.call(OWNER, "deploy", Deploy(replace(contract, name=f"c{number}", data=(data,))), contract="rules")
    agreement = _agreement(society, [f"{OWNER}/d{number}" for number in range(len(contracts))])
    later = Upgrade(RuleSet("c0", ("d0",), (), (), Otherwise(Outcome.REFUSE, "closed")), Height(society.height + 3))
    society.call(OWNER, "upgrade", later, contract="rules")
    for purpose in ("cancer research", "heart"):
        for number in range(len(contracts)):
            society.extend(*_requests(society, f"{OWNER}/d{number}", purpose, agreement))
    return society


def _requests(society: Society, data: str, purpose: str, agreement: Digest) -> Iterable[Any]:
    for org in ORGS:
        if org != OWNER:
            for named in (None, agreement):
                asked = Ask(data, purpose, Operation.TRAIN, named, "")
                yield society.sign(org, "request", asked, contract="access")


def _agreement(society: Society, data: list[str]) -> Digest:
    terms = Terms(
        "Heart study",
        (OrgId("ada"), OrgId("north")),
        tuple(sorted(data)[:64]),
        ("heart",),
        tuple(Operation),
        1 << 52,
        "",
    )
    drafted = society.sign(OWNER, "draft", terms, contract="agreements")
    society.extend(drafted)
    society.call("north", "sign", Sign(drafted.id), contract="agreements")
    return drafted.id


def _templates() -> list[RuleSet]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "contract.toml"
        found = []
        for template in TEMPLATES:
            path.write_text(template_text(template), "utf-8")
            found.append(read_rules(path).rules)
    return found


def _conditions() -> list[RuleSet]:
    """One contract for each condition of the fuzzer's corpus; some of them are refused."""
    return [
        RuleSet("x", ("x",), (), (Line(condition, Outcome.ALLOW, ""),), Otherwise(Outcome.REFUSE, ""))
        for condition in CONDITIONS
    ]


if __name__ == "__main__":
    ended = ruled_chain()
    codes = sorted({receipt.code for executed in ended.executed for receipt in executed.receipts})
    print(ended.certified[-1].block.digest.hex(), ",".join(codes))
