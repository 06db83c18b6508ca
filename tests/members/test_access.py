"""From an agreement to training on another's data, and its end, among members in one process."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from node.api import OperatorRefusal
from node.app.vaults import registration, vault_of
from node.base.codec import encode
from node.base.types import Digest, OrgId
from node.edge.storage import KeyName
from node.edge.vault import open_source
from node.ledger.contracts.access import Ask, Grant, Revoke, store
from node.ledger.contracts.agreements import Operation, Sign, Terms
from node.ledger.contracts.contract import view
from node.ledger.contracts.training import JobTerms, JobView, Used, job
from node.testing.cluster import Cluster, ClusterMember

M1, M2 = OrgId("m1"), OrgId("m2")
DATA = "m1/patients"
ROWS = "age,ill\n" + "".join(f"{30 + at % 60},{int(at % 60 > 25)}\n" for at in range(300))
RECIPE = {
    "label": "ill",
    "columns": [{"kind": "numeric", "name": "age"}],
    "model": {"kind": "logistic"},
    "training": {"epochs": 1, "batch_rows": 64, "optimiser": "sgd", "learning_rate": 0.1},
    "seed": 0,
}


async def say(cluster: Cluster, org: str, contract: str, method: str, call: Any) -> Digest:
    """A transaction that every member has executed."""
    record = await cluster[org].submit(contract, method, encode(call))
    assert record.receipt.accepted, record.receipt.reason
    await cluster.until_height(record.height)
    return record.receipt.transaction


async def publish(cluster: Cluster, folder: Path) -> None:
    owner = cluster["m1"]
    vault = vault_of(owner.folder, M1, [key for key in owner.keys.held if key.name is KeyName.DATA])
    file = folder / "rows.csv"
    file.write_text(ROWS)
    version = await asyncio.to_thread(vault.add, open_source(file), "patients", label="", purpose="", now_ms=1)
    await say(cluster, "m1", "sharing", "register", registration(version))


async def granted(cluster: Cluster) -> Digest:
    """Under an agreement of the two, m2 asks to train and m1 lets it."""
    terms = Terms("Study", (M1, M2), (DATA,), ("tests",), (Operation.TRAIN,), 1 << 42, "")
    agreement = await say(cluster, "m1", "agreements", "draft", terms)
    await say(cluster, "m2", "agreements", "sign", Sign(agreement))
    request = await say(cluster, "m2", "access", "request", Ask(DATA, "tests", Operation.TRAIN, agreement, ""))
    await say(cluster, "m1", "access", "grant", Grant(request))
    return request


def seen(member: ClusterMember, id_: Digest) -> JobView:
    found = job(view(member.up.store.state, "training"), id_)
    assert found is not None
    return found


async def test_agreed_granted_sealed_fetched_trained_on_and_revoked(tmp_path: Path) -> None:
    async with Cluster(2, network="memory") as cluster:
        user = cluster["m2"]
        await publish(cluster, tmp_path)
        request = await granted(cluster)
        await cluster.until(lambda: store.sealed(view(user.up.store.state, "access"), request, 1) is not None)
        terms = JobTerms("study", (M1, M2), 1_000, 1, json.dumps(RECIPE).encode())
        id_ = await say(cluster, "m1", "training", "propose", terms)
        with pytest.raises(OperatorRefusal, match="lepton data fetch m1/patients"):
            await user.up.backend.approve(id_, "", DATA, b"")
        await user.up.backend.fetch_data(DATA, b"", 0)
        async with asyncio.timeout(30):
            while await user.up.backend.arrivals():  # noqa: ASYNC110 files give no event
                await asyncio.sleep(0.01)
        for member in (cluster["m1"], user):
            await member.up.backend.approve(id_, "", DATA, b"")
        await cluster.until(lambda: seen(user, id_).training_round >= 2)
        used = {approval.org: approval.used for approval in seen(user, id_).approvals}
        in_the_clear = [
            path for path in user.folder.root.rglob("*") if path.is_file() and ROWS[:40].encode() in path.read_bytes()
        ]
        await say(cluster, "m1", "access", "revoke", Revoke(request, "over"))
        await cluster.until(lambda: bool(seen(user, id_).left_out))
        number = seen(user, id_).training_round
        await cluster.until(lambda: seen(user, id_).training_round > number)

        assert used == {M1: (Used(DATA, 1, None),), M2: (Used(DATA, 1, request),)}
        assert in_the_clear == []
        (left,) = seen(user, id_).left_out
        assert (left.org, "revoked" in left.why) == (M2, True)
        ended = seen(user, id_).current
        assert ended is not None
        assert ended.cohort == (M1,)
