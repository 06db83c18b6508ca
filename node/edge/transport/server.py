"""Listens, and judges every call: a peer is who the ledger says, or is refused.

gRPC's core lets a connection through its handshake when the certificate is under one of the members' roots. That says
nothing of who it is, so each call's certificate is held against that of the organisation which the call claims to be.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from node.base.ports import LinkError, Members
from node.base.types import OrgId
from node.edge.transport.bulk import BulkSession
from node.edge.transport.claims import CHAIN_KEY, RENEWS_KEY, VERSIONS_KEY, claimed_org, claimed_values
from node.edge.transport.control import ControlSession
from node.edge.transport.credentials import SERVER_OPTIONS, Identity, ServerTrust, to_der
from node.edge.transport.lane import Lane
from node.edge.transport.report import Purpose, Refusal, RefusalKind, Report
from node.edge.transport.session import Link
from node.edge.transport.stream import (
    NO_COMMON_VERSION,
    SERVICE,
    FrameStream,
    check_hello,
    hello_frame,
    no_common_version,
    read_hello,
)
from node.edge.transport.versions import parse_versions

FindLane = Callable[[OrgId, Purpose], Lane[ControlSession] | Lane[BulkSession] | None]

_STATUS = {
    RefusalKind.NO_CLAIM: grpc.StatusCode.UNAUTHENTICATED,
    RefusalKind.NOT_A_MEMBER: grpc.StatusCode.PERMISSION_DENIED,
    RefusalKind.WRONG_CERTIFICATE: grpc.StatusCode.UNAUTHENTICATED,
    RefusalKind.WRONG_CHAIN: grpc.StatusCode.FAILED_PRECONDITION,
    RefusalKind.WRONG_VERSION: NO_COMMON_VERSION,
    RefusalKind.CUT_OFF: grpc.StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a call comes from, proven."""

    org: OrgId
    certificate: bytes
    """DER."""


