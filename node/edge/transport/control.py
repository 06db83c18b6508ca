"""The control stream: whole messages in order, from a bounded queue."""

import asyncio
from collections import deque
from typing import Never

from node._proto.link_pb2 import Frame, Messages
from node.base.ports import LinkError, OnMessage
from node.edge.transport.errors import PeerBroke, PeerTooSlow
from node.edge.transport.limits import (
    CONTROL_MESSAGE_BYTES_MAX,
    MESSAGES_PER_FRAME_MAX,
    QUEUE_BYTES_MAX,
    QUEUE_MESSAGES_MAX,
)
from node.edge.transport.report import Report, wall_ms
from node.edge.transport.session import Link, Session
from node.edge.transport.stream import FrameStream
from node.edge.transport.wire import Piece, encode_frame


class ControlSession(Session):
    """Sends without ever blocking; a peer that falls behind by more than the queue is cut."""

    def __init__(self, link: Link, stream: FrameStream, on_message: OnMessage, report: Report) -> None:
        super().__init__(link, stream)
        self._report = report
        self._on_message = on_message
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._work = asyncio.Event()

    def send(self, message: bytes) -> None:
        """Queue one message. When the queue is full it is dropped and the link ends."""
        if len(self._queue) >= QUEUE_MESSAGES_MAX or self._queued_bytes + len(message) > QUEUE_BYTES_MAX:
            self.close(PeerTooSlow(f"{len(self._queue)} messages ({self._queued_bytes} bytes) wait for it"))
            return
        self._queue.append(message)
        self._queued_bytes += len(message)
        self._work.set()

    def _receive(self, frame: Frame | Piece) -> None:
        if isinstance(frame, Piece) or frame.WhichOneof("kind") != "messages":
            raise PeerBroke("a frame on the control stream that carries no messages")
        bodies = list(frame.messages.bodies)
        if not bodies:
            raise PeerBroke("a frame of no messages")
        size = sum(len(body) for body in bodies)
        if size > CONTROL_MESSAGE_BYTES_MAX or len(bodies) > MESSAGES_PER_FRAME_MAX:
            raise PeerBroke(
                f"{len(bodies)} messages of {size} bytes in one frame, "
                f"{MESSAGES_PER_FRAME_MAX} and {CONTROL_MESSAGE_BYTES_MAX} are allowed"
            )
        self._report.clock(self.link.peer, frame.messages.sent_ms)
        for body in bodies:
            if self._closing.done():
                # Cut off for what stood before this in the same frame.
                return
            self._on_message(self.link.peer, body)

    async def _write(self) -> Never:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                frame = Frame(messages=Messages(bodies=self._take(), sent_ms=wall_ms()))
                await self._stream.write(encode_frame(frame))

    def _take(self) -> list[bytes]:
        """What goes into the next frame. A frame costs far more than a small message in it."""
        bodies = [self._queue.popleft()]
        size = len(bodies[0])
        while self._queue and len(bodies) < MESSAGES_PER_FRAME_MAX:
            if size + len(self._queue[0]) > CONTROL_MESSAGE_BYTES_MAX:
                break
            bodies.append(self._queue.popleft())
            size += len(bodies[-1])
        self._queued_bytes -= size
        return bodies

    def _busy(self) -> bool:
        return bool(self._queue)

    def _release(self, reason: LinkError) -> list[asyncio.Task[None]]:
        self._queue.clear()
        return []
