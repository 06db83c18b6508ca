"""Keeps one stream to one peer up for one purpose, as long as the peer does not dial us."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import grpc

from node.base.ports import LinkError, Members
from node.edge.transport.claims import claim
from node.edge.transport.credentials import Identity, TlsKey, channel_credentials, channel_options
from node.edge.transport.lane import Lane
from node.edge.transport.limits import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    DIAL_HIGHER_WAIT_S,
    FAILED_DIALS_MAX,
    HELLO_TIMEOUT_S,
    LINK_PROVEN_S,
)
from node.edge.transport.report import Report
from node.edge.transport.session import Link, Session
from node.edge.transport.stream import SERVICE, FrameStream, check_hello, hello_frame

S = TypeVar("S", bound=Session)


class Dialler(Generic[S]):
    """Dials whenever the lane is free, with back-off and jitter."""

    def __init__(
        self,
        identity: Identity,
        members: Members,
        lane: Lane[S],
        report: Report,
        until_wanted: Callable[[], Awaitable[None]],
    ) -> None:
        """`until_wanted` returns when this link is worth dialling."""
        self._identity = identity
        self._members = members
        self._lane = lane
        self._report = report
        self._until_wanted = until_wanted
        self.calls = 0
        """Under way now: 0 or 1."""

    async def run(self) -> None:
        """For ever; the caller cancels it."""
        loop = asyncio.get_running_loop()
        head_start = 0.0 if self._identity.org < self._lane.peer else DIAL_HIGHER_WAIT_S
        backoff, failed = 0.0, 0
        while True:
            await self._lane.wait_free()
            await self._until_wanted()
            await self._lane.wait_allowed()
            await asyncio.sleep(head_start + backoff * random.uniform(0.5, 1.0))
            began = loop.time()
            own = self._own_key(failed)
            for address in self._members.addresses(self._lane.peer):
                if failed >= FAILED_DIALS_MAX and not await self._answers(address):
                    continue
                for certificate in self._members.certificates(self._lane.peer):
                    if self._lane.current is None:
                        await self._dial(address, own, certificate)
            proven = loop.time() - began >= LINK_PROVEN_S
            failed = 0 if proven else failed + 1
            backoff = BACKOFF_FIRST_S if proven else min(max(2 * backoff, BACKOFF_FIRST_S), BACKOFF_MAX_S)

    async def _answers(self, address: str) -> bool:
        """Whether anybody takes a TCP connection there.

        A gRPC channel that does not come up leaves some 0.3 kB behind in gRPC's core, for good; this leaves nothing.
        To a peer that is back it is a handshake that came to nothing, so it is asked only after a row of failures.
        """
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError as error:
            reason = error.strerror or str(error) or f"no answer within {HELLO_TIMEOUT_S:g} s"
            failure = LinkError(f"nothing answers at {address}: {reason}")
            self._report.ended(self._lane.peer, self._lane.purpose, failure)
            return False
        writer.close()
        return True

    def _own_key(self, failed: int) -> TlsKey:
        """One after the other: a peer whose ledger is behind may know us by an earlier key only."""
        keys = self._identity.keys.for_dialling(self._members.certificates(self._identity.org))
        return keys[failed % len(keys)]

    async def _dial(self, address: str, own: TlsKey, certificate: bytes) -> None:
        credentials, options = channel_credentials(own, certificate), channel_options(certificate)
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            self.calls += 1
            call = channel.stream_stream(f"/{SERVICE}/{self._lane.purpose.value}")(metadata=claim(self._identity))
            try:
                ended = await self._use(call, certificate)
            except LinkError as error:
                # With its trace it would hold this frame, which holds it and the call: until the collector came, gRPC's
                # core would keep the closed channel, go on dialling with it, and hold the connection that it gets.
                ended = error.with_traceback(None)
            finally:
                # grpc.aio leaks calls that are left to the collector (grpc#43462).
                call.cancel()
                self.calls -= 1
        self._report.ended(self._lane.peer, self._lane.purpose, ended)

    async def _use(self, call: Any, certificate: bytes) -> LinkError:
        stream = FrameStream(call, self._lane.peer, self._lane.purpose, self._report)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                await stream.write(hello_frame(self._identity))
                hello = await stream.read()
        except TimeoutError as error:
            raise LinkError(f"no connection and hello within {HELLO_TIMEOUT_S:g} s") from error
        greeting = check_hello(self._identity, self._lane.peer, hello)
        link = Link(
            peer=self._lane.peer,
            purpose=self._lane.purpose,
            dialled=True,
            instance=greeting.instance,
            certificate=certificate,
            version=greeting.version,
            software=greeting.software,
        )
        return await self._lane.use(link, stream)
