"""Members with real keys and transports on loopback, and what they heard."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from node.base.ports import BulkRefused
from node.base.types import Digest, OrgId, PublicKey
from node.edge.storage.identity import make_tls_secret
from node.edge.storage.keys import TlsSecret
from node.edge.transport import GrpcTransport, Refusal, TlsKey

CHAIN = Digest(bytes(range(32)))
TIMEOUT_S = 20


class FakeMembers:
    """The ledger's word, changed at will."""

    def __init__(self) -> None:
        self.accepted: dict[OrgId, tuple[bytes, ...]] = {}
        self.where: dict[OrgId, tuple[str, ...]] = {}

    def certificates(self, org: OrgId) -> tuple[bytes, ...]:
        return self.accepted.get(org, ())

    def addresses(self, org: OrgId) -> tuple[str, ...]:
        return self.where.get(org, ())

    def orgs(self) -> tuple[OrgId, ...]:
        return tuple(sorted(self.accepted))

    def data_key(self, org: OrgId) -> PublicKey | None:
        return None


@dataclass
class Heard:
    """What one member's callbacks heard; `until` waits for a condition on it."""

    messages: list[tuple[OrgId, bytes]] = field(default_factory=list)
    links: list[tuple[OrgId, bool]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def message(self, peer: OrgId, message: bytes) -> None:
        self.messages.append((peer, message))
        self._changed.set()

    def link(self, peer: OrgId, up: bool) -> None:
        self.links.append((peer, up))
        self._changed.set()

    def refusal(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Party:
    """One member: its keys, its view of the members, its transport."""

    org: OrgId
    tls: TlsSecret
    members: FakeMembers
    heard: Heard
    transport: GrpcTransport

    async def linked(self, *peers: "Party") -> None:
        await self.heard.until(lambda: {peer.org for peer in peers} <= self.transport.connected())


async def refuse_all(peer: OrgId, request: bytes) -> AsyncIterator[bytes]:
    raise BulkRefused("nothing is served here")
    yield b""


class Parties:
    """Makes members; every transport is closed at the end of the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._secrets: dict[OrgId, TlsSecret] = {}

    def secret(self, org: str) -> TlsSecret:
        return self._secrets.setdefault(OrgId(org), make_tls_secret(OrgId(org)))

    async def start(self, org: str, *, listen: str = "127.0.0.1:0", chain: Digest = CHAIN, **options) -> Party:
        """A started transport that knows nobody yet."""
        tls, members, heard = self.secret(org), FakeMembers(), Heard()
        members.accepted[OrgId(org)] = (tls.certificate,)
        options.setdefault("bulk_server", refuse_all)
        transport = GrpcTransport(
            org=OrgId(org),
            chain=chain,
            tls=[TlsKey(tls.key_pem, tls.certificate)],
            members=members,
            on_message=heard.message,
            on_link=heard.link,
            on_refused=heard.refusal,
            listen=listen,
            **options,
        )
        await transport.start()
        self._stack.push_async_callback(transport.close)
        return Party(OrgId(org), tls, members, heard, transport)

    def introduce(self, *parties: Party, dial: bool = True) -> None:
        """Put all on everybody's ledger."""
        for party in parties:
            for other in parties:
                party.members.accepted[other.org] = (other.tls.certificate,)
                if dial:
                    party.members.where[other.org] = (f"127.0.0.1:{other.transport.bound_port}",)
        for party in parties:
            party.transport.recheck()

    async def network(self, *orgs: str, **options) -> list[Party]:
        """Members that are all linked to each other."""
        parties = [await self.start(org, **options) for org in orgs]
        self.introduce(*parties)
        for party in parties:
            await party.linked(*(other for other in parties if other is not party))
        return parties


@pytest_asyncio.fixture
async def parties() -> AsyncIterator[Parties]:
    stack = AsyncExitStack()
    try:
        yield Parties(stack)
    finally:
        # What does not end is told, and holds up nobody else.
        async with asyncio.timeout(TIMEOUT_S):
            await stack.aclose()


@pytest.fixture
def chain() -> Digest:
    return CHAIN
