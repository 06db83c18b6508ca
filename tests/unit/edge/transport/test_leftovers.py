"""What is left of links that ended, where the collector of cycles does not come: a busy daemon lets it come rarely."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator

import grpc
import psutil
import pytest

from node.base.types import OrgId

A, B = OrgId("a"), OrgId("b")
ROUNDS = 3
PATIENCE_S = 20


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def until(condition: Callable[[], bool]) -> None:
    """Poll; after long enough go on, and let the check say what is wrong."""
    for _ in range(PATIENCE_S * 20):
        if condition():
            return
        await asyncio.sleep(0.05)


def held(*ports: int) -> dict[str, int]:
    """The channels and calls of this process, and its sockets to these ports."""
    kinds = Counter(type(thing) for thing in gc.get_objects())
    sockets = [socket for socket in psutil.Process().net_connections("tcp") if socket.raddr]
    return {
        "channels": sum(count for kind, count in kinds.items() if issubclass(kind, grpc.aio.Channel)),
        "calls": sum(count for kind, count in kinds.items() if issubclass(kind, grpc.aio.StreamStreamCall)),
        "sockets": sum(socket.raddr.port in ports for socket in sockets),
    }


ONE_WAY = {"channels": 2, "calls": 2, "sockets": 2}
"""One of two members dialled, once for each purpose."""


def link(party):
    (found,) = party.transport.health().links
    return found


def failed_to_dial(party) -> bool:
    return any(words in (link(party).failure or "") for words in ("failed to connect", "nothing answers"))


async def test_a_peer_that_goes_and_comes_back_leaves_no_channel_call_or_socket(parties):
    a, b = await parties.start("a"), await parties.start("b")
    port = b.transport.bound_port

    async def come_up(peer) -> dict[str, int]:
        peer.members.accepted[A] = (a.tls.certificate,)
        a.members.accepted[B] = (peer.tls.certificate,)
        a.members.where[B] = (f"127.0.0.1:{port}",)
        peer.transport.recheck()
        a.transport.recheck()
        await until(lambda: link(a).connected and link(a).bulk)
        await until(lambda: held(port) == ONE_WAY)
        return held(port)

    assert await come_up(b) == ONE_WAY
    for _ in range(ROUNDS):
        await b.transport.close()
        await until(lambda: failed_to_dial(a))
        assert failed_to_dial(a)
        b = await parties.start("b", listen=f"127.0.0.1:{port}")
        assert await come_up(b) == ONE_WAY


async def test_links_that_were_ended_on_our_side_leave_nothing(parties):
    a, b = await parties.network("a", "b")
    ports = (a.transport.bound_port, b.transport.bound_port)

    for party, peer in ((a, B), (b, A)):
        del party.members.accepted[peer]
        party.transport.recheck()
    nothing = {"channels": 0, "calls": 0, "sockets": 0}
    await until(lambda: held(*ports) == nothing)

    assert held(*ports) == nothing
