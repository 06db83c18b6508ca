"""Whole members that join by a snapshot: over loopback gRPC, with liars, restarts and pruned peers."""

import shutil
import struct
import zlib
from collections.abc import AsyncIterator

import pytest

from node.base.codec import encode
from node.base.crypto import digest
from node.base.types import Digest, Height, OrgId
from node.edge.storage import SnapshotFiles
from node.engine.sync import Terms
from node.ledger.apply import members_at_head
from node.ledger.contracts.sharing import Register
from node.ledger.tree import state_root
from node.testing.cluster import Cluster, ClusterMember

FRAME = struct.Struct(">III")
EVERY = 10
TERMS = Terms(every=EVERY, behind_max=15, keep=2)
"""With so little kept, who was away must take a snapshot: blocks cannot be faster."""


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster(members=4, network="memory", snapshots=TERMS) as running:
        yield running


async def grow(cluster: Cluster, blocks: int, through: str = "m1") -> int:
    for _ in range(blocks):
        number = cluster[through].height
        payload = encode(Register(f"d{number}", Digest(digest("c"))))
        record = await cluster[through].submit("sharing", "register", payload)
        assert record.receipt.accepted
    return cluster[through].height


def wipe(member: ClusterMember) -> None:
    """Chain and snapshots are gone; the vote log stays."""
    for path in member.folder.root.glob("ledger.sqlite*"):
        path.unlink()
    shutil.rmtree(member.folder.snapshots)


def has_snapshot(member: ClusterMember, height: int) -> bool:
    return height in SnapshotFiles(member.folder.snapshots).heights()


def forge_chunk(member: ClusterMember, height: int) -> None:
    """What a liar would send: a whole frame with another value in it."""
    path = member.folder.snapshots / str(height) / "chunks"
    index, length, _ = FRAME.unpack(path.read_bytes()[: FRAME.size])
    chunk = path.read_bytes()[FRAME.size : FRAME.size + length]
    forged = chunk[:-1] + bytes((chunk[-1] ^ 1,))
    path.write_bytes(FRAME.pack(index, length, zlib.crc32(forged)) + forged)


async def test_a_member_without_a_chain_joins_by_a_snapshot_and_agrees_on(cluster: Cluster) -> None:
    await cluster.until_height(await grow(cluster, 5))
    await cluster.kill("m4")
    wipe(cluster["m4"])
    await grow(cluster, 20)
    await cluster.until(lambda: all(has_snapshot(cluster[org], 20) for org in ("m1", "m2", "m3")))

    joined = await cluster.restart("m4")
    await cluster.until(lambda: joined.height >= 20)

    assert joined.up.store.chain.base() == 20
    assert joined.up.store.chain.block(Height(19)) is None
    # CometBFT ASA-2024-009: the order of proposers must follow from what is hashed, also from a snapshot's state.
    order = [members_at_head(member.up.store.state) for member in cluster.running]
    assert len({tuple(m.proposer(21 + at, at // 3) for at in range(12)) for m in order}) == 1
    height = await grow(cluster, 4, through="m4")
    await cluster.until_height(height)
    assert len({member.up.engine.replica.state_root for member in cluster.running}) == 1
    assert state_root(joined.up.store.state) == joined.up.engine.replica.state_root
    assert has_snapshot(joined, 20)


async def test_a_peer_that_serves_a_false_chunk_is_named_and_another_serves(cluster: Cluster) -> None:
    await cluster.until_height(await grow(cluster, 5))
    await cluster.kill("m4")
    wipe(cluster["m4"])
    await grow(cluster, 20)
    await cluster.until(lambda: all(has_snapshot(cluster[org], 20) for org in ("m1", "m2", "m3")))
    forge_chunk(cluster["m1"], 20)

    joined = await cluster.restart("m4")
    await cluster.until(lambda: joined.height >= 20)

    conduct = joined.up.engine.conduct(OrgId("m1"))
    assert conduct is not None
    assert conduct.faults > 0
    assert joined.up.engine.conduct(OrgId("m2")) is None
    await cluster.until_height(await grow(cluster, 1))
    assert joined.up.engine.replica.state_root == cluster["m2"].up.engine.replica.state_root


async def test_who_finds_only_pruned_peers_takes_a_snapshot_and_serves_others_from_its_base(cluster: Cluster) -> None:
    await cluster.until_height(await grow(cluster, 12))
    await cluster.kill("m4")
    wipe(cluster["m4"])
    await cluster.until(lambda: all(cluster[org].up.store.chain.base() == 8 for org in ("m1", "m2", "m3")))

    joined = await cluster.restart("m4")
    await cluster.until(lambda: joined.height >= 12)

    assert joined.up.store.chain.base() == 10
    await cluster.until_height(await grow(cluster, 2))


async def test_a_member_that_is_killed_while_it_fetches_goes_on_and_comes_to_the_same_state(cluster: Cluster) -> None:
    await cluster.until_height(await grow(cluster, 22))
    await cluster.kill("m4")
    wipe(cluster["m4"])
    await cluster.until(lambda: all(has_snapshot(cluster[org], 20) for org in ("m1", "m2", "m3")))
    for _ in range(4):
        await cluster.restart("m4")
        await cluster.kill("m4")

    joined = await cluster.restart("m4")
    await cluster.until_height(await grow(cluster, 2))

    assert joined.up.engine.replica.state_root == cluster["m1"].up.engine.replica.state_root
