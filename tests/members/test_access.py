"""From an agreement to training on another's data, and its end, among members in one process."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from node.api import OperatorRefusal
from node.app.vaults import registration, vault_of
from node.base.codec import encode
from node.base.types import Digest, Height, OrgId
from node.edge.storage import KeyName
from node.edge.vault import open_source
from node.ledger.contracts.access import Ask, Fetch, Grant, Revoke, Seal, store
from node.ledger.contracts.agreements import Operation, Sign, Terms, Withdraw
from node.ledger.contracts.contract import view
from node.ledger.contracts.training import JobTerms, JobView, Used, job
from node.testing.cluster import Cluster, ClusterMember

M1, M2 = OrgId("m1"), OrgId("m2")
DATA = "m1/patients"
TERM_MS = 3_600_000
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


async def granted(cluster: Cluster) -> tuple[Digest, Digest]:
    """An agreement of the two, and the request under it: m2 asks to train and m1 lets it."""
    expires_ms = cluster.clock.now().wall_ms + TERM_MS
    terms = Terms("Study", (M1, M2), (DATA,), ("tests",), (Operation.TRAIN,), expires_ms, "")
    agreement = await say(cluster, "m1", "agreements", "draft", terms)
    await say(cluster, "m2", "agreements", "sign", Sign(agreement))
    request = await say(cluster, "m2", "access", "request", Ask(DATA, "tests", Operation.TRAIN, agreement, ""))
    await say(cluster, "m1", "access", "grant", Grant(request))
    return agreement, request


def seen(member: ClusterMember, id_: Digest) -> JobView:
    found = job(view(member.up.store.state, "training"), id_)
    assert found is not None
    return found


@pytest.mark.parametrize("ended", ["revoked", "withdrew", "expired"])
async def test_agreed_granted_sealed_fetched_trained_on_until_it_ends(ended: str, tmp_path: Path) -> None:
    async with Cluster(2, network="memory") as cluster:
        user = cluster["m2"]
        await publish(cluster, tmp_path)
        agreement, request = await granted(cluster)
        await cluster.until(lambda: store.sealed(view(user.up.store.state, "access"), request, 1) is not None)
        terms = JobTerms("study", (M1, M2), 1_000, 1, json.dumps(RECIPE).encode())
        id_ = await say(cluster, "m1", "training", "propose", terms)
        with pytest.raises(OperatorRefusal, match="lepton data fetch m1/patients"):
            await user.up.backend.approve(id_, "", DATA, b"")
        await user.up.backend.fetch_data(DATA, b"", 0)
        async with asyncio.timeout(30):
            while [one["state"] for one in await user.up.backend.arrivals()] != ["here"]:  # noqa: ASYNC110 files
                await asyncio.sleep(0.01)
        for member in (cluster["m1"], user):
            await member.up.backend.approve(id_, "", DATA, b"")
        await cluster.until(lambda: seen(user, id_).training_round >= 2)
        used = {approval.org: approval.used for approval in seen(user, id_).approvals}
        in_the_clear = [
            path for path in user.folder.root.rglob("*") if path.is_file() and ROWS[:40].encode() in path.read_bytes()
        ]
        match ended:
            case "revoked":
                await say(cluster, "m1", "access", "revoke", Revoke(request, "over"))
            case "withdrew":
                await say(cluster, "m2", "agreements", "withdraw", Withdraw(agreement, "over"))
            case "expired":
                cluster.clock.ahead_ms += TERM_MS
        await cluster.until(lambda: bool(seen(user, id_).left_out))
        number = seen(user, id_).training_round
        await cluster.until(lambda: seen(user, id_).training_round > number)

        assert used == {M1: (Used(DATA, 1, None),), M2: (Used(DATA, 1, request),)}
        assert in_the_clear == []
        (left,) = seen(user, id_).left_out
        assert (left.org, ended in left.why) == (M2, True)
        ended = seen(user, id_).current
        assert ended is not None
        assert ended.cohort == (M1,)


async def test_what_a_modified_client_tries_is_refused_on_its_receipt(tmp_path: Path) -> None:
    async with Cluster(2, network="memory") as cluster:
        await publish(cluster, tmp_path)
        _, request = await granted(cluster)
        found = store.request(view(cluster["m2"].up.store.state, "access"), request)
        assert found is not None
        waiting = await say(cluster, "m2", "access", "request", Ask(DATA, "tests", Operation.DOWNLOAD, None, ""))
        attempts = [
            ("m2", "grant", Grant(waiting), "not-owner"),
            ("m2", "revoke", Revoke(request, ""), "not-owner"),
            ("m2", "seal", Seal(request, 1, waiting), "not-owner"),
            ("m1", "fetch", Fetch(request, 1), "not-recipient"),
            ("m2", "fetch", Fetch(waiting, 1), "not-granted"),
            ("m2", "fetch", Fetch(request, 9), "unknown-version"),
            ("m2", "fetch", Fetch(Digest(bytes(32)), 1), "unknown-basis"),
            ("m2", "request", Ask("m1/nothing", "tests", Operation.TRAIN, None, ""), "unknown-data"),
            ("m2", "request", Ask(DATA, "advertising", Operation.TRAIN, found.agreement, ""), "purpose-outside"),
            ("m2", "request", Ask(DATA, "tests", Operation.COMPUTE, found.agreement, ""), "operation-outside"),
        ]
        tried = [cluster[org].submit("access", method, encode(call)) for org, method, call, _ in attempts]
        receipts = [record.receipt for record in await asyncio.gather(*tried)]
        revoke = await cluster["m1"].submit("access", "revoke", encode(Revoke(request, "over")))
        late = await cluster["m2"].submit("access", "fetch", encode(Fetch(request, 1)))
        again = await cluster["m1"].submit("access", "grant", encode(Grant(request)))

        assert [receipt.code for receipt in receipts] == [code for *_, code in attempts]
        assert all(receipt.reason and not receipt.accepted for receipt in receipts)
        assert (revoke.receipt.code, late.receipt.code, again.receipt.code) == ("ok", "revoked", "wrong-state")
        assert await replayed(cluster, request) == "replay"


async def replayed(cluster: Cluster, request: Digest) -> str:
    """Why the owner's old grant, its very bytes, is not taken again."""
    member = cluster["m2"]
    blocks = [member.up.store.chain.block(Height(height)) for height in range(1, member.height + 1)]
    transactions = [transaction for found in blocks if found is not None for transaction in found.block.transactions]
    (old, *_) = [one for one in transactions if one.body.org == M1 and one.body.payload == encode(Grant(request))]
    (refusal,) = await member.up.engine.submit((old,))
    return "taken" if refusal is None else refusal.code
