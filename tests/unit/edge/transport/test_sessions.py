"""What a session makes of a hostile or slow peer, on a stream of the test's own; and which of two links stays."""

import asyncio

import pytest

from node._proto.link_pb2 import Cancel, Credit, End, Frame, Messages, Request
from node._proto.link_pb2 import Refusal as RefusalFrame
from node.base.ports import LinkError
from node.base.types import OrgId
from node.edge.transport.bulk import BulkSession
from node.edge.transport.control import ControlSession
from node.edge.transport.errors import PeerBroke, PeerTooSlow
from node.edge.transport.lane import Lane
from node.edge.transport.limits import (
    CHUNK_BYTES_MAX,
    CONTROL_MESSAGE_BYTES_MAX,
    FETCHES_PER_PEER_MAX,
    MESSAGES_PER_FRAME_MAX,
    QUEUE_BYTES_MAX,
    QUEUE_MESSAGES_MAX,
    REQUEST_BYTES_MAX,
    WINDOW_BYTES,
)
from node.edge.transport.report import Purpose, Report
from node.edge.transport.session import Link
from node.edge.transport.wire import Piece, decode_frame

A, B = OrgId("a"), OrgId("b")


class Wire:
    """A stream whose far end is the test: what it plays comes in, what goes out is kept, unless it is stuck."""

    def __init__(self) -> None:
        self.coming = asyncio.Queue()
        self.gone = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()

    async def read(self):
        frame = await self.coming.get()
        if frame is None:
            raise LinkError("the peer ended the stream")
        return frame

    async def write(self, frame):
        await self.open.wait()
        self.gone.put_nowait(decode_frame(frame))

    def play(self, *frames):
        for frame in frames:
            self.coming.put_nowait(frame)

    async def sent(self, kind):
        """The next frame of this kind that goes out."""
        async with asyncio.timeout(10):
            while True:
                frame = await self.gone.get()
                if ("chunk" if isinstance(frame, Piece) else frame.WhichOneof("kind")) == kind:
                    return frame


def messages(*bodies):
    return Frame(messages=Messages(bodies=bodies))


def drained(queue):
    while not queue.empty():
        yield queue.get_nowait()


def link(purpose, *, dialled=False, instance=b"1" * 8, certificate=b"certificate"):
    return Link(
        peer=B,
        purpose=purpose,
        dialled=dialled,
        instance=instance,
        certificate=certificate,
        version=1,
        software="0",
    )


class Endless:
    """Answers every request without end."""

    def __init__(self) -> None:
        self.running = 0
        self.given = 0

    async def __call__(self, peer, request):
        self.running += 1
        try:
            while True:
                yield bytes(1000)
                self.given += 1
        finally:
            self.running -= 1


def bulk(wire, serve=None):
    return BulkSession(link(Purpose.BULK), wire, serve or Endless(), Report(A, None), fetch_idle_s=10)


async def end_of(session):
    async with asyncio.timeout(10):
        return await session.run()


async def rest_of(first, fetch):
    await first
    async for _ in fetch:
        pass


@pytest.mark.parametrize(
    "frames",
    [
        [Frame()],
        [messages(b"a vote on the bulk stream")],
        [Piece(1, b"for nobody")],
        [Frame(end=End(number=0))],
        [Frame(refusal=RefusalFrame(number=2**63, reason="?"))],
        [Frame(request=Request(number=0, body=b""))],
        [Frame(request=Request(number=2, body=b"")), Frame(request=Request(number=2, body=b""))],
        [Frame(request=Request(number=1, body=bytes(REQUEST_BYTES_MAX + 1)))],
        [Frame(request=Request(number=number, body=b"")) for number in range(1, FETCHES_PER_PEER_MAX + 2)],
        [Frame(request=Request(number=1, body=b"")), Frame(credit=Credit(number=1, bytes=2**63))],
    ],
)
async def test_what_the_bulk_protocol_does_not_allow_ends_the_session(frames):
    wire, serve = Wire(), Endless()
    wire.play(*frames)

    assert isinstance(await end_of(bulk(wire, serve)), PeerBroke)
    assert serve.running == 0


