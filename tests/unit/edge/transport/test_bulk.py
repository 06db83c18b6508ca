"""Bulk over real sockets: whole, bounded, refused in words, and leaking nothing."""

import asyncio
import hashlib
from contextlib import aclosing

import pytest

from node.base.ports import BulkRefused, LinkError
from node.base.types import OrgId
from node.edge.transport.limits import CHUNK_BYTES_MAX, FETCHES_PER_PEER_MAX, REQUEST_BYTES_MAX, WINDOW_BYTES

A, B = OrgId("a"), OrgId("b")
MIB = 1 << 20


class Shelf:
    """Serves `count` chunks of 1 MiB by number, and tells how far it came."""

    def __init__(self) -> None:
        self.given = 0
        self.running = 0
        self.ended = 0
        self.moved = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, peer, request):
        self.running += 1
        try:
            if request == b"refuse":
                raise BulkRefused(f"{peer} has no right to this\n")
            if request == b"disk":
                raise OSError("the disk is gone")
            if request == b"bug":
                raise RuntimeError("a bug of the answerer")
            if request == b"hold":
                yield b"first"
                self.hold.clear()
                self.moved.set()
                await self.hold.wait()
            for number in range(int(request) if request.isdigit() else 0):
                yield bytes([number % 251]) * MIB
                self.given += 1
                self.moved.set()
        finally:
            self.running -= 1
            self.ended += 1
            self.moved.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.moved.clear()
                await self.moved.wait()


async def collect(fetch) -> list[bytes]:
    async with asyncio.timeout(30):
        return [chunk async for chunk in fetch]


async def take_all(fetch, first: asyncio.Event) -> None:
    async with aclosing(fetch):
        async for _ in fetch:
            first.set()


@pytest.fixture
def shelf():
    return Shelf()


@pytest.mark.parametrize(("asker", "answerer"), [(0, 1), (1, 0)])
async def test_twenty_megabytes_arrive_whole_in_both_directions_of_a_connection(parties, shelf, asker, answerer):
    network = await parties.network("a", "b", bulk_server=shelf)

    chunks = await collect(network[asker].transport.fetch(network[answerer].org, b"20"))

    assert (
        hashlib.sha256(b"".join(chunks)).digest()
        == hashlib.sha256(b"".join(bytes([number]) * MIB for number in range(20))).digest()
    )
    assert network[asker].transport.traffic(network[answerer].org).bulk_received >= 20 * MIB


async def test_many_fetches_at_once_are_all_answered(parties, shelf):
    a, _ = await parties.network("a", "b", bulk_server=shelf)

    answers = await asyncio.gather(*(collect(a.transport.fetch(B, b"2")) for _ in range(3 * FETCHES_PER_PEER_MAX)))

    assert all([len(chunk) for chunk in answer] == [MIB, MIB] for answer in answers)


async def test_an_empty_answer_is_no_chunk(parties, shelf):
    a, _ = await parties.network("a", "b", bulk_server=shelf)

    assert await collect(a.transport.fetch(B, b"0")) == []


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"refuse", "b refused: a has no right to this "),
        (b"disk", "b refused: the answerer's own disk or network failed"),
        (b"bug", "b refused: the answerer failed; its log says how"),
    ],
)
async def test_a_refusal_comes_in_words_and_the_link_stays(parties, shelf, request_, words):
    a, _ = await parties.network("a", "b", bulk_server=shelf)

    with pytest.raises(LinkError) as error:
        await collect(a.transport.fetch(B, request_))

    assert str(error.value) == words
    assert len(await collect(a.transport.fetch(B, b"1"))) == 1


async def test_a_peer_that_is_not_there_is_told_at_once(parties):
    a, _ = await parties.network("a", "b")

    with pytest.raises(LinkError, match="no member"):
        await collect(a.transport.fetch(OrgId("nobody"), b"1"))
    a.members.accepted[OrgId("c")] = (parties.secret("c").certificate,)
    a.transport.recheck()
    with pytest.raises(LinkError, match="not connected"):
        await collect(a.transport.fetch(OrgId("c"), b"1"))


