"""Performs what the snapshot machine decides: fetches, checks, installs; has snapshots made, and serves them.

Reading, writing, hashing and verifying happen on worker threads; the loop sees digests and numbers only.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, assert_never

from node.base.codec import DecodeError, decode, encode
from node.base.ports import BulkRefused, Clock, LinkError, NewBase, Transport, Verifier
from node.base.types import Genesis, Height, OrgId, Tip
from node.core import sync
from node.core.sync import Offer
from node.engine.loop import Engine
from node.engine.sync.requests import (
    OFFERS_BYTES_MAX,
    ChunkRequest,
    HeadRequest,
    Offers,
    OffersRequest,
    SyncRequest,
    decode_request,
    encode_request,
    pieces,
)
from node.ledger.errors import LedgerError, Untrusted
from node.ledger.snapshot import (
    CHUNK_BYTES_MAX,
    HEAD_BYTES_MAX,
    SnapshotHead,
    all_writes,
    chunk_writes,
    decode_head,
    parts_digest,
    verify_head,
)

ANSWER_S_MAX = 120.0
"""However slowly the pieces come: after this the peer is taken for gone."""
LOOK_S = 1.0
"""How often the own standing is looked at, besides at every block."""


class Shelf(Protocol):
    """Where snapshots lie. Synchronous; every method raises `OSError`."""

    def heights(self) -> tuple[Height, ...]:
        """Of the whole snapshots, ascending."""
        ...

    def head(self, height: Height) -> bytes | None:
        """The head of a whole snapshot."""
        ...

    def chunk(self, height: Height, index: int) -> bytes | None:
        """One chunk of a whole snapshot."""
        ...

    def incoming(self) -> bytes | None:
        """The head of the snapshot that is being fetched."""
        ...

    def begin_incoming(self, head: bytes, *, same: bool) -> None:
        """Begin with this one; `same`: with the chunks that are there."""
        ...

    def incoming_chunks(self) -> Iterator[tuple[int, bytes]]:
        """The chunks that are there; a torn last one is cut off."""
        ...

    def add_incoming(self, index: int, chunk: bytes) -> None:
        """Keep one checked chunk, synced."""
        ...

    def ordered_incoming(self) -> Iterator[bytes]:
        """All chunks by index."""
        ...

    def keep_incoming(self, height: Height) -> None:
        """It is installed: from now on it is served."""
        ...

    def drop_incoming(self) -> None:
        """Forget the one that is being fetched."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """When snapshots are made and taken."""

    every: int
    """Blocks between two own snapshots; 0 makes none."""
    behind_max: int
    """Whoever is further behind takes a snapshot if it can, else blocks."""
    keep: int = 0
    """Of the blocks below a new snapshot so many are kept whole, of older ones header and certificate; 0 keeps all."""


Make = Callable[[Callable[[], bool]], Callable[[], Height | None]]
"""Called right after a commit with `cancelled`: freezes the state as it is, and returns what makes the snapshot of it
on a worker thread. Both raise `OSError`, also where the state is not the one that its block covers."""


class SnapshotSync:
    """One member's snapshots."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        verify: Verifier,
        engine: Engine,
        transport: Transport,
        shelf: Shelf,
        make: Make,
        prune: Callable[[Height], Awaitable[None]],
        clock: Clock,
        terms: Terms,
        log: Callable[[str], None],
        on_fault: Callable[[OrgId, str], None],
    ) -> None:
        self._genesis = genesis
        self._verify = verify
        self._engine = engine
        self._transport = transport
        self._shelf = shelf
        self._make = make
        self._prune = prune
        self._clock = clock
        self._terms = terms
        self._log = log
        self._on_fault = on_fault
        self._machine = sync.Sync(behind_max=terms.behind_max)
        self._inputs: deque[sync.Input] = deque()
        self._ready = asyncio.Event()
        self._writing = asyncio.Lock()
        self._head: SnapshotHead | None = None
        self._offers: dict[Height, Offer] = {}
        self._making: asyncio.Task[None] | None = None
        self._ending = False

    @property
    def progress(self) -> tuple[Height, int] | None:
        """Height of the snapshot that is being fetched, and how many chunks are still to come."""
        return self._machine.progress

    def committed(self, height: Height) -> None:
        """A block is on disk, and none after it: this is the moment to freeze a state."""
        self._ready.set()
        every = self._terms.every
        is_free = self._head is None and (self._making is None or self._making.done())
        if every and height % every == 0 and is_free and not self._is_behind:
            try:
                work = self._make(lambda: self._ending)
            except OSError as error:
                self._log(f"no snapshot of height {height}: {error}")
                return
            self._making = asyncio.create_task(self._made(height, work))

    async def run(self) -> None:
        """Fetch what is wanted until cancelled. Raises `OSError` when the own disk refuses."""
        begun = await asyncio.to_thread(self._begun)
        self._machine = sync.Sync(behind_max=self._terms.behind_max, begun=begun)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._look()
                    while self._inputs:
                        for effect in self._machine.step(self._inputs.popleft(), now=self._clock.now()):
                            await self._perform(effect, group)
                    await self._wait()
        finally:
            self._ending = True
            if self._making is not None:
                await asyncio.gather(self._making, return_exceptions=True)

    async def serve(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes]:
        """The port `BulkServer` for what `is_sync_request`. Raises `BulkRefused`."""
        try:
            asked = decode_request(request)
        except DecodeError as error:
            raise BulkRefused(f"not a request: {error}") from error
        try:
            answer = await asyncio.to_thread(self._answer, asked)
        except OSError as error:
            self._log(f"a snapshot cannot be read: {error}")
            answer = None
        if answer is None:
            raise BulkRefused("there is no such snapshot here")
        for piece in pieces(answer):
            yield piece

    # Making and serving

    @property
    def _is_behind(self) -> bool:
        replica = self._engine.replica
        return any(tip.height > replica.height + self._terms.every for tip in replica.tips.values())

    async def _made(self, height: Height, work: Callable[[], Height | None]) -> None:
        try:
            if await asyncio.to_thread(work) is None:
                return
            self._log(f"made a snapshot of height {height}")
            if self._terms.keep and height > self._terms.keep:
                await self._prune(Height(height - self._terms.keep))
                self._engine.pruned()
        except (OSError, LedgerError) as error:
            self._log(f"no snapshot of height {height}: {error}")

    def _answer(self, asked: SyncRequest) -> bytes | None:
        match asked:
            case OffersRequest():
                return encode(Offers(tuple(filter(None, map(self._offer, self._shelf.heights())))))
            case HeadRequest(height):
                return self._shelf.head(height)
            case ChunkRequest(height, index):
                return self._shelf.chunk(height, index)
            case _:
                assert_never(asked)

    def _offer(self, height: Height) -> Offer | None:
        if height not in self._offers:
            data = self._shelf.head(height)
            if data is None:
                return None
            self._offers = {kept: offer for kept, offer in self._offers.items() if kept in self._shelf.heights()}
            self._offers[height] = Offer(height, parts_digest(decode_head(data).parts))
        return self._offers[height]

    # The machine

    def _look(self) -> None:
        replica = self._engine.replica
        tips: Mapping[OrgId, Tip] = replica.tips
        self._inputs.append(sync.Standing(replica.height, tips))

    async def _wait(self) -> None:
        wake_at = self._machine.wake_at
        until_wake_s = LOOK_S if wake_at is None else max(0.0, (wake_at - self._clock.now().mono_ms) / 1000)
        try:
            async with asyncio.timeout(min(LOOK_S, until_wake_s)):
                await self._ready.wait()
        except TimeoutError:
            self._inputs.append(sync.Tick())
        self._ready.clear()

    def _give(self, item: sync.Input) -> None:
        self._inputs.append(item)
        self._ready.set()

    async def _perform(self, effect: sync.Effect, group: asyncio.TaskGroup) -> None:
        match effect:
            case sync.Ask(peer):
                group.create_task(self._ask(peer))
            case sync.Open(peer, offer):
                group.create_task(self._open(peer, offer))
            case sync.Fetch(peer, offer, index):
                assert self._head is not None, "it is open"
                group.create_task(self._fetch(peer, offer, index, self._head))
            case sync.Hold(active):
                self._engine.hold_blocks(active)
            case sync.Install(offer):
                assert self._head is not None, "it is open"
                group.create_task(self._install(offer, self._head))
            case sync.Discard():
                self._head = None
                async with self._writing:
                    await asyncio.to_thread(self._shelf.drop_incoming)
            case sync.PeerFault(peer, reason):
                self._on_fault(peer, reason)
            case _:
                assert_never(effect)

    async def _ask(self, peer: OrgId) -> None:
        try:
            answer = await self._get(peer, OffersRequest(), OFFERS_BYTES_MAX)
            self._give(sync.Offered(peer, decode(Offers, answer).offers))
        except LinkError as error:
            self._give(sync.Failed(peer, str(error), is_fault=False))
        except (DecodeError, Untrusted) as error:
            self._give(sync.Failed(peer, f"its offers of snapshots are none: {error}", is_fault=True))

    async def _open(self, peer: OrgId, offer: Offer) -> None:
        try:
            answer = await self._get(peer, HeadRequest(offer.height), HEAD_BYTES_MAX)
            async with self._writing:
                missing = await asyncio.to_thread(self._checked_head, offer, answer)
        except LinkError as error:
            self._give(sync.Failed(peer, str(error), is_fault=False))
        except Untrusted as error:
            self._give(sync.Failed(peer, f"its snapshot of height {offer.height} is false: {error}", is_fault=True))
        else:
            self._log(f"taking over a snapshot of height {offer.height}: {len(missing)} chunks are missing")
            self._give(sync.Opened(peer, missing))

    async def _fetch(self, peer: OrgId, offer: Offer, index: int, head: SnapshotHead) -> None:
        try:
            answer = await self._get(peer, ChunkRequest(offer.height, index), CHUNK_BYTES_MAX)
            await asyncio.to_thread(chunk_writes, head.parts[index], answer)
        except LinkError as error:
            self._give(sync.Failed(peer, str(error), is_fault=False, index=index))
            return
        except Untrusted as error:
            reason = f"its chunk {index} of the snapshot of height {offer.height} is false: {error}"
            self._give(sync.Failed(peer, reason, is_fault=True, index=index))
            return
        async with self._writing:
            if self._head is head:
                await asyncio.to_thread(self._shelf.add_incoming, index, answer)
        self._give(sync.Stored(peer, index))

    async def _install(self, offer: Offer, head: SnapshotHead) -> None:
        headers = tuple(step.certified for step in head.path.steps)
        parts, shelf = head.parts, self._shelf
        base = NewBase(head.certified, head.receipts, headers, lambda: all_writes(parts, shelf.ordered_incoming()))
        try:
            installed = await self._engine.rebase(base)
            await asyncio.to_thread(shelf.keep_incoming, offer.height)
        except (OSError, LedgerError) as error:
            self._log(f"the snapshot of height {offer.height} cannot be installed: {error}")
            self._give(sync.Installed(str(error)))
        else:
            done = "is installed" if installed else "was not needed any more: blocks were faster"
            self._log(f"the state of height {offer.height} {done}")
            self._give(sync.Installed(None))
        self._head = None

    async def _get(self, peer: OrgId, request: SyncRequest, bytes_max: int) -> bytes:
        """The whole answer. Raises `LinkError`, `Untrusted` for one that is too long."""
        taken: list[bytes | memoryview] = []
        size = 0
        try:
            async with (
                asyncio.timeout(ANSWER_S_MAX),
                aclosing(self._transport.fetch(peer, encode_request(request))) as answer,  # type: ignore[type-var]
            ):
                async for piece in answer:
                    size += len(piece)
                    if size > bytes_max:
                        raise Untrusted(f"the answer has more than {bytes_max} bytes")
                    taken.append(piece)
        except TimeoutError as error:
            raise LinkError(f"{peer} did not send a whole answer within {ANSWER_S_MAX:g} s") from error
        return b"".join(taken)

    # On worker threads

    def _begun(self) -> Offer | None:
        data = self._shelf.incoming()
        if data is None:
            return None
        try:
            head = decode_head(data)
        except Untrusted:
            self._shelf.drop_incoming()
            return None
        return Offer(head.height, parts_digest(head.parts))

    def _checked_head(self, offer: Offer, data: bytes) -> tuple[int, ...]:
        """Keep a true head; returns the chunks that are not there yet. Raises `Untrusted`, `OSError`."""
        head = decode_head(data)
        if Offer(head.height, parts_digest(head.parts)) != offer:
            raise Untrusted("it is not the one that was offered")
        verify_head(self._genesis, head, self._verify)
        self._shelf.begin_incoming(data, same=self._begun() == offer)
        there = set()
        for index, chunk in self._shelf.incoming_chunks():
            if index < len(head.parts) and index not in there:
                chunk_writes(head.parts[index], chunk)
                there.add(index)
        self._head = head
        return tuple(index for index in range(len(head.parts)) if index not in there)
