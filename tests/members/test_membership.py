"""A network that grows and shrinks while it works: the production assembly, N times in one process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from node.base.codec import encode
from node.base.types import Digest, OrgId, Parameters
from node.engine.loop import SubmissionRefused
from node.ledger.contracts.membership import Admit, Leave, Motion, Remove, Support, Suspend
from node.ledger.contracts.sharing import Register
from node.testing.cluster import Cluster

ROUND_MS = 1_000


def in_force(cluster: Cluster, org: str) -> tuple[OrgId, ...]:
    """The set of the next height as this member knows it."""
    return cluster[org].up.engine.replica.members.orgs


async def pass_motion(cluster: Cluster, motion: Motion) -> None:
    members = in_force(cluster, "m1")
    payload = encode(Support(motion))
    for org in members[: 2 * len(members) // 3 + 1]:
        record = await cluster[org].submit("membership", "support", payload)
        assert record.receipt.accepted, record.receipt


class Load:
    """Registers data sets through one member without a pause, and remembers what became of each."""

    def __init__(self, cluster: Cluster, org: str) -> None:
        self._cluster = cluster
        self._org = org
        self.final: dict[Digest, int] = {}
        self._number = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            self._stop = True
            await task

    _stop = False

    async def _run(self) -> None:
        while not self._stop:
            self._number += 1
            register = Register(f"d{self._number}", Digest(bytes(32)))
            record = await self._cluster[self._org].submit("sharing", "register", encode(register))
            assert record.receipt.accepted, record.receipt
            assert record.receipt.transaction not in self.final
            self.final[record.receipt.transaction] = record.height


@pytest.mark.timeout(120)
async def test_one_grows_to_seven_and_shrinks_to_one_under_load() -> None:
    """quorum#796, besu#8425: one after another, each at its own height, and the chain grows all the time."""
    async with Cluster(members=1, parameters=Parameters(round_timeout_ms=ROUND_MS)) as cluster:
        async with Load(cluster, "m1").running() as load:
            for number in range(2, 8):
                joiner = await cluster.add(f"m{number}")
                await pass_motion(cluster, Admit(joiner.card))
                # Nobody tells it to: it catches up, says that it is ready, and is in force.
                await cluster.until(lambda org=joiner.org: org in in_force(cluster, "m1"))
            assert in_force(cluster, "m1") == tuple(f"m{number}" for number in range(1, 8))
            await cluster.until(lambda: all(len(in_force(cluster, m.org)) == 7 for m in cluster.running))

            for number in (7, 6, 5):
                await pass_motion(cluster, Remove(OrgId(f"m{number}")))
                await cluster.until(lambda gone=f"m{number}": gone not in in_force(cluster, "m1"))
            await pass_motion(cluster, Suspend(OrgId("m4")))
            await cluster.until(lambda: "m4" not in in_force(cluster, "m1"))
            for number in (3, 2):
                record = await cluster[f"m{number}"].submit("membership", "leave", encode(Leave()))
                assert record.receipt.accepted
                await cluster.until(lambda gone=f"m{number}": gone not in in_force(cluster, "m1"))
            await cluster.until(lambda: in_force(cluster, "m1") == ("m1",))
        chain = cluster["m1"].up.store.chain
        assert len(load.final) > 20
        for id_, height in load.final.items():
            found = chain.transaction(id_)
            assert found is not None
            assert found.height == height


@pytest.mark.timeout(60)
async def test_a_removed_member_is_cut_on_its_open_streams_as_soon_as_its_removal_is_in_force() -> None:
    async with Cluster(members=4) as cluster:
        others = [cluster[f"m{number}"] for number in (1, 2, 3)]
        before = cluster["m1"].height
        await pass_motion(cluster, Remove(OrgId("m4")))
        await cluster.until(lambda: all("m4" not in m.up.transport.connected() for m in others))
        await cluster.until(lambda: cluster["m4"].up.transport.connected() == frozenset())
        assert in_force(cluster, "m1") == ("m1", "m2", "m3")
        heights = [m.height for m in others]
        assert max(heights) >= before + 3
        record = await cluster["m1"].submit("sharing", "register", encode(Register("after", Digest(bytes(32)))))
        assert record.receipt.accepted
        assert cluster["m4"].height < record.height

        # Admitted again, it comes back by itself: it may have missed the very block that removed it.
        await pass_motion(cluster, Admit(cluster["m4"].card))
        await cluster.until(lambda: "m4" in in_force(cluster, "m1"))
        await cluster.until(lambda: cluster["m4"].height >= record.height)
        record = await cluster["m4"].submit("sharing", "register", encode(Register("back", Digest(bytes(32)))))
        assert record.receipt.accepted


@pytest.mark.timeout(60)
async def test_a_removed_member_can_hand_in_nothing_once_it_knows() -> None:
    async with Cluster(members=4) as cluster:
        record = await cluster["m4"].submit("membership", "leave", encode(Leave()))
        assert record.receipt.accepted
        await cluster.until(lambda: "m4" not in in_force(cluster, "m1"))
        if "m4" not in in_force(cluster, "m4"):
            with pytest.raises(SubmissionRefused):
                await cluster["m4"].submit("sharing", "register", encode(Register("late", Digest(bytes(32)))))
