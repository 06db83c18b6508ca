"""A peer that is cut off is neither let in nor dialled until its time is over, and then linked again by itself."""

import asyncio

import pytest

from node.base.ports import LinkError
from node.edge.transport import RefusalKind


async def fetched(party, peer):
    async with asyncio.timeout(20):
        return [chunk async for chunk in party.transport.fetch(peer.org, b"request")]


@pytest.mark.parametrize("cutter", ["a", "b"])
async def test_a_cut_ends_both_links_and_refuses_new_ones_until_it_is_over(parties, cutter):
    """The lower organisation's dial stays, so each side is once the dialled one."""
    a, b = await parties.start("a"), await parties.start("b")
    parties.introduce(a, b)
    await a.linked(b)
    await b.linked(a)
    one, other = (a, b) if cutter == "a" else (b, a)

    one.transport.cut(other.org, 1.0, "it floods")
    await one.heard.until(lambda: one.heard.links[-1] == (other.org, False))
    await other.heard.until(lambda: other.heard.links[-1] == (one.org, False))
    with pytest.raises(LinkError):
        await fetched(one, other)
    await one.heard.until(lambda: one.transport.refused[RefusalKind.CUT_OFF] > 0)
    assert not one.transport.connected()

    await one.linked(other)
    await other.linked(one)
    assert [up for peer, up in one.heard.links if peer == other.org] == [True, False, True]


async def test_a_cut_between_two_leaves_the_third(parties):
    a, b, c = [await parties.start(org) for org in "abc"]
    parties.introduce(a, b, c)
    await a.linked(b, c)

    a.transport.cut(b.org, 60.0, "it floods")
    await a.heard.until(lambda: a.transport.connected() == {c.org})
    a.transport.send(c.org, b"still here")

    await c.heard.until(lambda: (a.org, b"still here") in c.heard.messages)