class LinkServer:
    """The dialled side."""

    def __init__(
        self, identity: Identity, members: Members, find_lane: FindLane, report: Report, *, handshake_grace_s: float
    ) -> None:
        self._identity = identity
        self._members = members
        self._find_lane = find_lane
        self._report = report
        self._handshakes = HandshakeWatch(report, handshake_grace_s)
        self._trust = ServerTrust(identity, self._handshakes.began)
        self._server: Any = None
        self.bound_port = 0
        self.calls = 0
        """Under way now."""
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self, listen: str) -> None:
        """Listen at `host:port`, port 0 for any free one. Raises `OSError`."""
        self._handshakes.start()
        server = grpc.aio.server(options=SERVER_OPTIONS)
        server.add_generic_rpc_handlers((self._handlers(),))
        try:
            self.bound_port = server.add_secure_port(listen, self._trust.credentials(self._certificates()))
        except RuntimeError as error:
            raise OSError(f"cannot listen at {listen}: choose another address, or end what listens there") from error
        await server.start()
        self._server = server

    async def close(self) -> None:
        """Stop listening; returns when no call is left."""
        if self._server is not None:
            await self._server.stop(None)
        await self._idle.wait()
        self._handshakes.close()

    def recheck(self) -> None:
        """Take over changed certificates, the peers' and our own; for new connections only."""
        self._trust.replace(self._certificates())

    def _certificates(self) -> list[bytes]:
        others = (org for org in self._members.orgs() if org != self._identity.org)
        return [certificate for org in others for certificate in self._members.certificates(org)]

    def _handlers(self) -> Any:
        def handler(purpose: Purpose) -> Any:
            async def serve(_: Any, context: Any) -> None:
                await self._serve(purpose, context)

            return grpc.stream_stream_rpc_method_handler(serve)

        return grpc.method_handlers_generic_handler(SERVICE, {purpose.value: handler(purpose) for purpose in Purpose})

    async def _serve(self, purpose: Purpose, context: Any) -> None:
        self.calls += 1
        self._idle.clear()
        try:
            self._handshakes.call_came()
            caller = self._judge(context, purpose)
            if isinstance(caller, Refusal):
                self._report.refuse(caller)
                await context.abort(_STATUS[caller.kind], caller.reason)
                return
            ended = await self._use(purpose, caller, context)
            self._report.ended(caller.org, purpose, ended)
            await context.abort(grpc.StatusCode.ABORTED, str(ended))
        finally:
            self.calls -= 1
            if self.calls == 0:
                self._idle.set()

    async def _use(self, purpose: Purpose, caller: Caller, context: Any) -> LinkError:
        stream = FrameStream(context, caller.org, purpose, self._report)
        try:
            greeting = check_hello(self._identity, caller.org, await read_hello(stream))
            await stream.write(hello_frame(self._identity))
        except LinkError as error:
            return error
        link = Link(
            peer=caller.org,
            purpose=purpose,
            dialled=False,
            instance=greeting.instance,
            certificate=caller.certificate,
            version=greeting.version,
            software=greeting.software,
            renews=RENEWS_KEY in claimed_values(context.invocation_metadata()),
        )
        # Looked up only now: while the hellos travelled, the member may have been removed.
        lane = self._find_lane(caller.org, purpose)
        if lane is None:
            return LinkError("there is no lane for this member: dial again")
        return await lane.use(link, stream)

    def _judge(self, context: Any, purpose: Purpose) -> Caller | Refusal:
        values = claimed_values(context.invocation_metadata())
        claimed = claimed_org(values)
        shown = self._shown_certificate(context)
        holder = next((org for org in self._members.orgs() if shown in self._members.certificates(org)), None)

        def refusal(kind: RefusalKind, reason: str) -> Refusal:
            return Refusal(kind, claimed, holder, reason)

        if claimed is None:
            return refusal(RefusalKind.NO_CLAIM, "the call does not say which organisation makes it")
        accepted = self._members.certificates(claimed)
        if not accepted or claimed == self._identity.org:
            return refusal(RefusalKind.NOT_A_MEMBER, f"{claimed} may not connect here")
        if shown is None or shown not in accepted:
            return refusal(RefusalKind.WRONG_CERTIFICATE, f"this is not the certificate of {claimed} on the ledger")
        if values.get(CHAIN_KEY) != self._identity.chain.hex():
            return refusal(RefusalKind.WRONG_CHAIN, "the call is for another chain")
        versions = parse_versions(values.get(VERSIONS_KEY, ""))
        if versions is None or self._identity.versions.common(versions) is None:
            return refusal(RefusalKind.WRONG_VERSION, no_common_version(self._identity.versions, versions))
        lane = self._find_lane(claimed, purpose)
        if lane is not None and lane.cut_for_s > 0:
            return refusal(RefusalKind.CUT_OFF, f"{claimed} is cut off here for {lane.cut_for_s:.0f} s more")
        return Caller(claimed, shown)

    def _shown_certificate(self, context: Any) -> bytes | None:
        """DER; None when gRPC's core tells of none, or of several."""
        shown = context.auth_context().get("x509_pem_cert", ())
        return to_der(shown[0]) if len(shown) == 1 else None


class HandshakeWatch:
    """Tells connections that never made a call, from what gRPC's core tells of them: that a handshake began.

    The core refuses a missing or a stranger's certificate by itself, with no hook. Each call of an authenticated
    connection clears one handshake; one that is not cleared in time is counted and logged. Members that call often on
    one connection can clear others' handshakes, so the count is exact only while members behave.
    """

    def __init__(self, report: Report, grace_s: float) -> None:
        self._report = report
        self._grace_s = grace_s
        self._waiting: deque[asyncio.TimerHandle] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Watch on the running loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Forget what waits."""
        self._loop = None
        while self._waiting:
            self._waiting.popleft().cancel()

    def began(self) -> None:
        """A handshake begins; called on a thread of gRPC's core."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._began)

    def call_came(self) -> None:
        """A connection got through its handshake and made a call."""
        if self._waiting:
            self._waiting.popleft().cancel()

    def _began(self) -> None:
        if self._loop is not None:
            self._waiting.append(self._loop.call_later(self._grace_s, self._never_called))

    def _never_called(self) -> None:
        self._waiting.popleft()
        reason = "a connection was refused in the TLS handshake by gRPC's core, or came for nothing"
        self._report.refuse(Refusal(RefusalKind.HANDSHAKE, None, None, reason))
