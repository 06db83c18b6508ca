"""A member's modified client with a valid certificate, over real links: what it takes is bounded, others go on."""

import asyncio
import contextlib
import itertools
import socket
import tracemalloc

import pytest

from node._proto.link_pb2 import Cancel, Frame, Messages, Request
from node.base.ports import LinkError
from node.edge.transport.limits import (
    CONNECTIONS_MAX,
    CONTROL_MESSAGE_BYTES_MAX,
    FETCHES_PER_PEER_MAX,
    FRAME_BYTES_MAX,
    IDLE_FRAMES_AT_ONCE,
    STREAMS_PER_CONNECTION_MAX,
    WINDOW_BYTES,
)
from node.edge.transport.report import Purpose, RefusalKind
from node.testing.hostile import HostileClient

CHUNK_BYTES = 64 << 10


class Endless:
    """Answers every request without end, and counts."""

    def __init__(self) -> None:
        self.running = 0
        self.given = 0

    async def __call__(self, peer, request):
        self.running += 1
        try:
            while True:
                yield bytes(CHUNK_BYTES)
                self.given += 1
        finally:
            self.running -= 1


async def three(parties, serve=None):
    """A victim, an honest peer linked to it, and one that is hostile: known to both, and linked to nobody."""
    options = {} if serve is None else {"bulk_server": serve}
    victim, honest = await parties.start("victim", **options), await parties.start("honest")
    hostile = parties.secret("zoe")
    for party in (victim, honest):
        party.members.accepted["zoe"] = (hostile.certificate,)
    parties.introduce(victim, honest)
    await honest.linked(victim)
    await victim.linked(honest)
    return victim, honest, hostile


def client(victim, hostile, purpose=Purpose.CONTROL):
    return HostileClient(
        "zoe",
        bytes(range(32)),
        hostile.key_pem,
        hostile.certificate,
        address=f"127.0.0.1:{victim.transport.bound_port}",
        certificate=victim.tls.certificate,
        purpose=purpose,
    )


async def still_hears(victim, honest, words):
    honest.transport.send(victim.org, words)
    await victim.heard.until(lambda: (honest.org, words) in victim.heard.messages)


def messages(*bodies):
    return Frame(messages=Messages(bodies=bodies)).SerializeToString()


def request(number, body=b"?"):
    return Frame(request=Request(number=number, body=body)).SerializeToString()


async def write_until_cut(one, frames):
    """Write all, or until the member has had enough; its words then."""
    with contextlib.suppress(LinkError):
        for frame in frames:
            await one.write(frame)
    async with asyncio.timeout(20):
        return await one.ended()


@pytest.mark.parametrize(
    ("purpose", "frames"),
    [
        (Purpose.CONTROL, [messages(bytes(CONTROL_MESSAGE_BYTES_MAX + 1))]),
        (Purpose.CONTROL, [request(1)]),
        (Purpose.CONTROL, [b"\xff" * 1_000]),
        (Purpose.BULK, [messages(b"a vote")]),
        (Purpose.BULK, [request(number) for number in range(1, 5_000)]),
        (Purpose.BULK, [request(2), request(1)]),
        (Purpose.BULK, [Frame(cancel=Cancel(number=7)).SerializeToString()] * (2 * IDLE_FRAMES_AT_ONCE)),
    ],
    ids=["oversized", "wrong lane", "no frame", "wrong lane too", "thousands at once", "wrong order", "idle frames"],
)
async def test_what_breaks_the_protocol_is_cut_and_counted_and_nobody_else_feels_it(parties, purpose, frames):
    serve = Endless()
    victim, honest, hostile = await three(parties, serve)

    async with client(victim, hostile, Purpose.CONTROL) as control, client(victim, hostile, purpose) as one:
        if purpose is Purpose.BULK:
            await control.greet()
        await one.greet()
        await write_until_cut(one, frames)
        await still_hears(victim, honest, b"as before")

    await victim.heard.until(lambda: victim.transport.refused[RefusalKind.BROKE_PROTOCOL] == 1)
    assert [refusal.holder for refusal in victim.heard.refusals] == ["zoe"]
    assert serve.running <= FETCHES_PER_PEER_MAX


