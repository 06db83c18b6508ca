"""The bulk stream: requests by number in both directions, each answered by chunks as fast as its reader takes them.

The asker grants credit for what it has taken, so a slow reader holds at most `WINDOW_BYTES` per request; the reader of
the stream itself never waits, so one slow answer does not hold up another.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Never

from node._proto.link_pb2 import Cancel, Credit, End, Frame, Request
from node._proto.link_pb2 import Refusal as RefusalFrame
from node.base.ports import BulkRefused, BulkServer, LinkError
from node.edge.transport.errors import PeerBroke, PeerTooSlow
from node.edge.transport.limits import (
    ANSWER_IDLE_S,
    CHUNK_BYTES_MAX,
    CHUNK_OVERHEAD_BYTES,
    CHUNKS_QUEUED_MAX,
    CREDIT_BYTES,
    FETCHES_PER_PEER_MAX,
    IDLE_FRAMES_AT_ONCE,
    IDLE_FRAMES_PER_S,
    REFUSAL_CHARACTERS_MAX,
    REQUEST_BYTES_MAX,
    REQUESTS_AT_ONCE,
    REQUESTS_PER_S,
    URGENT_QUEUED_MAX,
    WINDOW_BYTES,
)
from node.edge.transport.pace import Pace
from node.edge.transport.report import Report
from node.edge.transport.session import Link, Session
from node.edge.transport.stream import FrameStream
from node.edge.transport.wire import Piece, encode_frame


def chunk_cost(body: bytes | memoryview) -> int:
    """What a chunk takes of the window."""
    return len(body) + CHUNK_OVERHEAD_BYTES


@dataclass(slots=True)
class _Fetch:
    """A request of ours: what came and is not taken yet."""

    arrived: asyncio.Queue[bytes | memoryview | LinkError | None] = field(default_factory=asyncio.Queue)
    """Chunks; None at the end. Bounded by the window."""
    window: int = WINDOW_BYTES
    """What the answerer may still send."""


@dataclass(slots=True)
class _Answer:
    """A request of the peer's: what may still be sent."""

    window: int = WINDOW_BYTES
    granted: asyncio.Event = field(default_factory=asyncio.Event)


