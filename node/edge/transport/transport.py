"""Puts the transport together: a lane and a dialler per peer and purpose, one server, and the port's methods."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from node.base.ports import BulkServer, LinkError, Members, OnLink, OnMessage
from node.base.types import Digest, OrgId
from node.edge.transport.bulk import BulkSession
from node.edge.transport.control import ControlSession
from node.edge.transport.credentials import Identity, OwnKeys, TlsKey
from node.edge.transport.dialler import Dialler
from node.edge.transport.errors import PeerCut
from node.edge.transport.health import LinkHealth, TransportHealth
from node.edge.transport.lane import Lane
from node.edge.transport.limits import (
    BULK_WAIT_S,
    CONTROL_MESSAGE_BYTES_MAX,
    FETCH_IDLE_S,
    HANDSHAKE_GRACE_S,
    INSTANCE_BYTES,
    PROTOCOL_VERSIONS,
)
from node.edge.transport.report import OnRefused, Purpose, RefusalKind, Report, Traffic
from node.edge.transport.server import LinkServer
from node.edge.transport.session import Link
from node.edge.transport.stream import FrameStream
from node.edge.transport.versions import Versions


@dataclass(frozen=True, slots=True)
class _Peer:
    """What belongs to one peer."""

    control: Lane[ControlSession]
    bulk: Lane[BulkSession]
    diallers: tuple[Dialler[ControlSession] | Dialler[BulkSession], ...]
    tasks: tuple[asyncio.Task[None], ...]
    """One of each dialler."""


class GrpcTransport:
    """Implements the port `Transport` over gRPC with mutual TLS.

    Made and started on the event loop that it lives on. Whenever members, their certificates or addresses change,
    the owner calls `recheck`.
    """

    def __init__(
        self,
        *,
        org: OrgId,
        chain: Digest,
        tls: Sequence[TlsKey],
        members: Members,
        on_message: OnMessage,
        on_link: OnLink,
        bulk_server: BulkServer,
        listen: str,
        on_refused: OnRefused | None = None,
        fetch_idle_s: float = FETCH_IDLE_S,
        handshake_grace_s: float = HANDSHAKE_GRACE_S,
        versions: Versions = PROTOCOL_VERSIONS,
    ) -> None:
        """`tls` are our keys, newest first; `listen` is `host:port` with port 0 for any free one."""
        self._own_keys = OwnKeys(tls)
        self._identity = Identity(org, chain, secrets.token_bytes(INSTANCE_BYTES), self._own_keys, versions)
        self._members = members
        self._on_message = on_message
        self._on_link = on_link
        self._bulk_server = bulk_server
        self._listen = listen
        self._fetch_idle_s = fetch_idle_s
        self._report = Report(org, on_refused)
        self._peers: dict[OrgId, _Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = LinkServer(
            self._identity, members, self._lane, self._report, handshake_grace_s=handshake_grace_s
        )

    async def start(self) -> None:
        """Listen and begin to dial. Raises `OSError` when the address cannot be had."""
        await self._server.start(self._listen)
        self.recheck()

    async def close(self) -> None:
        """Cut every link, stop listening; returns when no task is left."""
        for org in list(self._peers):
            self._drop(org, LinkError("this member is closing"))
        await self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def bound_port(self) -> int:
        """The port that it listens on, after `start`."""
        return self._server.bound_port

    @property
    def refused(self) -> Mapping[RefusalKind, int]:
        """How many were refused or cut off, by kind, since the start."""
        return self._report.refused

    def traffic(self, peer: OrgId) -> Traffic:
        """The bytes exchanged with the peer since the start."""
        return self._report.traffic(peer)

    def health(self) -> TransportHealth:
        """What an operator should know of the links."""
        dialled = sum(dialler.calls for peer in self._peers.values() for dialler in peer.diallers)
        return TransportHealth(
            listening=self.bound_port,
            calls=self._server.calls + dialled,
            refused={kind.value: count for kind, count in self._report.refused.items()},
            links=tuple(self._link_health(org) for org in sorted(self._peers)),
        )

    def _link_health(self, org: OrgId) -> LinkHealth:
        peer, readings, now_s = self._peers[org], self._report.of(org), time.monotonic()
        session = peer.control.current
        return LinkHealth(
            peer=org,
            connected=session is not None,
            bulk=peer.bulk.current is not None,
            dialled=None if session is None else session.link.dialled,
            version=None if session is None else session.link.version,
            software=None if session is None else session.link.software,
            since_s=None if readings.changed_s is None else round(now_s - readings.changed_s, 1),
            heard_s=None if readings.heard_s is None else round(now_s - readings.heard_s, 1),
            clock_ahead_ms=readings.clock.ahead_ms,
            failure=None if session is not None else readings.failure,
            refused=dict(readings.refused),
            traffic=self._report.traffic(org),
        )

    def connected(self) -> frozenset[OrgId]:
        """The peers with a live control link."""
        return frozenset(org for org, peer in self._peers.items() if peer.control.current is not None)

    def link(self, peer: OrgId, purpose: Purpose = Purpose.CONTROL) -> Link | None:
        """The facts of the live link to the peer."""
        lane = self._lane(peer, purpose)
        return None if lane is None or lane.current is None else lane.current.link

    def send(self, peer: OrgId, message: bytes) -> None:
        """Queue one control message; dropped when there is no link. Raises `ValueError` for one that is too long."""
        if len(message) > CONTROL_MESSAGE_BYTES_MAX:
            raise ValueError(f"a message has {CONTROL_MESSAGE_BYTES_MAX} bytes at most, not {len(message)}")
        known = self._peers.get(peer)
        if known is not None and known.control.current is not None:
            known.control.current.send(message)

    def cut(self, peer: OrgId, seconds: float, reason: str) -> None:
        """End the links to the peer, and have none for so long: it is neither dialled nor let in."""
        known = self._peers.get(peer)
        if known is not None:
            for lane in (known.control, known.bulk):
                lane.cut(seconds, PeerCut(f"cut off for {seconds:g} s: {reason}"))

    async def fetch(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """Ask on the bulk connection; yields the chunks of the answer. Raises `LinkError`."""
        session = await self._bulk_session(peer)
        async with contextlib.aclosing(session.fetch(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def renew(self, tls: Sequence[TlsKey]) -> None:
        """Take over our own TLS keys, newest first: for connections from now on; what is open stays."""
        self._own_keys.all = tuple(tls)
        self._server.recheck()

    def recheck(self) -> None:
        """Hold open streams against the members as they are now: cut, begin and trust accordingly."""
        self._server.recheck()
        wanted = [org for org in self._members.orgs() if org != self._identity.org and self._members.certificates(org)]
        for org in set(self._peers) - set(wanted):
            self._drop(org, LinkError(f"{org} may not connect any more"))
        for org in wanted:
            if org not in self._peers:
                self._peers[org] = self._begin(org)
            self._cut_outdated(org)
            for dialler in self._peers[org].diallers:
                dialler.recheck()

    async def _bulk_session(self, org: OrgId) -> BulkSession:
        peer = self._peers.get(org)
        if peer is None:
            raise LinkError(f"{org} is no member that may connect")
        if peer.bulk.current is None and peer.control.current is None:
            raise LinkError(f"{org} is not connected")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BULK_WAIT_S):
                await peer.bulk.wait_up()
        if peer.bulk.current is None:
            raise LinkError(f"{org} has no bulk connection")
        return peer.bulk.current

    def _lane(self, org: OrgId, purpose: Purpose) -> Lane[ControlSession] | Lane[BulkSession] | None:
        peer = self._peers.get(org)
        if peer is None:
            return None
        return peer.control if purpose is Purpose.CONTROL else peer.bulk

    def _begin(self, org: OrgId) -> _Peer:
        own, members, report = self._identity.org, self._members, self._report
        control = Lane(own, org, Purpose.CONTROL, members, self._make_control, partial(self._control_changed, org))
        bulk = Lane(own, org, Purpose.BULK, members, self._make_bulk, partial(report.link, org, Purpose.BULK))
        loop = asyncio.get_running_loop()
        diallers = (
            Dialler(self._identity, members, control, report, control.wait_free),
            # A peer that cannot be reached is dialled once at a time: bulk follows control.
            Dialler(self._identity, members, bulk, report, control.wait_up),
        )
        tasks = tuple(loop.create_task(dialler.run()) for dialler in diallers)
        for task in tasks:
            self._tasks.add(task)
            task.add_done_callback(self._dialler_ended)
        return _Peer(control, bulk, diallers, tasks)

    def _drop(self, org: OrgId, reason: LinkError) -> None:
        peer = self._peers.pop(org)
        for task in peer.tasks:
            task.cancel()
        peer.control.close(reason)
        peer.bulk.close(reason)

    def _cut_outdated(self, org: OrgId) -> None:
        peer = self._peers[org]
        accepted = self._members.certificates(org)
        for lane in (peer.control, peer.bulk):
            lane.hold_against(accepted)

    def _dialler_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._report.failed("a dialler failed", error)

    def _make_control(self, link: Link, stream: FrameStream) -> ControlSession:
        return ControlSession(link, stream, self._on_message, self._report)

    def _make_bulk(self, link: Link, stream: FrameStream) -> BulkSession:
        return BulkSession(link, stream, self._bulk_server, self._report, fetch_idle_s=self._fetch_idle_s)

    def _control_changed(self, org: OrgId, up: bool) -> None:
        self._report.link(org, Purpose.CONTROL, up)
        self._on_link(org, up)
