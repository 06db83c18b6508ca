"""One gRPC stream as a pipe of frames: either end, with gRPC's many ways to fail turned into `LinkError`."""

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc

from node import __version__
from node._proto.link_pb2 import Frame, Hello
from node.base.ports import LinkError
from node.base.types import OrgId
from node.edge.transport.credentials import Identity
from node.edge.transport.errors import NoCommonVersion, PeerBroke
from node.edge.transport.limits import HELLO_BYTES_MAX, HELLO_TIMEOUT_S, INSTANCE_BYTES, SOFTWARE_CHARACTERS_MAX
from node.edge.transport.report import Purpose, Report
from node.edge.transport.versions import Versions
from node.edge.transport.wire import Piece, decode_frame, encode_frame

SERVICE = "lepton.Link"
NO_COMMON_VERSION = grpc.StatusCode.UNIMPLEMENTED
"""How a call is refused whose caller speaks other versions; the details name both ranges."""


class FrameStream:
    """Reads and writes frames and counts their bytes.

    A read and a write may run together; two of a kind may not. Cancelling either ends the whole call: that is how
    grpc.aio is made, so only who ends a session cancels them.
    """

    def __init__(self, call: Any, peer: OrgId, purpose: Purpose, report: Report) -> None:
        """`call` is a client's stream-stream call or a server's context, without serialisers."""
        self._call = call
        self._peer = peer
        self._purpose = purpose
        self._report = report

    async def read(self) -> Frame | Piece:
        """The next frame. Raises `LinkError` when the stream is over."""
        try:
            raw = await self._call.read()
        except (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError) as error:
            raise _link_error(error) from error
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            raise LinkError("the call was cancelled") from error
        if raw is grpc.aio.EOF:
            raise LinkError("the peer ended the stream")
        self._report.moved(self._peer, self._purpose, False, len(raw))
        return decode_frame(raw)

    async def write(self, frame: bytes) -> None:
        """Hand an encoded frame to gRPC, waiting while the peer's window is full. Raises `LinkError`."""
        try:
            await self._call.write(frame)
        except (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError) as error:
            raise _link_error(error) from error
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            raise LinkError("the call was cancelled") from error
        self._report.moved(self._peer, self._purpose, True, len(frame))


async def read_hello(stream: FrameStream) -> Frame | Piece:
    """The peer's first frame. Raises `LinkError`."""
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            return await stream.read()
    except TimeoutError as error:
        raise LinkError(f"no hello within {HELLO_TIMEOUT_S:g} s") from error


def hello_frame(identity: Identity) -> bytes:
    """Our first frame, encoded."""
    hello = Hello(
        version_lowest=identity.versions.lowest,
        version_highest=identity.versions.highest,
        chain=identity.chain,
        org=identity.org,
        instance=identity.instance,
        software=__version__,
    )
    return encode_frame(Frame(hello=hello))


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a peer's hello says."""

    instance: bytes
    """Which run of the peer's process it is."""
    version: int
    """Of the protocol, the one that both use on this stream."""
    software: str
    """The peer's program, in its own words."""


def check_hello(identity: Identity, peer: OrgId, frame: Frame | Piece) -> Greeting:
    """What the peer's hello says. Raises `PeerBroke`, `NoCommonVersion`."""
    if isinstance(frame, Piece) or frame.WhichOneof("kind") != "hello" or frame.ByteSize() > HELLO_BYTES_MAX:
        raise PeerBroke("its first frame is no hello")
    hello = frame.hello
    if hello.chain != identity.chain:
        raise PeerBroke("its hello names another chain")
    if hello.org != peer:
        raise PeerBroke("its hello names another organisation than its call")
    if len(hello.instance) != INSTANCE_BYTES:
        raise PeerBroke(f"its hello names an instance of {len(hello.instance)} bytes, not {INSTANCE_BYTES}")
    versions = Versions(hello.version_lowest, hello.version_highest)
    version = identity.versions.common(versions)
    if version is None:
        raise NoCommonVersion(no_common_version(identity.versions, versions))
    software = "".join(c if c.isprintable() else " " for c in hello.software[:SOFTWARE_CHARACTERS_MAX])
    return Greeting(hello.instance, version, software)


def no_common_version(own: Versions, peers: Versions | None) -> str:
    """The refusal, with both ranges."""
    theirs = "none that can be read" if peers is None else str(peers)
    return f"no version of the protocol in common: this member speaks {own}, the other {theirs}; upgrade the older one"


def _link_error(error: Exception) -> LinkError:
    if isinstance(error, grpc.aio.AioRpcError):
        text = f"{error.code().name.lower()}: {error.details()}"
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return PeerBroke(text)
        if error.code() is NO_COMMON_VERSION:
            return NoCommonVersion(error.details() or "")
        return LinkError(text)
    return LinkError(str(error) or type(error).__name__)


def _is_being_cancelled() -> bool:
    """Whether it is this task that ends; else gRPC cancelled the call, and the link ended."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
