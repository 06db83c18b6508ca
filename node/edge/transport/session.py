"""What one authenticated stream does until it ends: a reader, a writer, and a reason to stop."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

from node._proto.link_pb2 import Frame
from node.base.ports import LinkError
from node.base.types import OrgId
from node.edge.transport.limits import RETIRED_LOOK_S, RETIRED_LOOKS_MAX
from node.edge.transport.report import Purpose
from node.edge.transport.stream import FrameStream
from node.edge.transport.wire import Piece


@dataclass(frozen=True, slots=True)
class Link:
    """An authenticated stream's facts."""

    peer: OrgId
    purpose: Purpose
    dialled: bool
    """Whether we called."""
    instance: bytes
    """Which run of the peer's process it is."""
    certificate: bytes
    """The peer's certificate (DER) that was held against the ledger when the stream began."""
    version: int
    """Of the protocol, the one that both sides use."""
    software: str
    """The peer's program, in its own words."""
    own_certificate: bytes | None = None
    """Ours (DER) that we showed; None on a link that the peer dialled, which knows both."""
    renews: bool = False
    """Whether it was dialled to take the place of a link that is well, with a newer certificate."""


class Session(ABC):
    """One stream in use. `run` ends when the stream does, or after `close`."""

    def __init__(self, link: Link, stream: FrameStream) -> None:
        self.link = link
        self._stream = stream
        self._closing: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        self._retiring: asyncio.TimerHandle | None = None

    def close(self, reason: LinkError) -> None:
        """End the session for this reason; the first one counts."""
        if not self._closing.done():
            self._closing.set_result(reason)

    def retire(self, looks: int = RETIRED_LOOKS_MAX) -> None:
        """A newer link carries what comes; this one ends when what is under way on it has had time to arrive."""
        if looks == 0 or (self._retiring is not None and not self._busy()):
            self.close(LinkError("a link with a newer certificate took its place"))
            return
        self._retiring = asyncio.get_running_loop().call_later(RETIRED_LOOK_S, self.retire, looks - 1)

    async def run(self) -> LinkError:
        """Read and write until the end; why it ended."""
        # No TaskGroup: on Python 3.11 one that ends by an error of its own loses track of cancellations from outside.
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._read()), loop.create_task(self._write())]
        reason = LinkError("the link ended")
        try:
            ends: list[asyncio.Future[Any]] = [*tasks, self._closing]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            reason = self._reason(tasks)
        finally:
            if self._retiring is not None:
                self._retiring.cancel()
            await settle([*tasks, *self._release(reason)])
        return reason

    def _reason(self, tasks: list[asyncio.Task[Never]]) -> LinkError:
        """What ended the session; raises what is no fault of the link but a bug of ours."""
        if self._closing.done():
            return self._closing.result()
        errors = [error for task in tasks if task.done() and (error := task.exception()) is not None]
        # A stream that broke is told by both; the peer's fault only by the one that saw it.
        errors.sort(key=lambda error: type(error) is LinkError)
        if isinstance(errors[0], LinkError):
            # Its trace holds this session, which may keep it: the call would wait for the collector.
            return errors[0].with_traceback(None)
        raise errors[0]

    async def _read(self) -> Never:
        while True:
            self._receive(await self._stream.read())

    @abstractmethod
    def _receive(self, frame: Frame | Piece) -> None:
        """Take one frame, without waiting. Raises `PeerBroke`."""

    @abstractmethod
    async def _write(self) -> Never:
        """Write what waits, for ever."""

    @abstractmethod
    def _busy(self) -> bool:
        """Whether something of ours or of the peer's is under way here."""

    @abstractmethod
    def _release(self, reason: LinkError) -> list[asyncio.Task[None]]:
        """Let go of what the session holds; the tasks that are still to end."""


async def settle(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until each has ended, even if cancelled meanwhile (that is raised afterwards)."""
    for task in tasks:
        task.cancel()
    interrupted: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            interrupted = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # Looked at, so that asyncio does not report it as lost.
    if interrupted is not None:
        raise interrupted