async def test_what_is_larger_than_any_frame_ends_the_link_before_it_is_taken(parties):
    """gRPC's core refuses it by itself."""
    victim, honest, hostile = await three(parties)

    async with client(victim, hostile) as one:
        await one.greet()
        await write_until_cut(one, [messages(bytes(FRAME_BYTES_MAX))])
        await still_hears(victim, honest, b"as before")

    assert all(peer == "honest" for peer, _ in victim.heard.messages)


async def test_a_reader_that_takes_nothing_holds_a_bounded_part_of_endless_answers(parties):
    serve = Endless()
    victim, honest, hostile = await three(parties, serve)

    async with client(victim, hostile, Purpose.BULK) as one:
        await one.greet()
        for number in range(1, FETCHES_PER_PEER_MAX + 1):
            await one.write(request(number))
        await one.read()
        await still_hears(victim, honest, b"while the answers wait")
        given = serve.given
        await still_hears(victim, honest, b"and later")
        assert serve.given <= FETCHES_PER_PEER_MAX * (WINDOW_BYTES // CHUNK_BYTES + 2)
        assert given <= serve.given

    async with asyncio.timeout(20):
        # Words of its own each time: what was heard before is waited for without letting anybody else run.
        for number in itertools.count():
            if not serve.running:
                break
            await still_hears(victim, honest, b"until all have ended: %d" % number)


async def test_more_streams_than_a_connection_may_have_wait_at_the_client(parties):
    victim, honest, hostile = await three(parties)
    # The bulk connection follows the control link: when an answer came, both are counted.
    with pytest.raises(LinkError, match="nothing is served here"):
        await anext(honest.transport.fetch(victim.org, b"?"))
    before = victim.transport.health().calls

    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(client(victim, hostile))
        await one.greet()
        for _ in range(50):
            one.begin_another()
        await still_hears(victim, honest, b"beside fifty streams")
        assert victim.transport.health().calls <= before + STREAMS_PER_CONNECTION_MAX


async def test_links_that_come_and_go_leave_no_task_and_no_memory(parties):
    victim, honest, hostile = await three(parties)

    async def come_and_go(times):
        for _ in range(times):
            async with client(victim, hostile) as one:
                await one.greet()
                await one.write(messages(b"x" * 10_000))
        await victim.heard.until(lambda: victim.heard.links[-1] == ("zoe", False))
        victim.heard.messages.clear()
        await still_hears(victim, honest, b"still")

    await come_and_go(20)
    tasks = len(asyncio.all_tasks())
    tracemalloc.start()
    first = tracemalloc.get_traced_memory()[0]
    await come_and_go(60)
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()

    assert len(asyncio.all_tasks()) <= tasks + 2
    assert grown < 1 << 20


async def test_strangers_connections_are_bounded_and_members_still_get_in(parties):
    """Without a word of TLS: the ones beyond the limit are closed at once, the others by the handshake's time-out."""
    victim = await parties.start("victim")
    opened = []
    try:
        for _ in range(CONNECTIONS_MAX + 50):
            opened.append(socket.create_connection(("127.0.0.1", victim.transport.bound_port)))
        assert await closed_by_the_other_end(opened, 50) == 50
    finally:
        for one in opened:
            one.close()
    honest = await parties.start("honest")
    parties.introduce(victim, honest)
    await honest.linked(victim)


async def closed_by_the_other_end(opened, wanted):
    """Wait until so many of the sockets are closed, then say how many."""
    loop = asyncio.get_running_loop()
    for one in opened:
        one.setblocking(False)
    ends = [loop.create_task(loop.sock_recv(one, 1_000)) for one in opened]
    closed = 0
    try:
        async with asyncio.timeout(20):
            for end in asyncio.as_completed(ends):
                with contextlib.suppress(ConnectionError):
                    assert await end == b""
                closed += 1
                if closed == wanted:
                    return closed
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
    return closed
