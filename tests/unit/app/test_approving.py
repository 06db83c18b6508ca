"""By which right a member trains on another's data set, where the operator names none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node.api import OperatorRefusal
from node.app.approving import Approvals
from node.app.settings import Folder
from node.base.codec import encode
from node.base.ports import Statistics, Writes
from node.base.types import Digest, Height, OrgId
from node.ledger.contracts.access import ACCESS, Ask, Grant
from node.ledger.contracts.agreements import Operation
from node.ledger.contracts.sharing import SHARING, Authorize, Register
from node.ledger.system import HEAD_KEY, Head
from node.testing.contract_bench import ContractBench

ROOT, JOB = Digest(bytes(32)), Digest(b"j" * 32)


class Desk:
    """bob's, with ada's rows in his vault, fetched on a grant to download."""

    def __init__(self) -> None:
        self.bench = ContractBench(ACCESS, ("ada", "bob"))
        self.bench.call("ada", "register", Register("rows", ROOT), contract=SHARING)
        asked, _ = self.bench.call("bob", "request", Ask("ada/rows", "p", Operation.DOWNLOAD, None, ""))
        self.bench.call("ada", "grant", Grant(asked))
        self.kept = SimpleNamespace(root=ROOT, number=1, received=SimpleNamespace(basis=asked))

    def records_of(self, data: str) -> tuple[Any, str]:
        return SimpleNamespace(versions=lambda name: [self.kept]), data

    async def choose(self, job: Digest, chosen: Any) -> Path:
        return Path("rows.csv")

    async def keep(self, job: Digest, chosen: Any) -> None:
        """Nothing has to be there after a restart."""

    async def release(self, job: Digest) -> None:
        """Nothing was opened."""

    async def statistics(self, job: Digest, recipe: bytes, path: Path) -> Statistics:
        return Statistics(b"", 7)

    async def used(self) -> Any:
        self.bench.state.apply(Writes(((HEAD_KEY, encode(Head(Height(9), self.bench.time_ms))),), ()))
        member: Any = self
        approvals = Approvals(
            OrgId("bob"), Folder(Path()), self.bench.state, member, member, lambda: member, SimpleNamespace()
        )
        job: Any = SimpleNamespace(id=JOB, terms=SimpleNamespace(recipe=b""))
        (used,) = (await approvals.with_data_set(job, "ada/rows", b"")).approve.used
        return used.basis


async def test_a_grant_to_download_is_none_to_train():
    with pytest.raises(OperatorRefusal, match="for the operation download"):
        await Desk().used()


async def test_an_authorisation_lets_train_whatever_the_data_were_fetched_on():
    desk = Desk()
    given, _ = desk.bench.call("ada", "authorize", Authorize("ada/rows", OrgId("bob")), contract=SHARING)

    assert await desk.used() == given


async def test_a_grant_to_train_lets_train():
    desk = Desk()
    asked, _ = desk.bench.call("bob", "request", Ask("ada/rows", "p", Operation.TRAIN, None, ""))
    desk.bench.call("ada", "grant", Grant(asked))

    assert await desk.used() == asked
