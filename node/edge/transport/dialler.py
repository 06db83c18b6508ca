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
    RENEW_FIRST_S,
    RENEW_MAX_S,
    RENEWALS_COUNTED_MAX,
    RENEWING_MAX,
)
from node.edge.transport.report import Report
from node.edge.transport.session import Link, Session, settle
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
        """Under way now."""
        self._checked = asyncio.Event()

    def recheck(self) -> None:
        """Certificates may have changed, ours or the peer's."""
        self._checked.set()

    async def run(self) -> None:
        """For ever; the caller cancels it."""
        tasks = [asyncio.create_task(self._keep_up()), asyncio.create_task(self._renew())]
        try:
            # Either ends by a bug only.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            await settle(tasks)

    async def _keep_up(self) -> None:
        """Dial whenever there is no link."""
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
                        await self._dial(address, own, certificate, renews=False)
            proven = loop.time() - began >= LINK_PROVEN_S
            failed = 0 if proven else failed + 1
            backoff = BACKOFF_FIRST_S if proven else min(max(2 * backoff, BACKOFF_FIRST_S), BACKOFF_MAX_S)

    async def _renew(self) -> None:
        """Dial anew with newer certificates while the old link goes on: it ends when the new one is in use."""
        dials: set[asyncio.Task[None]] = set()

        def ended(dial: asyncio.Task[None]) -> None:
            dials.discard(dial)
            self._checked.set()
            if not dial.cancelled() and (error := dial.exception()) is not None:
                self._report.failed("a dialler failed", error)

        tried = 0
        try:
            while True:
                if self._newer() is None or len(dials) >= RENEWING_MAX:
                    tried = 0
                    await self._checks()
                    continue
                # Not all members at once to one that renewed its key.
                wait_s = min(RENEW_FIRST_S * 2**tried, RENEW_MAX_S)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
                newer, addresses = self._newer(), self._members.addresses(self._lane.peer)
                if newer is not None and addresses:
                    dial = asyncio.create_task(self._dial(addresses[tried % len(addresses)], *newer, renews=True))
                    dials.add(dial)
                    dial.add_done_callback(ended)
                    tried = min(tried + 1, RENEWALS_COUNTED_MAX)
                    await self._checks()
        finally:
            await settle(list(dials))

    async def _checks(self) -> None:
        """Until certificates may have changed, a link is in use, or a dial came to nothing."""
        self._checked.clear()
        await self._checked.wait()

    def _newer(self) -> tuple[TlsKey, bytes] | None:
        """The newest certificates on the ledger, ours that we hold and the peer's; None where the link has them.

        Who was dialled waits: the dialler knows both.
        """
        session, theirs = self._lane.current, self._members.certificates(self._lane.peer)
        if session is None or not session.link.dialled or not theirs:
            return None
        own = self._identity.keys.for_dialling(self._members.certificates(self._identity.org))[0]
        if (own.certificate, theirs[0]) == (session.link.own_certificate, session.link.certificate):
            return None
        return own, theirs[0]

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

    async def _dial(self, address: str, own: TlsKey, certificate: bytes, *, renews: bool) -> None:
        credentials, options = channel_credentials(own, certificate), channel_options(certificate)
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            self.calls += 1
            call = channel.stream_stream(f"/{SERVICE}/{self._lane.purpose.value}")(
                metadata=claim(self._identity, renews=renews)
            )
            try:
                ended = await self._use(call, own, certificate, renews=renews)
            except LinkError as error:
                # With its trace it would hold this frame, which holds it and the call: until the collector came, gRPC's
                # core would keep the closed channel, go on dialling with it, and hold the connection that it gets.
                ended = error.with_traceback(None)
            finally:
                # grpc.aio leaks calls that are left to the collector (grpc#43462).
                call.cancel()
                self.calls -= 1
        self._report.ended(self._lane.peer, self._lane.purpose, ended)

    async def _use(self, call: Any, own: TlsKey, certificate: bytes, *, renews: bool) -> LinkError:
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
            own_certificate=own.certificate,
            renews=renews,
        )
        self._checked.set()
        return await self._lane.use(link, stream)
