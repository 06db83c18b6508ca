"""Control links over real sockets and real TLS: up, in order, one per pair, and back after a restart."""

import asyncio

from node.base.types import OrgId

A, B, C, D = (OrgId(name) for name in "abcd")


async def test_four_members_link_up_and_messages_keep_their_order(parties):
    network = await parties.network("a", "b", "c", "d")

    for party in network:
        for peer in network:
            if peer is not party:
                for number in range(50):
                    party.transport.send(peer.org, f"{party.org} {number}".encode())

    for party in network:
        await party.heard.until(lambda party=party: len(party.heard.messages) == 150)
        for peer in network:
            if peer is not party:
                came = [message for org, message in party.heard.messages if org == peer.org]
                assert came == [f"{peer.org} {number}".encode() for number in range(50)]


async def test_a_link_is_reported_up_before_its_first_message(parties):
    # One side dials: of two links that came at once one ends, and what was sent on it may be lost.
    a, b = await parties.start("a"), await parties.start("b")
    parties.introduce(a, b, dial=False)
    a.members.where[B] = (f"127.0.0.1:{b.transport.bound_port}",)
    await a.linked(b)

    a.transport.send(B, b"x" * 1_000_000)
    await b.heard.until(lambda: bool(b.heard.messages))

    assert b.heard.links[0] == (A, True)
    assert b.heard.messages == [(A, b"x" * 1_000_000)]


async def test_one_side_that_can_dial_is_enough(parties):
    a, b = await parties.start("a"), await parties.start("b")
    parties.introduce(a, b, dial=False)

    b.members.where[A] = (f"127.0.0.1:{a.transport.bound_port}",)
    await b.linked(a)
    await a.linked(b)
    a.transport.send(B, b"from the dialled side")
    await b.heard.until(lambda: bool(b.heard.messages))

    assert b.heard.messages == [(A, b"from the dialled side")]


async def test_a_peer_that_restarts_is_linked_again(parties):
    a, b = await parties.network("a", "b")
    port = b.transport.bound_port

    await b.transport.close()
    await a.heard.until(lambda: (B, False) in a.heard.links)
    assert a.transport.connected() == frozenset()
    a.transport.send(B, b"to nobody: dropped")
    again = await parties.start("b", listen=f"127.0.0.1:{port}")
    parties.introduce(a, again)
    await a.linked(again)
    await again.linked(a)
    a.transport.send(B, b"hello again")
    await again.heard.until(lambda: bool(again.heard.messages))

    assert again.heard.messages == [(A, b"hello again")]
    assert a.heard.links[:2] == [(B, True), (B, False)]
    assert a.heard.links[-1] == (B, True)


async def test_traffic_is_counted_by_peer_and_purpose(parties):
    a, b = await parties.network("a", "b")
    before = a.transport.traffic(B)

    a.transport.send(B, bytes(10_000))
    await b.heard.until(lambda: bool(b.heard.messages))
    # When the answer is here, the writing that it answers is over and counted.
    b.transport.send(A, b"taken")
    await a.heard.until(lambda: bool(a.heard.messages))

    assert 10_000 <= a.transport.traffic(B).control_sent - before.control_sent < 10_050
    assert b.transport.traffic(A).control_received >= 10_000
    assert a.transport.traffic(C).control_sent == 0


async def test_a_peer_that_is_long_away_is_only_knocked_for_and_linked_when_it_is_back(parties):
    # A failed dial leaks in gRPC's core; a TCP connection that is refused does not.
    a, b = await parties.network("a", "b")
    port = b.transport.bound_port
    await b.transport.close()

    def failure():
        (link,) = a.transport.health().links
        return link.failure or ""

    for _ in range(2_000):
        if failure().startswith("nothing answers at"):
            break
        await asyncio.sleep(0.01)
    assert failure().startswith(f"nothing answers at 127.0.0.1:{port}: ")
    again = await parties.start("b", listen=f"127.0.0.1:{port}")
    again.members.accepted[A] = a.members.accepted[A]
    again.transport.recheck()
    await a.linked(again)

    (link,) = a.transport.health().links
    assert (link.connected, link.dialled, link.failure) == (True, True, None)
