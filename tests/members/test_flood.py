"""One member floods the others over real links: their blocks go on, they agree, and the flooder is cut off."""

import asyncio
import contextlib

import pytest

from node._proto.link_pb2 import Frame, Messages, Request
from node.base.codec import encode
from node.base.types import (
    BlocksRequest,
    BodiesRequest,
    Digest,
    Heard,
    Height,
    OrgId,
    PeerMessage,
    Signature,
    Tip,
    Transaction,
    TransactionBody,
    Transactions,
    Vote,
    VoteKind,
    transaction_signing_bytes,
)
from node.edge.transport.report import Purpose
from node.ledger.contracts.sharing import Register
from node.testing.cluster import Cluster
from node.testing.hostile import Flood, HostileClient

HONEST = ("m1", "m2", "m3")
FLOODER = "m4"
EACH = 6
"""Transactions of each honest member."""


def register(name: str) -> bytes:
    return encode(Register(name, Digest(name.encode().ljust(32, b"\0"))))


def frames_of(*messages: bytes) -> list[bytes]:
    return [Frame(messages=Messages(bodies=messages)).SerializeToString()]


def transaction(cluster: Cluster, nonce: int, signed: bool) -> bytes:
    member = cluster[FLOODER]
    chain = cluster["m1"].up.chain
    body = TransactionBody(chain, OrgId(FLOODER), nonce, 1 << 50, "sharing", "register", register(f"x{nonce}"))
    signer = member.keys.signer(member.card.body.node_key)
    signature = signer.sign(transaction_signing_bytes(body)) if signed else bytes(64)
    return encode(Transactions((Transaction(body, Signature(signature)).encoded,)), PeerMessage)


def garbage(cluster):
    return frames_of(*[bytes((kind,)) * 300 for kind in range(256)])


def repeated_votes(cluster):
    vote = Vote(VoteKind.COMMIT, Height(1), 0, Digest(bytes(32)), OrgId(FLOODER), Signature(bytes(64)))
    return frames_of(*[encode(vote, PeerMessage)] * 256)


def forged_transactions(cluster):
    return frames_of(*[transaction(cluster, nonce, signed=False) for nonce in range(1, 257)])


def one_transaction_for_ever(cluster):
    return frames_of(*[transaction(cluster, 1, signed=True)] * 256)


def requests_for_blocks(cluster):
    return frames_of(*[encode(BlocksRequest(Height(1), 64), PeerMessage)] * 256)


def requests_for_bodies(cluster):
    ids = tuple(Digest(number.to_bytes(32, "big")) for number in range(2_000))
    return frames_of(*[encode(BodiesRequest(ids), PeerMessage)] * 16)


def tips_that_jump(cluster):
    tips = [encode(Tip(Height(1 << 40 | at % 2), Digest(bytes(32))), PeerMessage) for at in range(256)]
    return frames_of(*tips)


def signs_of_progress(cluster):
    return frames_of(*[encode(Heard(Digest(bytes(32)), 1, "committing", "busy"), PeerMessage)] * 256)


def empty_frames(cluster):
    return frames_of()


FLOODS = [
    (garbage, repeated_votes, forged_transactions),
    (requests_for_blocks, requests_for_bodies, tips_that_jump),
    (signs_of_progress, empty_frames, garbage),
]
"""One for each honest member."""


def client(cluster, victim, purpose=Purpose.CONTROL):
    keys, target = cluster[FLOODER].keys, cluster[victim]
    return HostileClient(
        OrgId(FLOODER),
        target.up.chain,
        keys.tls[0].key_pem,
        keys.tls[0].certificate,
        address=target.listen,
        certificate=target.keys.tls[0].certificate,
        purpose=purpose,
    )


@contextlib.asynccontextmanager
async def flooding(cluster, *frames, purpose=Purpose.CONTROL):
    """The honest members, or the first of them, are flooded with their frames while the body runs."""
    floods = {
        victim: Flood(lambda victim=victim: client(cluster, victim, purpose), sent)
        for victim, sent in zip(HONEST, frames, strict=False)
    }
    tasks = [asyncio.create_task(flood.run()) for flood in floods.values()]
    try:
        yield floods
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def work(cluster, each=EACH):
    """Every honest member has its transactions committed, one after another."""

    async def of(org):
        names = [f"{org}-{at}" for at in range(each)]
        return [await cluster[org].submit("sharing", "register", register(name), timeout_s=60) for name in names]

    return [record for records in await asyncio.gather(*map(of, HONEST)) for record in records]


async def agree(cluster, height):
    await cluster.until_height(height)
    blocks = [{member.up.store.chain.block(Height(height)).block.digest} for member in cluster.running]
    assert len(set.union(*blocks)) == 1


@pytest.mark.parametrize("kinds", FLOODS, ids=lambda kinds: kinds[0].__name__)
async def test_a_flooding_member_is_cut_off_and_the_others_blocks_go_on(kinds):
    async with Cluster(members=4, network="grpc") as cluster:
        await cluster.kill(FLOODER)
        async with flooding(cluster, *(kind(cluster) for kind in kinds)) as floods:
            await cluster.until(lambda: all(one.turned_away >= 2 for one in floods.values()))
            records = await work(cluster)
            await agree(cluster, max(record.height for record in records))

        assert all(record.receipt.accepted for record in records)
        for victim in HONEST:
            conduct = cluster[victim].up.engine.conduct(OrgId(FLOODER))
            assert conduct.cuts == 1
            assert floods[victim].let_in < floods[victim].turned_away
        for victim in HONEST:
            honest = [cluster[victim].up.engine.conduct(OrgId(other)) for other in HONEST if other != victim]
            assert not any(conduct is not None and (conduct.dropped or conduct.cuts) for conduct in honest)


async def test_a_flood_within_every_limit_delays_no_block():
    async with Cluster(members=4, network="grpc") as cluster:
        await cluster.kill(FLOODER)
        async with flooding(cluster, one_transaction_for_ever(cluster)) as floods:
            await cluster.until(lambda: floods["m1"].written > 10)
            records = await work(cluster, 2)
            await agree(cluster, max(record.height for record in records))

        assert all(record.receipt.accepted for record in records)


async def test_a_member_that_floods_with_bulk_requests_delays_no_block():
    requests = [Frame(request=Request(number=at, body=b"?")).SerializeToString() for at in range(1, 2_000)]
    async with Cluster(members=4, network="grpc") as cluster:
        await cluster.kill(FLOODER)
        async with flooding(cluster, requests, requests, requests, purpose=Purpose.BULK):
            records = await work(cluster)
            await agree(cluster, max(record.height for record in records))

        assert all(record.receipt.accepted for record in records)
