"""N members in one process: agreement, catch-up and restarts on the production assembly."""

import asyncio
import os

import psutil
import pytest

from node.base.codec import encode
from node.base.types import Digest
from node.ledger.contracts.sharing import Register
from node.testing.cluster import Cluster


def register(name: str) -> bytes:
    return encode(Register(name, Digest(name.encode().ljust(32, b"\0"))))


@pytest.mark.parametrize("network", ["grpc", "memory"])
async def test_members_agree_and_one_that_was_away_catches_up(network):
    async with Cluster(members=4, network=network) as cluster:
        first = await cluster["m1"].submit("sharing", "register", register("one"))
        await cluster.until_height(first.height)
        await cluster.kill("m3")
        last = first
        for number in range(5):
            last = await cluster["m2"].submit("sharing", "register", register(f"away-{number}"))
            assert last.receipt.accepted
        await cluster.restart("m3")
        await cluster.until_height(last.height)
        replicas = [member.up.engine.replica for member in cluster.running]
        assert len({replica.head_digest for replica in replicas}) == 1
        assert len({replica.state_root for replica in replicas}) == 1


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one core a member verifies by itself")
async def test_signatures_of_a_long_catch_up_are_verified_in_a_second_process_that_ends_with_the_member():
    async with Cluster(members=4, network="memory") as cluster:
        await cluster.kill("m3")
        records = await asyncio.gather(
            *(cluster["m2"].submit("sharing", "register", register(f"many-{number}")) for number in range(200))
        )
        assert verifying() == []
        member = await cluster.restart("m3")
        await cluster.until_height(max(record.height for record in records))
        assert member.up.engine.replica.state_root == cluster["m2"].up.engine.replica.state_root
        await cluster.until(verifying)
    assert verifying() == []


def verifying() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [process for process in found if "node.edge.verifying.child" in process.cmdline()]


@pytest.mark.parametrize("members", [1, 2, 3, 5, 7])
async def test_any_number_of_members_agrees(members):
    async with Cluster(members=members, network="memory") as cluster:
        record = await cluster[f"m{members}"].submit("sharing", "register", register("data"))
        assert record.receipt.accepted
        await cluster.until_height(record.height)


async def test_without_a_quorum_nothing_is_decided_and_nothing_is_lost():
    async with Cluster(members=4, network="memory") as cluster:
        first = await cluster["m1"].submit("sharing", "register", register("one"))
        await cluster.until_height(first.height)
        await cluster.kill("m3")
        await cluster.kill("m4")
        with pytest.raises(TimeoutError):
            await cluster["m1"].submit("sharing", "register", register("two"), timeout_s=3)
        assert cluster["m1"].height == first.height
        assert cluster["m2"].height == first.height
        await cluster.restart("m4")
        # What was handed in while there was no quorum is decided now, without restarting anybody else.
        await cluster.until_height(first.height + 1)
        names = [name for name in ("one", "two") if _is_registered(cluster, f"m1/{name}")]
        assert names == ["one", "two"]


def _is_registered(cluster: Cluster, name: str) -> bool:
    state = cluster["m4"].up.store.state
    return state.get(f"sharing/data/{name}".encode()) is not None