async def test_an_answerer_that_vanishes_midway_is_a_link_error(parties, shelf):
    a, b = await parties.network("a", "b", bulk_server=shelf)
    fetch = a.transport.fetch(B, b"hold")
    assert await anext(fetch) == b"first"

    await b.transport.close()

    with pytest.raises(LinkError, match="b went away"):
        await collect(fetch)
    assert shelf.running == 0


async def test_an_answerer_that_falls_silent_is_a_link_error(parties, shelf):
    a, _ = await parties.network("a", "b", bulk_server=shelf, fetch_idle_s=0.2)

    with pytest.raises(LinkError, match="sent nothing for"):
        await collect(a.transport.fetch(B, b"hold"))

    await shelf.until(lambda: shelf.running == 0)


async def test_a_slow_reader_holds_the_answerer_back(parties, shelf):
    a, _ = await parties.network("a", "b", bulk_server=shelf)
    slow = a.transport.fetch(B, b"64")
    async with aclosing(slow):
        await anext(slow)
        # A second fetch in full shows that the first one had all the time it could use.
        await collect(a.transport.fetch(B, b"16"))

        assert shelf.given - 16 <= WINDOW_BYTES // MIB + 2
        assert shelf.running == 1

        rest = await collect(slow)
    assert len(rest) == 63


async def test_cancelling_midway_leaks_nothing(parties, shelf):
    a, _ = await parties.network("a", "b", bulk_server=shelf)
    await collect(a.transport.fetch(B, b"1"))
    before = asyncio.all_tasks()

    for _ in range(3 * FETCHES_PER_PEER_MAX):
        first = asyncio.Event()
        task = asyncio.ensure_future(take_all(a.transport.fetch(B, b"64"), first))
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await shelf.until(lambda: shelf.running == 0)

    assert shelf.ended == 1 + 3 * FETCHES_PER_PEER_MAX
    assert len(await collect(a.transport.fetch(B, b"2"))) == 2
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_closing_leaves_no_task(parties, shelf):
    before = asyncio.all_tasks()
    a, b = await parties.network("a", "b", bulk_server=shelf)
    fetch = a.transport.fetch(B, b"hold")
    await anext(fetch)

    await a.transport.close()
    await b.transport.close()
    with pytest.raises(LinkError):
        await anext(fetch)

    ours = [task for task in asyncio.all_tasks() - before if "node.edge" in repr(task) and not task.done()]
    assert ours == []


async def test_votes_arrive_while_bulk_is_running(parties, shelf):
    a, b = await parties.network("a", "b", bulk_server=shelf)
    fetch = a.transport.fetch(B, b"64")
    async with aclosing(fetch):
        await anext(fetch)
        bulk = asyncio.ensure_future(collect(fetch))
        for number in range(20):
            b.transport.send(A, b"vote %d" % number)
            a.transport.send(B, b"vote %d" % number)
        votes = [b"vote %d" % number for number in range(20)]
        await a.heard.until(lambda: len(a.heard.messages) == 20)
        await b.heard.until(lambda: len(b.heard.messages) == 20)

        assert not bulk.done()
        assert [message for _, message in a.heard.messages] == votes
        assert [message for _, message in b.heard.messages] == votes
        assert len(await bulk) == 63


async def test_what_is_too_long_is_refused_before_it_is_sent(parties):
    a, _ = await parties.network("a", "b")

    with pytest.raises(ValueError, match="a request has"):
        await collect(a.transport.fetch(B, bytes(REQUEST_BYTES_MAX + 1)))
    with pytest.raises(ValueError, match="a message has"):
        a.transport.send(B, bytes(3 * MIB))


async def test_a_chunk_too_long_is_the_answerers_bug_and_no_fault_of_the_asker(parties):
    async def serve(peer, request):
        yield bytes(CHUNK_BYTES_MAX + 1)

    a, b = await parties.network("a", "b", bulk_server=serve)

    with pytest.raises(LinkError, match="the answerer failed"):
        await collect(a.transport.fetch(B, b"1"))
    assert (a.heard.refusals, b.heard.refusals) == ([], [])
