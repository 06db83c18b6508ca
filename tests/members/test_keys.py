"""Keys and terms over real TLS and real contracts: expired terms, stolen keys, keys that change under load."""

import asyncio
import time
from dataclasses import replace

import pytest

from node.base.codec import encode
from node.base.types import Digest, PublicKey
from node.edge.storage import HeldKey, KeyName, TlsSecret, held_key, sign_card
from node.edge.storage.identity import make_tls_secret
from node.edge.transport import GrpcTransport
from node.engine.loop import SubmissionRefused
from node.ledger.contracts.membership import Present, Revoke, Support, fingerprint
from node.ledger.contracts.sharing import Register
from node.ledger.signers import key_in_force
from node.testing.cluster import Cluster, ClusterMember

LONG_MS = 1 << 45


def register(name: str) -> bytes:
    return encode(Register(name, Digest(name.encode().ljust(32, b"\0"))))


def new_tls(member: ClusterMember) -> TlsSecret:
    """A new TLS key, taken in by the running member."""
    secret = make_tls_secret(member.org)
    member.keys.take([HeldKey(KeyName.TLS, len(member.keys.tls) + 1, secret.certificate, encode(secret))])
    transport = member.up.transport
    assert isinstance(transport, GrpcTransport)
    transport.renew(member.up.renewal.tls_keys)
    return secret


def next_card(member: ClusterMember, **changes):
    current = member.up.renewal.card()
    assert current is not None
    return sign_card(member.organisation, replace(current.body, sequence=current.body.sequence + 1, **changes))


async def present(handing: ClusterMember, card) -> None:
    record = await handing.submit("membership", "present", encode(Present(card, None)))
    assert record.receipt.accepted, record.receipt.reason


def certificate_of_link(member: ClusterMember, peer: ClusterMember) -> bytes | None:
    transport = member.up.transport
    assert isinstance(transport, GrpcTransport)
    link = transport.link(peer.org)
    return None if link is None else link.certificate


async def test_terms_that_are_over_at_all_members_do_not_block_their_renewal():
    # fabric#4875: expired certificates blocked the transaction that would have replaced them.
    until_ms = time.time_ns() // 1_000_000 + 4_000
    async with Cluster(members=4, tls_until_ms=until_ms) as cluster:
        assert any("TLS term" in note for note in cluster["m1"].up.renewal.warnings())
        refusal = ""
        async with asyncio.timeout(60):
            # Time goes on with blocks; members sign their own until the ledger says that the term is over.
            for number in range(10_000):
                try:
                    record = await cluster["m1"].submit("sharing", "register", register(f"before-{number}"))
                except SubmissionRefused as refused:
                    refusal = refused.code
                else:
                    refusal = "" if record.receipt.accepted else record.receipt.code
                if refusal == "term-over":
                    break
        assert refusal == "term-over"

        # Links are made anew while every term is over.
        await cluster.kill("m4")
        await cluster.restart("m4")
        await cluster.until(lambda: all(len(m.up.transport.connected()) == 3 for m in cluster.running))
        for name in ("m1", "m2", "m3", "m4"):
            member = cluster[name]
            await present(member, next_card(member, tls_certificate=new_tls(member).certificate, tls_until_ms=LONG_MS))
        record = await cluster["m1"].submit("sharing", "register", register("after"))

        assert record.receipt.accepted
        assert cluster["m1"].up.renewal.warnings() == []


async def test_a_revoked_tls_key_is_cut_at_once_and_its_owner_comes_back_with_a_new_one():
    async with Cluster(members=4) as cluster:
        victim, others = cluster["m4"], [cluster[name] for name in ("m1", "m2", "m3")]
        stolen = victim.card.body.tls_certificate
        motion = encode(Support(Revoke(victim.org, fingerprint(stolen))))
        for member in others:
            await member.submit("membership", "support", motion)

        # Open streams too: nobody keeps a link that the stolen key opens.
        await cluster.until(lambda: all(certificate_of_link(member, victim) is None for member in others))
        card = next_card(victim, tls_certificate=new_tls(victim).certificate, tls_until_ms=LONG_MS)
        # It cannot hand in its card itself; a member does so for it.
        await present(others[0], card)
        await cluster.until(lambda: all(certificate_of_link(m, victim) == card.body.tls_certificate for m in others))
        record = await victim.submit("sharing", "register", register("back"))

        assert record.receipt.accepted


@pytest.mark.parametrize("member", ["m1", "m4"])
async def test_a_node_key_changes_while_transactions_wait(member):
    async with Cluster(members=4, network="memory") as cluster:
        rotating = cluster[member]
        key = held_key(KeyName.NODE, 2, bytes(range(32)))
        rotating.keys.take([key])
        calls = [rotating.submit("sharing", "register", register(f"set-{number}")) for number in range(20)]
        waiting = [asyncio.ensure_future(call) for call in calls[:10]]
        await present(rotating, next_card(rotating, node_key=PublicKey(key.public)))
        waiting += [asyncio.ensure_future(call) for call in calls[10:]]
        records = await asyncio.gather(*waiting)

        last = await rotating.submit("sharing", "register", register("last"))
        await cluster.until_height(last.height)

        assert all(record.receipt.accepted for record in (*records, last))
        assert all(key_in_force(m.up.store.state, rotating.org) == key.public for m in cluster.running)
