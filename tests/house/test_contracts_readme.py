"""The contract that `node/ledger/contracts/README.md` shows, built out of the README's own text and run."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from node.base.codec import encode
from node.base.types import Digest, Event, Height, OrgId, Parameters, Signature, Transaction, TransactionBody
from node.ledger.apply import run_transaction
from node.ledger.contracts.contract import Frame
from node.ledger.contracts.registry import CONTRACTS
from node.ledger.overlay import Overlay
from node.testing.contract_bench import CHAIN, ContractBench
from node.testing.signing import verify_hash

ROOT = Path(__file__).resolve().parents[2]
NAME = "node.ledger.contracts.notices"
LINES_MAX = 30
TEXT = (ROOT / "node/ledger/contracts/README.md").read_text()
CONTRACT, TEST = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def notices(tmp_path: Path) -> Iterator[ModuleType]:
    assert NAME not in sys.modules
    path = tmp_path / "notices.py"
    path.write_text(CONTRACT)
    yield load(NAME, path)
    del sys.modules[NAME]


def test_it_is_as_short_as_it_says() -> None:
    assert len(CONTRACT.strip().splitlines()) <= LINES_MAX


def test_it_touches_nothing() -> None:
    spec = importlib.util.spec_from_file_location("test_purity", ROOT / "tests/house/test_purity.py")
    assert spec is not None
    assert spec.loader is not None
    purity = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(purity)
    assert purity.violations(CONTRACT, "notices.py") == []


def test_its_own_test_holds(notices: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "shown_notices.py").write_text(TEST)
    shown = load("shown_notices", tmp_path / "shown_notices.py")
    del sys.modules["shown_notices"]
    tests = {name: test for name, test in vars(shown).items() if name.startswith("test_")}
    assert len(tests) == 3
    for test in tests.values():
        (cases,) = [mark.args[1] for mark in getattr(test, "pytestmark", ())] or [None]
        for case in cases or [None]:
            test() if case is None else test(case)


def test_a_block_runs_it_beside_the_others(notices: ModuleType) -> None:
    bench = ContractBench(notices.NOTICES, ("ada", "bob"))
    frame = Frame(CHAIN, Height(1), 1_000, bench.members, bench.members, Parameters(), verify_hash)
    body = TransactionBody(
        CHAIN, OrgId("ada"), 0, 2_000, "notices", "post", encode(notices.Notice("halt", "On Sunday."))
    )
    overlay = Overlay(bench.state)
    contracts = {**CONTRACTS, "notices": notices.NOTICES}
    receipts = [run_transaction(overlay, contracts, frame, Transaction(body, Signature(bytes(64)))) for _ in range(2)]
    assert receipts[0].events == (Event("notices", "posted", b"halt"),)
    assert [key for key, _ in overlay.changes()] == [b"notices/notice/ada/halt"]
    assert (receipts[1].accepted, receipts[1].code) == (False, "posted")
    assert receipts[1].transaction == Digest(receipts[0].transaction)
