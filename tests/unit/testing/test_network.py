"""The network in memory keeps the promises that the real one makes."""

import asyncio

import pytest

from node.base.ports import BulkRefused, LinkError
from node.base.types import OrgId
from node.testing.network import MemoryNetwork, Shaped

A, B, C = OrgId("a"), OrgId("b"), OrgId("c")


class Member:
    def __init__(self, network: MemoryNetwork, org: OrgId) -> None:
        self.heard = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.closed = 0
        self.transport = network.join(org, self.on_message, self.on_link, self.serve)

    def on_message(self, peer, message):
        self.heard.append((peer, message))

    def on_link(self, peer, up):
        self.heard.append((peer, up))

    async def serve(self, peer, request):
        try:
            if request == b"refuse":
                raise BulkRefused("no")
            for number in range(3):
                yield bytes([number])
                await self.hold.wait()
        finally:
            self.closed += 1


async def turn() -> None:
    """Let the loop deliver what is queued."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(done.set_result, None)
    await done


async def collect(fetch):
    async with asyncio.timeout(10):
        return [chunk async for chunk in fetch]


async def members(*orgs):
    network = MemoryNetwork()
    joined = [Member(network, org) for org in orgs]
    await turn()
    return network, *joined


async def test_links_come_up_before_messages_which_keep_their_order():
    network, a, b = await members(A, B)

    for number in range(5):
        a.transport.send(B, bytes([number]))
    await turn()

    assert b.heard == [(A, True), *((A, bytes([number])) for number in range(5))]
    assert a.heard == [(B, True)]
    assert network.moved(A, B).control == 5


async def test_control_that_is_cut_takes_the_link_down_and_up_again():
    network, a, b = await members(A, B)

    network.block(A, B, control=True, bulk=False)
    a.transport.send(B, b"lost")
    await turn()
    assert (a.transport.connected(), b.transport.connected()) == (frozenset(), frozenset())
    network.unblock(A, B)
    a.transport.send(B, b"there")
    await turn()

    assert b.heard == [(A, True), (A, False), (A, True), (A, b"there")]


async def test_a_message_under_way_to_a_member_that_vanishes_is_lost():
    network, a, b = await members(A, B)

    a.transport.send(B, b"lost")
    network.take_down(B)
    await turn()

    assert b.heard == [(A, True)]
    assert a.heard == [(B, True), (B, False)]


async def test_a_member_that_is_away_returns_by_joining_again():
    network, a, _ = await members(A, B)

    network.take_down(B)
    again = Member(network, B)
    a.transport.send(B, b"hello")
    await turn()

    assert again.heard == [(A, True), (A, b"hello")]
    assert a.heard == [(B, True), (B, False), (B, True)]


async def test_bulk_is_cut_by_the_way_its_chunks_travel():
    network, a, b, c = await members(A, B, C)

    network.block(A, B, control=False, bulk=True, both_ways=False)

    with pytest.raises(LinkError, match="cut"):
        await collect(b.transport.fetch(A, b""))
    assert await collect(a.transport.fetch(B, b"")) == [b"\x00", b"\x01", b"\x02"]
    assert await collect(c.transport.fetch(A, b"")) == [b"\x00", b"\x01", b"\x02"]
    assert a.transport.connected() == {B, C}
    assert network.moved(B, A).bulk == 3


async def test_bulk_that_is_cut_midway_ends_in_a_link_error_and_closes_the_answer():
    network, a, b = await members(A, B)
    fetch = a.transport.fetch(B, b"")
    await anext(fetch)

    network.block(B, A, control=False, bulk=True)

    with pytest.raises(LinkError, match="cut"):
        await collect(fetch)
    assert b.closed == 1


async def test_an_answerer_that_vanishes_while_it_is_waited_for_is_a_link_error():
    network, a, b = await members(A, B)
    b.hold.clear()
    fetch = a.transport.fetch(B, b"")
    await anext(fetch)
    waiting = asyncio.ensure_future(collect(fetch))
    await turn()

    network.take_down(B)

    with pytest.raises(LinkError, match="went away"):
        await waiting
    assert b.closed == 1


async def test_a_refusal_comes_in_words():
    _, a, _ = await members(A, B)

    with pytest.raises(LinkError, match="b refused: no"):
        await collect(a.transport.fetch(B, b"refuse"))
    with pytest.raises(LinkError, match="not connected"):
        await collect(a.transport.fetch(C, b""))


async def test_shaped_cuts_in_front_of_any_transport():
    _, a, b = await members(A, B)
    cut: set[bool] = set()
    shaped = Shaped(a.transport, lambda peer, bulk: peer == B and bulk in cut)

    assert await collect(shaped.fetch(B, b"")) == [b"\x00", b"\x01", b"\x02"]
    fetch = shaped.fetch(B, b"")
    await anext(fetch)
    cut |= {True, False}
    with pytest.raises(LinkError):
        await collect(fetch)
    with pytest.raises(LinkError):
        await collect(shaped.fetch(B, b""))
    shaped.send(B, b"lost")
    await turn()

    assert b.heard == [(A, True)]
    assert shaped.connected() == {B}


async def test_a_cut_link_comes_back_by_itself_when_its_time_is_over():
    network, a, b = await members(A, B)

    a.transport.cut(B, 0.05, "it floods")
    await turn()
    assert not a.transport.connected()
    assert a.heard[-1] == (B, False)
    assert b.heard[-1] == (A, False)
    async with asyncio.timeout(10):
        while not network.linked(A):
            await turn()
    await turn()

    assert a.heard[-1] == (B, True)
