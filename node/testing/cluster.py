"""N members in one process, declared: the production assembly over loopback gRPC or over a network in memory.

::

    async with Cluster(members=4) as cluster:
        record = await cluster["m1"].submit("sharing", "register", payload)
        await cluster.until_height(record.height)
        await cluster.kill("m2")
        await cluster.restart("m2")

Real keys, TLS, SQLite files, vote logs and learner's processes; only the key files' passphrase is left out.
"""

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from node.app.assembly import MemberNode, RunningTransport, Wiring
from node.app.daemon import grpc_transport
from node.app.member import TLS_DAYS
from node.app.settings import Folder
from node.app.versions import installed_cel_version
from node.base.codec import encode
from node.base.crypto import Ed25519Signer
from node.base.ports import TransactionRecord
from node.base.types import (
    Card,
    CardBody,
    Genesis,
    Height,
    Instant,
    OrgId,
    Parameters,
    PublicKey,
    Signature,
    genesis_signing_bytes,
)
from node.edge.storage import FileVoteLog, KeyName, MemberKeys, draft_genesis, held_key, make_private_folder
from node.edge.storage.identity import make_tls_secret, sign_card
from node.edge.telemetry import SystemClock
from node.edge.transport import LinkHealth, TlsKey, Traffic, TransportHealth, free_port
from node.engine.sync import Terms
from node.engine.training import EgressPolicy
from node.testing.network import MemoryNetwork, MemoryTransport, Shaped

WAIT_S = 30.0
NO_SNAPSHOTS = Terms(every=0, behind_max=1_000_000)
POLL_S = 0.01
REPLICA_BYTES = 64 << 20

Refuses = Callable[[OrgId, OrgId, bool], bool]
"""(from, to, bulk) -> whether that traffic is cut now."""


