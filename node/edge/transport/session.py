"""What one authenticated stream does until it ends: a reader, a writer, and a reason to stop."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass

from node._proto.link_pb2 import Frame
from node.base.ports import LinkError
from node.base.types import OrgId
from node.edge.transport.report import Purpose
from node.edge.transport.stream import FrameStream


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


class Session(ABC):
    """One stream in use. `run` ends when the stream does, or after `close`."""

    def __init__(self, link: Link, stream: FrameStream) -> None:
        self.link = link
        self._stream = stream
        self._closing: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()

    def close(self, reason: LinkError) -> None:
        """End the session for this reason; the first one counts."""
        if not self._closing.done():
            self._closing.set_result(reason)

    async def run(self) -> LinkError:
        """Read and write until the end; why it ended."""
        reason = LinkError("the link ended")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read())
                group.create_task(self._write())
                group.create_task(self._wait_for_close())
        except* LinkError as errors:
            reason = _first(errors)
        finally:
            await self._finish(reason)
        # A group that ends by an error of its own drops a cancellation that comes at the same moment.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        return reason

    async def _read(self) -> None:
        while True:
            self._receive(await self._stream.read())

    async def _wait_for_close(self) -> None:
        raise await self._closing

    @abstractmethod
    def _receive(self, frame: Frame) -> None:
        """Take one frame, without waiting. Raises `PeerBroke`."""

    @abstractmethod
    async def _write(self) -> None:
        """Write what waits, for ever."""

    @abstractmethod
    async def _finish(self, reason: LinkError) -> None:
        """Release what the session holds."""


def _first(errors: BaseExceptionGroup[LinkError]) -> LinkError:
    """The cause among what several tasks say of one end: ours or the peer's fault before a broken stream."""
    leaves: list[LinkError] = []
    waiting: list[BaseException] = [errors]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        elif isinstance(error, LinkError):
            leaves.append(error)
    return next((leaf for leaf in leaves if type(leaf) is not LinkError), leaves[0])