@pytest.mark.parametrize(
    "pieces",
    [
        [Piece(1, b"")],
        [Piece(1, bytes(CHUNK_BYTES_MAX + 1))],
        [Piece(1, bytes(CHUNK_BYTES_MAX))] * 3,
        [Piece(1, b"x")] * (WINDOW_BYTES // 1025 + 1),
    ],
)
async def test_an_answer_beyond_its_bounds_ends_the_session_and_the_fetch(pieces):
    wire = Wire()
    session = bulk(wire)
    running = asyncio.ensure_future(end_of(session))
    fetch = session.fetch(b"request")
    first = asyncio.ensure_future(anext(fetch))
    await wire.sent("request")
    wire.play(*pieces)

    assert isinstance(await running, PeerBroke)
    with pytest.raises(LinkError, match="b went away"):
        await rest_of(first, fetch)


async def test_an_answerer_stops_at_the_window_and_goes_on_with_credit():
    wire, serve = Wire(), Endless()
    running = asyncio.ensure_future(end_of(bulk(wire, serve)))

    wire.play(Frame(request=Request(number=1, body=b"")))
    count = WINDOW_BYTES // (1000 + 1024)
    for _ in range(count):
        await wire.sent("chunk")
    given = serve.given
    wire.play(Frame(request=Request(number=2, body=b"")))
    while (await wire.sent("chunk")).number != 2:
        pass
    assert serve.given - given <= count
    wire.play(Frame(cancel=Cancel(number=2)), Frame(credit=Credit(number=1, bytes=2_024)))
    while (await wire.sent("chunk")).number != 1:
        pass

    wire.play(None)
    assert str(await running) == "the peer ended the stream"
    assert serve.running == 0


async def test_frames_of_a_fetch_that_was_left_are_no_fault():
    wire = Wire()
    session = bulk(wire)
    running = asyncio.ensure_future(end_of(session))
    fetch = session.fetch(b"request")
    first = asyncio.ensure_future(anext(fetch))
    await wire.sent("request")
    wire.play(Piece(1, b"one"))
    assert await first == b"one"

    await fetch.aclose()
    assert (await wire.sent("cancel")).cancel.number == 1
    wire.play(Piece(1, b"two"), Frame(end=End(number=1)), Frame(cancel=Cancel(number=9)), None)

    assert str(await running) == "the peer ended the stream"


async def test_a_refusal_of_any_text_is_one_line():
    wire = Wire()
    session = bulk(wire)
    running = asyncio.ensure_future(end_of(session))
    first = asyncio.ensure_future(anext(session.fetch(b"request")))
    await wire.sent("request")
    wire.play(Frame(refusal=RefusalFrame(number=1, reason="no\n\x1b[31m" + "x" * 10_000)))

    with pytest.raises(LinkError) as error:
        await first
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600
    wire.play(None)
    await running


@pytest.mark.parametrize(("count", "size"), [(QUEUE_MESSAGES_MAX, 1), (QUEUE_BYTES_MAX // (1 << 20), 1 << 20)])
async def test_a_peer_that_does_not_read_is_cut_when_the_queue_is_full(count, size):
    wire = Wire()
    wire.open.clear()
    session = ControlSession(link(Purpose.CONTROL), wire, lambda peer, message: None, Report(A, None))
    running = asyncio.ensure_future(end_of(session))

    for _ in range(count):
        session.send(bytes(size))
    assert not running.done()
    session.send(bytes(size))

    assert isinstance(await running, PeerTooSlow)


async def test_messages_go_out_in_order_and_come_in_in_order():
    wire, heard = Wire(), []
    session = ControlSession(link(Purpose.CONTROL), wire, lambda peer, message: heard.append(message), Report(A, None))
    for number in range(3):
        session.send(bytes([number]))
        wire.play(messages(bytes([number])))
    wire.play(messages(bytes(CONTROL_MESSAGE_BYTES_MAX)), None)

    await end_of(session)

    assert heard == [b"\x00", b"\x01", b"\x02", bytes(CONTROL_MESSAGE_BYTES_MAX)]
    # What waited while the stream was busy goes out in one frame.
    sent = [body for frame in drained(wire.gone) for body in frame.messages.bodies]
    assert sent == [b"\x00", b"\x01", b"\x02"]


@pytest.mark.parametrize(
    "frame",
    [messages(*[b"x"] * (MESSAGES_PER_FRAME_MAX + 1)), messages(bytes(CONTROL_MESSAGE_BYTES_MAX), b"x"), messages()],
    ids=["too many", "too long together", "none"],
)
async def test_a_frame_of_too_much_or_nothing_ends_the_session(frame):
    wire, heard = Wire(), []
    session = ControlSession(link(Purpose.CONTROL), wire, lambda peer, message: heard.append(message), Report(A, None))
    wire.play(frame)

    assert isinstance(await end_of(session), PeerBroke)
    assert heard == []


async def test_what_stands_behind_a_message_that_ends_the_link_is_not_heard():
    wire, heard = Wire(), []

    def hear(peer, message):
        heard.append(message)
        session.close(LinkError("one was enough"))

    session = ControlSession(link(Purpose.CONTROL), wire, hear, Report(A, None))
    wire.play(messages(b"1", b"2", b"3"))

    assert str(await end_of(session)) == "one was enough"
    assert heard == [b"1"]


async def test_what_waits_goes_out_in_few_frames_and_in_order():
    wire = Wire()
    session = ControlSession(link(Purpose.CONTROL), wire, lambda peer, message: None, Report(A, None))
    bodies = [bytes([number % 251]) * 3 for number in range(2 * MESSAGES_PER_FRAME_MAX + 1)]
    for body in [*bodies, bytes(CONTROL_MESSAGE_BYTES_MAX)]:
        session.send(body)
    running = asyncio.ensure_future(end_of(session))
    sent, frames = [], 0
    while len(sent) < len(bodies) + 1:
        sent.extend((await wire.sent("messages")).messages.bodies)
        frames += 1
    wire.play(None)
    await running

    assert sent == [*bodies, bytes(CONTROL_MESSAGE_BYTES_MAX)]
    assert frames == 4


class OnLedger:
    """Members of whom only the certificate is asked."""

    def __init__(self, certificate) -> None:
        self.known = certificate

    def certificates(self, org):
        return (self.known,)


def lane(own, changes, certificate=b"certificate"):
    def make(link_, stream):
        return ControlSession(link_, stream, lambda peer, message: None, Report(A, None))

    return Lane(own, B, Purpose.CONTROL, OnLedger(certificate), make, changes.append)


@pytest.mark.parametrize(
    ("own", "first_dialled", "second_dialled", "second_instance", "replaced"),
    [
        # a is lower than b, c is higher: the lower one's dial stays, whichever came first.
        ("a", True, False, b"1" * 8, False),
        ("a", False, True, b"1" * 8, True),
        ("c", True, False, b"1" * 8, True),
        ("c", False, True, b"1" * 8, False),
        # The same side dialled again: the newer one stays.
        ("a", True, True, b"1" * 8, True),
        ("a", False, False, b"1" * 8, True),
        # The peer's process was started anew: what was before is gone.
        ("a", True, False, b"2" * 8, True),
    ],
)
async def test_which_of_two_links_stays(own, first_dialled, second_dialled, second_instance, replaced):
    changes = []
    between = lane(OrgId(own), changes)
    wires = Wire(), Wire()
    first = asyncio.ensure_future(between.use(link(Purpose.CONTROL, dialled=first_dialled), wires[0]))
    await between.wait_up()

    second_link = link(Purpose.CONTROL, dialled=second_dialled, instance=second_instance)
    second = asyncio.ensure_future(between.use(second_link, wires[1]))
    ended, stays = (first, 1) if replaced else (second, 0)
    async with asyncio.timeout(10):
        reason = await ended
    between.current.send(b"on the one that stays")

    assert list((await wires[stays].sent("messages")).messages.bodies) == [b"on the one that stays"]
    assert "link" in str(reason)
    assert changes == ([True, False, True] if replaced else [True])
    wires[stays].play(None)
    await asyncio.gather(first, second)
    assert changes[-1] is False


async def test_a_link_whose_certificate_changed_meanwhile_is_not_used():
    changes = []

    reason = await lane(A, changes, certificate=None).use(link(Purpose.CONTROL), Wire())

    assert "certificate changed" in str(reason)
    assert changes == []
