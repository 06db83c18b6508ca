"""Data sets from vault to vault among members in one process: fetched, stopped, resumed, carried, copied, restored."""

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.api import OperatorRefusal
from node.app.vaults import registration, vault_of
from node.base.codec import encode
from node.base.types import OrgId
from node.edge.storage import KeyName
from node.edge.vault import Vault, Version, open_source
from node.ledger.contracts.sharing import Authorize
from node.testing.cluster import Cluster, ClusterMember

DATA = "m1/rows"
WORDS = {"label": "Rows", "purpose": "tests", "now_ms": 1_000}
CHUNKS = 40


def vault(member: ClusterMember) -> Vault:
    return vault_of(member.folder, member.org, [key for key in member.keys.held if key.name is KeyName.DATA])


async def add(cluster: Cluster, folder: Path, chunks: int = CHUNKS) -> Version:
    """A data set of m1 that does not compress."""
    path = folder / "rows.npz"
    np.savez(path, a=np.frombuffer(os.urandom((chunks - 2 << 20) + 1), np.uint8))
    version = await asyncio.to_thread(vault(cluster["m1"]).add, open_source(path), "rows", **WORDS)
    await say(cluster, "m1", "sharing", "register", registration(version))
    return version


async def say(cluster: Cluster, org: str, contract: str, method: str, call: Any) -> None:
    """A transaction that every member has executed."""
    record = await cluster[org].submit(contract, method, encode(call))
    assert record.receipt.accepted, record.receipt.reason
    await cluster.until_height(record.height)


async def state(member: ClusterMember) -> dict[str, Any]:
    found = await member.up.backend.arrivals()
    return found[0] if found else {"state": "none", "done": 0}


async def until(cluster: Cluster, org: str, wanted: str, done: int = 0) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found = await state(cluster[org])
            if found["state"] == wanted and found["done"] >= done:
                return found
            await asyncio.sleep(0.01)


async def test_fetched_by_two_kept_by_one_carried_stopped_and_resumed(tmp_path: Path) -> None:
    refused: set[tuple[str, str]] = set()

    def refuses(source: OrgId, target: OrgId, bulk: bool) -> bool:
        return bulk and (source, target) in refused

    async with Cluster(4, network="memory", refuses=refuses) as cluster:
        version = await add(cluster, tmp_path)
        with pytest.raises(OperatorRefusal, match="nothing lets m2 have m1/rows now"):
            await cluster["m2"].up.backend.fetch_data(DATA, b"", 0)
        await say(cluster, "m1", "sharing", "authorize", Authorize(DATA, OrgId("m2")))
        found = await cluster["m2"].up.backend.fetch_data(DATA, b"", 0)
        await until(cluster, "m2", "none")
        assert found["version"] == 1
        received = vault(cluster["m2"]).received(OrgId("m1")).version("rows")
        assert received.root == version.root
        assert vault(cluster["m2"]).verify(received) == []
