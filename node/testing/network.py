"""A network in memory that implements the transport's port: no sockets, no TLS, links that can be cut at will.

What it keeps of the real one: messages of one pair keep their order, a message to a peer that is away is dropped,
links are announced before their first message, bulk is refused in words and ends in `LinkError` when a peer vanishes.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from node.base.ports import BulkRefused, BulkServer, LinkError, OnLink, OnMessage, Transport
from node.base.types import OrgId
from node.edge.transport.limits import CHUNK_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes from one member to another."""

    control: int
    bulk: int


class MemoryNetwork:
    """Everybody's links. A member is up from `join` until `take_down`."""

    def __init__(self) -> None:
        self._members: dict[OrgId, MemoryTransport] = {}
        self._linked: set[frozenset[OrgId]] = set()
        self._no_control: set[frozenset[OrgId]] = set()
        self._no_bulk: set[tuple[OrgId, OrgId]] = set()
        self._cut_until: dict[frozenset[OrgId], float] = {}
        self._known: dict[OrgId, frozenset[OrgId]] = {}
        self._moved: Counter[tuple[OrgId, OrgId, bool]] = Counter()

    def join(self, org: OrgId, on_message: OnMessage, on_link: OnLink, bulk_server: BulkServer) -> "MemoryTransport":
        """Put the member (anew) on the network; links to all others come up."""
        if org in self._members:
            self.take_down(org)
        transport = MemoryTransport(self, org, on_message, on_link, bulk_server)
        self._members[org] = transport
        self._update_links()
        return transport

    def take_down(self, org: OrgId) -> None:
        """The member vanishes: its links go down, what it was sending or answering ends."""
        gone = self._members.pop(org)
        gone.ended.set()
        self._update_links()

    def block(self, source: OrgId, target: OrgId, *, control: bool, bulk: bool, both_ways: bool = True) -> None:
        """Cut a link. Control is cut both ways always, as a connection is; bulk by the way that chunks travel."""
        if control:
            self._no_control.add(frozenset((source, target)))
        if bulk:
            self._no_bulk |= {(source, target), (target, source)} if both_ways else {(source, target)}
        self._update_links()

    def unblock(self, source: OrgId, target: OrgId) -> None:
        """Let everything between the two through again."""
        self._no_control.discard(frozenset((source, target)))
        self._no_bulk -= {(source, target), (target, source)}
        self._update_links()

    def moved(self, source: OrgId, target: OrgId) -> Moved:
        """The bytes that went from one to the other: messages, and chunks of answers."""
        return Moved(self._moved[source, target, False], self._moved[source, target, True])

    def linked(self, org: OrgId) -> frozenset[OrgId]:
        """The peers with a live link to the member."""
        return frozenset(peer for link in self._linked if org in link for peer in link if peer != org)

    def cut(self, org: OrgId, peer: OrgId, seconds: float) -> None:
        """No link between the two for so long, because `org` wants none."""
        pair = frozenset((org, peer))
        loop = asyncio.get_running_loop()
        self._cut_until[pair] = loop.time() + seconds
        loop.call_later(seconds, self._update_links)
        self._update_links()

    def know(self, org: OrgId, peers: Iterable[OrgId]) -> None:
        """From now on the member links with these and nobody else."""
        self._known[org] = frozenset(peers)
        self._update_links()

    def deliver(self, source: "MemoryTransport", peer: OrgId, message: bytes) -> None:
        """Hand over one message at the loop's next turn; dropped where there is no link now or then."""
        target = self._members.get(peer)
        if target is None or not self._open(source, target):
            return
        self._moved[source.org, peer, False] += len(message)
        asyncio.get_running_loop().call_soon(self._arrive, source, target, message)

    async def answer(self, asker: "MemoryTransport", peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """The chunks of the peer's answer. Raises `LinkError`."""
        target = self._members.get(peer)
        if target is None or not self._open(asker, target):
            raise LinkError(f"{peer} is not connected")
        self._check_bulk(peer, asker)
        chunks = target.bulk_server(asker.org, request)
        try:
            while (chunk := await self._next(chunks, asker, target)) is not None:
                if len(chunk) > CHUNK_BYTES_MAX:
                    raise ValueError(f"a chunk has {CHUNK_BYTES_MAX} bytes at most, not {len(chunk)}")
                self._check_bulk(peer, asker)
                self._moved[peer, asker.org, True] += len(chunk)
                # The answerer may use its memory again.
                yield bytes(chunk)
        except BulkRefused as refusal:
            raise LinkError(f"{peer} refused: {refusal}") from refusal
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def _next(
        self, chunks: AsyncIterator[bytes | memoryview], asker: "MemoryTransport", target: "MemoryTransport"
    ) -> bytes | memoryview | None:
        """The next chunk, None at the end. Raises `LinkError` when either member vanishes first."""
        loop = asyncio.get_running_loop()
        chunk = loop.create_task(_take(chunks))
        ends = [loop.create_task(asker.ended.wait()), loop.create_task(target.ended.wait())]
        try:
            await asyncio.wait([chunk, *ends], return_when=asyncio.FIRST_COMPLETED)
            if asker.ended.is_set() or target.ended.is_set():
                raise LinkError(f"{target.org} went away")
            return chunk.result()
        finally:
            for task in (chunk, *ends):
                task.cancel()
            await asyncio.gather(chunk, *ends, return_exceptions=True)

    def _check_bulk(self, source: OrgId, asker: "MemoryTransport") -> None:
        if (source, asker.org) in self._no_bulk:
            raise LinkError(f"{source} cannot be reached in bulk: the link is cut")

    def _open(self, source: "MemoryTransport", target: "MemoryTransport") -> bool:
        both_run = self._members.get(source.org) is source and self._members.get(target.org) is target
        return both_run and frozenset((source.org, target.org)) in self._linked

    def _arrive(self, source: "MemoryTransport", target: "MemoryTransport", message: bytes) -> None:
        if self._open(source, target):
            target.on_message(source.org, message)

    def _update_links(self) -> None:
        """Bring links up and down as members and cuts are now, telling both ends at the loop's next turn."""
        orgs, now = sorted(self._members), asyncio.get_running_loop().time()
        cut = {pair for pair, until in self._cut_until.items() if until > now}
        pairs = {frozenset((a, b)) for a in orgs for b in orgs if a < b and self._may_link(a, b)}
        wanted = pairs - self._no_control - cut
        self._announce(self._linked - wanted, False)
        self._announce(wanted - self._linked, True)
        self._linked = wanted

    def _may_link(self, a: OrgId, b: OrgId) -> bool:
        """Both must know each other, where they said whom they know."""
        return all(peer in self._known.get(org, {peer}) for org, peer in ((a, b), (b, a)))

    def _announce(self, links: Iterable[frozenset[OrgId]], up: bool) -> None:
        loop = asyncio.get_running_loop()
        for org, peer in sorted((org, peer) for link in links for org in link for peer in link if org != peer):
            if org in self._members:
                loop.call_soon(self._members[org].on_link, peer, up)


class MemoryTransport:
    """One member's end; implements the port `Transport`."""

    def __init__(
        self, network: MemoryNetwork, org: OrgId, on_message: OnMessage, on_link: OnLink, bulk_server: BulkServer
    ) -> None:
        self.org = org
        self.on_message = on_message
        self.on_link = on_link
        self.bulk_server = bulk_server
        self.ended = asyncio.Event()
        self._network = network

    def send(self, peer: OrgId, message: bytes) -> None:
        """Queue one message; dropped when there is no link."""
        self._network.deliver(self, peer, message)

    def fetch(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """Ask in bulk; yields the chunks of the answer. Raises `LinkError`."""
        return self._network.answer(self, peer, request)

    def connected(self) -> frozenset[OrgId]:
        """The peers with a live link."""
        return self._network.linked(self.org)

    def cut(self, peer: OrgId, seconds: float, reason: str) -> None:
        """No link to the peer for so long."""
        self._network.cut(self.org, peer, seconds)


class Shaped:
    """Any transport with some of its traffic refused; implements the port `Transport`.

    For cuts in front of the real transport: messages that `refuses` names are dropped, fetches end in `LinkError`.
    """

    def __init__(self, inner: Transport, refuses: Callable[[OrgId, bool], bool]) -> None:
        """`refuses(peer, bulk)` says whether that traffic to the peer is cut now."""
        self._inner = inner
        self._refuses = refuses

    def send(self, peer: OrgId, message: bytes) -> None:
        """Send unless it is cut."""
        if not self._refuses(peer, False):
            self._inner.send(peer, message)

    async def fetch(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """Fetch unless it is cut; also cut between two chunks. Raises `LinkError`."""
        if self._refuses(peer, True):
            raise LinkError(f"{peer} cannot be reached in bulk: the link is cut")
        chunks = self._inner.fetch(peer, request)
        try:
            async for chunk in chunks:
                if self._refuses(peer, True):
                    raise LinkError(f"{peer} cannot be reached in bulk: the link was cut")
                yield chunk
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    def connected(self) -> frozenset[OrgId]:
        """What the inner transport says."""
        return self._inner.connected()

    def cut(self, peer: OrgId, seconds: float, reason: str) -> None:
        """Cut the inner transport's links."""
        self._inner.cut(peer, seconds, reason)


async def _take(chunks: AsyncIterator[bytes | memoryview]) -> bytes | memoryview | None:
    return await anext(chunks, None)
