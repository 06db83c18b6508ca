"""A member's own modified client: it holds a valid certificate, says a proper hello, and then sends what it likes.

It dials with the production's credentials and hello, so that a member lets it in; nothing else is checked at this end.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import grpc

from node.base.ports import LinkError
from node.base.types import Digest, OrgId
from node.edge.transport.claims import claim
from node.edge.transport.credentials import Identity, OwnKeys, TlsKey, channel_credentials, channel_options
from node.edge.transport.limits import INSTANCE_BYTES, PROTOCOL_VERSIONS
from node.edge.transport.report import Purpose
from node.edge.transport.stream import SERVICE, hello_frame

BACKOFF_S = 0.05


class HostileClient:
    """One stream to one member, with a connection of its own."""

    def __init__(
        self,
        org: OrgId,
        chain: Digest,
        tls_key_pem: bytes,
        tls_certificate: bytes,
        *,
        address: str,
        certificate: bytes,
        purpose: Purpose = Purpose.CONTROL,
    ) -> None:
        """`address` and `certificate` (DER) are the victim's; the rest is what the client shows."""
        own = TlsKey(tls_key_pem, tls_certificate)
        instance = secrets.token_bytes(INSTANCE_BYTES)
        self._identity = Identity(org, chain, instance, OwnKeys([own]), PROTOCOL_VERSIONS)
        self._channel = grpc.aio.secure_channel(
            address,
            channel_credentials(own, certificate),
            options=[*channel_options(certificate), ("grpc.max_send_message_length", -1)],
        )
        self._purpose = purpose
        self._call: Any = None
        self._more: list[Any] = []

    async def __aenter__(self) -> Self:
        """Begin the stream without a word."""
        self._call = self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in (self._call, *self._more):
            call.cancel()
        await self._channel.close()

    def _begin(self) -> Any:
        return self._channel.stream_stream(f"/{SERVICE}/{self._purpose.value}")(metadata=claim(self._identity))

    def begin_another(self) -> None:
        """One more stream on the same connection; it is never read, and ends with the connection."""
        self._more.append(self._begin())

    async def greet(self) -> None:
        """Say hello and hear the member's. Raises `LinkError` when it lets nobody in."""
        await self.write(hello_frame(self._identity))
        await self.read()

    async def write(self, raw: bytes) -> None:
        """Send bytes as one frame, whatever they are. Raises `LinkError` when the stream is over."""
        try:
            await self._call.write(raw)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise LinkError(str(error)) from error

    async def read(self) -> bytes:
        """The member's next frame. Raises `LinkError` when the stream is over."""
        try:
            raw = await self._call.read()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise LinkError(str(error)) from error
        if raw is grpc.aio.EOF:
            raise LinkError("the member ended the stream")
        return bytes(raw)

    async def ended(self) -> str:
        """Read until the member ends the stream; its words."""
        try:
            while True:
                await self.read()
        except LinkError:
            pass
        return str(await self._call.details())


class Flood:
    """Dials again and again and writes the same frames without end; counts what it got rid of."""

    def __init__(self, make: Callable[[], HostileClient], frames: Iterable[bytes]) -> None:
        """`make()` gives a fresh client."""
        self._make = make
        self._frames = list(frames)
        self.written = 0
        self.let_in = 0
        self.turned_away = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            async with self._make() as client:
                try:
                    await client.greet()
                    self.let_in += 1
                    while True:
                        for frame in self._frames:
                            await client.write(frame)
                            self.written += 1
                except LinkError:
                    self.turned_away += 1
            await asyncio.sleep(BACKOFF_S)