class AheadClock:
    """The machine's clocks, with the wall clock as far ahead as a test wants. Implements the port `Clock`."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._machine = SystemClock()

    def now(self) -> Instant:
        """This moment, and so much later by the wall clock."""
        now = self._machine.now()
        return Instant(now.mono_ms, now.wall_ms + self.ahead_ms)


class ClusterMember:
    """One member: its identity for good, its running node while it is up."""

    def __init__(self, org: OrgId, folder: Path, tls_until_ms: int | None = None) -> None:
        """`tls_until_ms` is the term in its card, far away by default."""
        self.org = org
        self.folder = Folder(folder)
        self.listen = f"127.0.0.1:{free_port()}"
        organisation, node_seed = Ed25519Signer(secrets.token_bytes(32)), secrets.token_bytes(32)
        data_key, tls = X25519PrivateKey.generate(), make_tls_secret(org)
        self.organisation = organisation
        self.keys = MemberKeys(
            [
                held_key(KeyName.NODE, 1, node_seed),
                held_key(KeyName.TLS, 1, encode(tls)),
                held_key(KeyName.DATA, 1, data_key.private_bytes_raw()),
            ]
        )
        self.card: Card = sign_card(
            organisation,
            CardBody(
                org=org,
                sequence=1,
                organisation_key=PublicKey(organisation.public_key),
                node_key=PublicKey(Ed25519Signer(node_seed).public_key),
                data_key=PublicKey(data_key.public_key().public_bytes_raw()),
                tls_certificate=tls.certificate,
                tls_until_ms=tls_until_ms or time.time_ns() // 1_000_000 + TLS_DAYS * 24 * 3_600_000,
                addresses=(self.listen,),
            ),
        )
        self.node: MemberNode | None = None
        self.work: asyncio.Task[None] | None = None

    @property
    def up(self) -> MemberNode:
        """The running node. Raises `AssertionError` while the member is down."""
        assert self.node is not None, f"{self.org} is down"
        return self.node

    @property
    def height(self) -> Height:
        """The height of its last committed block."""
        return self.up.engine.replica.height

    async def submit(self, contract: str, method: str, payload: bytes, timeout_s: float = WAIT_S) -> TransactionRecord:
        """Sign, hand in, and wait for the block. Raises `SubmissionRefused`, `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            id_ = await self.up.submitter.submit(contract, method, payload)
            return await self.up.engine.final(id_)


class Cluster:
    """The members of one network, started by `async with` and ended with it."""

    def __init__(
        self,
        members: int | Sequence[str] = 4,
        *,
        network: Literal["grpc", "memory"] = "grpc",
        parameters: Parameters | None = None,
        refuses: Refuses | None = None,
        snapshots: Terms = NO_SNAPSHOTS,
        tls_until_ms: int | None = None,
    ) -> None:
        """`members` is how many (named m1, m2, ...) or their names. `refuses` cuts traffic, whatever the network.

        `tls_until_ms` is the term in all founders' cards.
        """
        names = [f"m{number}" for number in range(1, members + 1)] if isinstance(members, int) else list(members)
        self._scratch = tempfile.TemporaryDirectory(prefix="lepton-")
        root = Path(self._scratch.name)
        self.members = {OrgId(name): ClusterMember(OrgId(name), root / name, tls_until_ms) for name in sorted(names)}
        self.memory = MemoryNetwork() if network == "memory" else None
        self.genesis = self._found(parameters or Parameters())
        self.clock = AheadClock()
        self._refuses = refuses
        self._snapshots = snapshots

    def __getitem__(self, org: str) -> ClusterMember:
        return self.members[OrgId(org)]

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(self._start(member) for member in self.members.values()))
            await self.until(self._linked)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def running(self) -> list[ClusterMember]:
        """The members that are up, in order."""
        return [member for member in self.members.values() if member.node is not None]

    async def kill(self, org: str) -> None:
        """End the member at once: nothing is told to the others, nothing more is written."""
        member = self[org]
        await self._end(member)

    async def restart(self, org: str) -> ClusterMember:
        """Start the member again from its disk."""
        await self._start(self[org])
        return self[org]

    async def add(self, org: str) -> ClusterMember:
        """Start an organisation that no founder knew, with this network's genesis; a motion must admit it."""
        member = ClusterMember(OrgId(org), Path(self._scratch.name) / org)
        await self._start(member)
        self.members[member.org] = member
        return member

    async def until(self, holds: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Wait until `holds`. Raises `TimeoutError`, or what ended a member meanwhile."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                for member in self.running:
                    if member.work is not None and member.work.done():
                        await member.work
                await asyncio.sleep(POLL_S)

    async def until_height(self, height: int, timeout_s: float = WAIT_S) -> None:
        """Wait until every running member has committed this height."""
        await self.until(lambda: all(member.height >= height for member in self.running), timeout_s)

    def _found(self, parameters: Parameters) -> Genesis:
        cards = [member.card for member in self.members.values()]
        body = draft_genesis("cluster", time.time_ns() // 1_000_000, cards, parameters)
        message = genesis_signing_bytes(body)
        signatures = tuple(Signature(member.organisation.sign(message)) for member in self.members.values())
        return Genesis(body, signatures)

    async def _start(self, member: ClusterMember) -> None:
        node = MemberNode(
            member.folder,
            member.org,
            member.keys,
            self.genesis,
            lambda wiring: self._transport(member, wiring),
            EgressPolicy(),
            self._snapshots,
            REPLICA_BYTES,
            installed_cel_version(),
            self.clock,
        )
        if not member.folder.root.exists():
            # Once, as `lepton network install` does: a vote log that is lost later must not come back empty.
            make_private_folder(member.folder.root)
            FileVoteLog.create(member.folder.votes, node.chain)
        await node.open()
        member.node = node
        member.work = asyncio.create_task(node.run())

    async def _end(self, member: ClusterMember) -> None:
        node, work = member.up, member.work
        member.node = member.work = None
        assert work is not None, "a member that is up runs"
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await node.close()

    async def _close(self) -> None:
        for member in self.running:
            await self._end(member)
        self._scratch.cleanup()

    def _transport(self, member: ClusterMember, wiring: Wiring) -> RunningTransport:
        inner: RunningTransport
        if self.memory is not None:
            inner = _MemoryLinks(self.memory, member.org, wiring)
        else:
            inner = grpc_transport(member.org, self.genesis, member.keys, member.listen, wiring)
        return inner if self._refuses is None else _Cut(inner, member.org, self._refuses)

    def _linked(self) -> bool:
        others = len(self.members) - 1
        return all(len(member.up.transport.connected()) == others for member in self.running)


class _MemoryLinks:
    """A member's end of the network in memory, from start to close."""

    def __init__(self, network: MemoryNetwork, org: OrgId, wiring: Wiring) -> None:
        self._network = network
        self._org = org
        self._wiring = wiring
        self._inner: MemoryTransport | None = None

    async def start(self) -> None:
        wiring = self._wiring
        self._network.know(self._org, wiring.members.orgs())
        self._inner = self._network.join(self._org, wiring.on_message, wiring.on_link, wiring.bulk_server)

    def recheck(self) -> None:
        self._network.know(self._org, self._wiring.members.orgs())

    async def close(self) -> None:
        self._network.take_down(self._org)

    def renew(self, tls: Sequence[TlsKey]) -> None:
        """There is no TLS here."""

    @property
    def _joined(self) -> MemoryTransport:
        assert self._inner is not None, "started"
        return self._inner

    def send(self, peer: OrgId, message: bytes) -> None:
        self._joined.send(peer, message)

    def fetch(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        return self._joined.fetch(peer, request)

    def connected(self) -> frozenset[OrgId]:
        return self._joined.connected() if self._inner is not None else frozenset()

    def health(self) -> TransportHealth:
        """Who is linked; nobody dials, and bytes are counted by the network."""
        up = self.connected()
        links = (
            LinkHealth(org, org in up, org in up, None, None, None, None, None, None, None, {}, Traffic())
            for org in self._wiring.members.orgs()
            if org != self._org
        )
        return TransportHealth(0, 0, {}, tuple(links))

    def cut(self, peer: OrgId, seconds: float, reason: str) -> None:
        self._joined.cut(peer, seconds, reason)


class _Cut(Shaped):
    """A member's transport with some traffic refused, from start to close."""

    def __init__(self, inner: RunningTransport, org: OrgId, refuses: Refuses) -> None:
        super().__init__(inner, lambda peer, bulk: refuses(org, peer, bulk))
        self._running = inner

    async def start(self) -> None:
        await self._running.start()

    def recheck(self) -> None:
        self._running.recheck()

    async def close(self) -> None:
        await self._running.close()

    def renew(self, tls: Sequence[TlsKey]) -> None:
        self._running.renew(tls)

    def health(self) -> TransportHealth:
        """The real one's."""
        return self._running.health()