class BulkSession(Session):
    """Asks and answers on one stream."""

    def __init__(
        self, link: Link, stream: FrameStream, serve: BulkServer, report: Report, *, fetch_idle_s: float
    ) -> None:
        super().__init__(link, stream)
        self._serve = serve
        self._report = report
        self._fetch_idle_s = fetch_idle_s
        self._slots = asyncio.Semaphore(FETCHES_PER_PEER_MAX)
        self._fetches: dict[int, _Fetch] = {}
        self._last_asked = 0
        self._answers: dict[int, _Answer] = {}
        self._answer_tasks: dict[int, asyncio.Task[None]] = {}
        self._last_answered = 0
        self._work = asyncio.Event()
        self._urgent: deque[Frame] = deque()
        self._chunks: deque[bytes] = deque()
        self._room = asyncio.Semaphore(CHUNKS_QUEUED_MAX)
        self._ended: LinkError | None = None
        clock = asyncio.get_running_loop().time
        self._pace = Pace(REQUESTS_PER_S, REQUESTS_AT_ONCE, clock)
        self._idle_frames = Pace(IDLE_FRAMES_PER_S, IDLE_FRAMES_AT_ONCE, clock)

    async def fetch(self, body: bytes) -> AsyncGenerator[bytes | memoryview, None]:
        """The chunks of the peer's answer. Raises `LinkError`."""
        if len(body) > REQUEST_BYTES_MAX:
            raise ValueError(f"a request has {REQUEST_BYTES_MAX} bytes at most, not {len(body)}")
        async with self._slots:
            if self._ended is not None:
                raise LinkError(f"{self.link.peer} went away: {self._ended}")
            self._last_asked += 1
            number = self._last_asked
            fetch = self._fetches[number] = _Fetch()
            self._post(Frame(request=Request(number=number, body=body)))
            try:
                async for chunk in self._chunks_of(number, fetch):
                    yield chunk
            finally:
                # Still in the table: the consumer left before the end.
                if self._fetches.pop(number, None) is not None and self._ended is None:
                    self._post(Frame(cancel=Cancel(number=number)))

    async def _chunks_of(self, number: int, fetch: _Fetch) -> AsyncIterator[bytes | memoryview]:
        taken = 0
        while True:
            try:
                async with asyncio.timeout(self._fetch_idle_s):
                    item = await fetch.arrived.get()
            except TimeoutError as error:
                raise LinkError(f"{self.link.peer} sent nothing for {self._fetch_idle_s:g} s") from error
            if item is None:
                return
            if isinstance(item, LinkError):
                raise item
            yield item
            taken += chunk_cost(item)
            if taken >= CREDIT_BYTES and number in self._fetches:
                fetch.window += taken
                self._post(Frame(credit=Credit(number=number, bytes=taken)))
                taken = 0

    def _receive(self, frame: Frame | Piece) -> None:
        if isinstance(frame, Piece):
            self._receive_chunk(frame)
            return
        match frame.WhichOneof("kind"):
            case "end":
                self._close_fetch(frame.end.number, None)
            case "refusal":
                self._close_fetch(frame.refusal.number, self._refused(frame.refusal.reason))
            case "request":
                self._receive_request(frame.request)
            case "credit":
                self._receive_credit(frame.credit)
            case "cancel":
                self._receive_cancel(frame.cancel)
            case _:
                raise PeerBroke("a frame on the bulk stream that belongs to another")

    # As the asker.

    def _known_fetch(self, number: int) -> _Fetch | None:
        """None for one that we cancelled: its last frames may still be under way."""
        if not 0 < number <= self._last_asked:
            raise PeerBroke(f"an answer to request {number}, which was never made")
        return self._fetches.get(number)

    def _receive_chunk(self, chunk: Piece) -> None:
        fetch = self._known_fetch(chunk.number)
        body = chunk.body
        if not 0 < len(body) <= CHUNK_BYTES_MAX:
            raise PeerBroke(f"a chunk of {len(body)} bytes, 1 to {CHUNK_BYTES_MAX} are allowed")
        if fetch is None:
            return
        fetch.window -= chunk_cost(body)
        if fetch.window < 0:
            raise PeerBroke("chunks beyond the credit that it was given")
        fetch.arrived.put_nowait(body)

    def _close_fetch(self, number: int, error: LinkError | None) -> None:
        if self._known_fetch(number) is not None:
            self._fetches.pop(number).arrived.put_nowait(error)

    def _refused(self, reason: str) -> LinkError:
        words = "".join(c if c.isprintable() else " " for c in reason[:REFUSAL_CHARACTERS_MAX])
        return LinkError(f"{self.link.peer} refused: {words}")

    # As the answerer.

    def _receive_request(self, request: Request) -> None:
        number = request.number
        if number <= self._last_answered:
            raise PeerBroke(f"request {number} after request {self._last_answered}")
        # Protobuf copies the bytes at every look at the field.
        body = request.body
        if len(body) > REQUEST_BYTES_MAX:
            raise PeerBroke(f"a request of {len(body)} bytes, {REQUEST_BYTES_MAX} are allowed")
        if len(self._answers) >= FETCHES_PER_PEER_MAX:
            raise PeerBroke(f"more than {FETCHES_PER_PEER_MAX} requests at once")
        self._last_answered = number
        answer = self._answers[number] = _Answer()
        task = asyncio.get_running_loop().create_task(self._answer(number, answer, body))
        self._answer_tasks[number] = task
        task.add_done_callback(lambda done: self._answer_done(number, done))

    def _receive_credit(self, credit: Credit) -> None:
        answer = self._answers.get(credit.number)
        if answer is None:
            self._receive_idle()
            return
        answer.window += credit.bytes
        if answer.window > WINDOW_BYTES:
            raise PeerBroke("credit for more than it was sent")
        answer.granted.set()

    def _receive_cancel(self, cancel: Cancel) -> None:
        if self._answers.pop(cancel.number, None) is None:
            self._receive_idle()
        else:
            self._answer_tasks[cancel.number].cancel()

    def _receive_idle(self) -> None:
        if not self._idle_frames.allows():
            raise PeerBroke("credits and cancels without end for answers that are over")

    async def _answer(self, number: int, answer: _Answer, body: bytes) -> None:
        await asyncio.sleep(self._pace.next_s())
        chunks = self._serve(self.link.peer, body)
        try:
            async for chunk in chunks:
                if len(chunk) > CHUNK_BYTES_MAX:
                    raise ValueError(f"a chunk has {CHUNK_BYTES_MAX} bytes at most, not {len(chunk)}")
                if chunk:
                    await self._spend(answer, chunk_cost(chunk))
                    # Its memory may be used again as soon as the next one is asked for.
                    await self._queue(encode_frame(Piece(number, chunk)))
            last = Frame(end=End(number=number))
        except BulkRefused as refusal:
            last = _refusal(number, str(refusal))
        except TimeoutError:
            last = _refusal(number, f"nothing was taken for {ANSWER_IDLE_S:g} s")
        except OSError as error:
            self._report.failed("a request could not be answered", error)
            last = _refusal(number, "the answerer's own disk or network failed")
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        await self._queue(encode_frame(last))
        # The asker may ask again as soon as it sees the last frame, so the place is free before that goes out.
        self._answers.pop(number, None)

    def _answer_done(self, number: int, task: asyncio.Task[None]) -> None:
        del self._answer_tasks[number]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._report.failed("the answer to a request failed", error)
            if self._answers.pop(number, None) is not None:
                self._post(_refusal(number, "the answerer failed; its log says how"))

    async def _spend(self, answer: _Answer, cost: int) -> None:
        """Wait until the reader has room for the chunk. Raises `TimeoutError`."""
        if answer.window < cost:
            async with asyncio.timeout(ANSWER_IDLE_S):
                while answer.window < cost:
                    answer.granted.clear()
                    await answer.granted.wait()
        answer.window -= cost

    # The stream.

    def _post(self, frame: Frame) -> None:
        """Queue a small frame before all chunks."""
        if len(self._urgent) >= URGENT_QUEUED_MAX:
            self.close(PeerTooSlow(f"{len(self._urgent)} requests wait for it"))
            return
        self._urgent.append(frame)
        self._work.set()

    async def _queue(self, frame: bytes) -> None:
        """Queue a frame of an answer, encoded, waiting for room."""
        await self._room.acquire()
        self._chunks.append(frame)
        self._work.set()

    async def _write(self) -> Never:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._urgent or self._chunks:
                if self._urgent:
                    frame = encode_frame(self._urgent.popleft())
                else:
                    frame = self._chunks.popleft()
                    self._room.release()
                await self._stream.write(frame)

    def _busy(self) -> bool:
        return bool(self._fetches or self._answers)

    def _release(self, reason: LinkError) -> list[asyncio.Task[None]]:
        self._ended = reason
        for fetch in self._fetches.values():
            fetch.arrived.put_nowait(LinkError(f"{self.link.peer} went away: {reason}"))
        self._fetches.clear()
        self._answers.clear()
        return list(self._answer_tasks.values())


def _refusal(number: int, reason: str) -> Frame:
    return Frame(refusal=RefusalFrame(number=number, reason=reason[:REFUSAL_CHARACTERS_MAX]))
