"""Performs what `core/transfer` decides: asks several members at once, checks each chunk, stores it.

Memory is bounded by what may be asked at a time: for each source four requests, of each a transport's window and the
chunk that is being stored.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from node.base.ports import Clock, LinkError, Transport
from node.base.types import Digest, OrgId
from node.core.transfer import Ask, Came, Drop, Ended, Finished, Input, Source, Sources, Stop, Tick, Transfer
from node.core.transfer import Effect as TransferEffect
from node.edge.vault import ChunkPlace, sealed_bytes_max
from node.engine.transfer.requests import CarryRequest, ChunksRequest, Claim, Inner, encode_request, unframed

IDLE_S = 10.0
"""A source that sends nothing for so long is asked for nothing more for a while."""
LOOK_S = 1.0
"""Who can be asked is looked at so often."""
DETOUR_MS = 30_000
"""A linked member from which nothing could be had is also asked over others, for so long."""
CARRIERS_MAX = 2
"""Members that are asked to carry the answers of one that cannot be reached."""

OnFault = Callable[[OrgId, str], None]


@dataclass(slots=True)
class Goal:
    """A version to get."""

    claim: Claim
    digests: Sequence[Digest]
    place: ChunkPlace
    holders: Callable[[], Sequence[OrgId]]
    """Who has it by the ledger's word, the owner first."""
    done: int = 0
    """Chunks that are here."""
    sources: tuple[Source, ...] = ()
    """Who is being asked now."""
    fault: str = ""
    """The last one of a source."""


class Liars(Exception):
    """Everybody who could have it brought what cannot be true."""


@dataclass(slots=True)
class _Under:
    """Requests under way."""

    tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    inbox: asyncio.Queue[Input] = field(default_factory=asyncio.Queue)
    """Bounded by the requests and their chunks."""


class Puller:
    """Asks for one member."""

    def __init__(self, org: OrgId, transport: Transport, clock: Clock, on_fault: OnFault) -> None:
        """`on_fault` hears of peers that lied."""
        self._org = org
        self._transport = transport
        self._clock = clock
        self._on_fault = on_fault
        self._detours: dict[OrgId, int] = {}

    def sources(self, holders: Sequence[OrgId]) -> tuple[Source, ...]:
        """Whom to ask now: the linked ones directly, the others over two members that are linked."""
        linked, now_ms = self._transport.connected(), self._clock.now().mono_ms
        others = [holder for holder in holders if holder != self._org]
        direct = [Source(holder) for holder in others if holder in linked]
        unsure = [h for h in others if h not in linked or self._detours.get(h, 0) > now_ms]
        carriers = sorted(linked - {self._org})
        carried = [Source(h, c) for h in unsure for c in [c for c in carriers if c != h][:CARRIERS_MAX]]
        return (*direct, *carried)

    async def ask(self, source: Source, inner: Inner, bytes_max: int) -> bytes:
        """One answer, whole. Raises `LinkError`."""
        content = bytearray()
        async with aclosing(self._fetch(source, inner)) as pieces:
            while (piece := await _next(pieces)) is not None:
                content += piece
                if len(content) > bytes_max:
                    raise LinkError(f"{source.org} sent more than {bytes_max} bytes")
        return bytes(content)

    async def ask_any(self, holders: Sequence[OrgId], inner: Inner, bytes_max: int) -> tuple[OrgId, bytes] | None:
        """The first answer that can be had now, and whose it is; None where nobody answers."""
        for source in self.sources(holders):
            try:
                return source.org, await self.ask(source, inner, bytes_max)
            except LinkError:
                self._avoid(source)
        return None

    def blame(self, org: OrgId, reason: str) -> None:
        """The member sent what cannot be true."""
        self._on_fault(org, reason)

    async def pull(self, goal: Goal, missing: Sequence[int]) -> None:
        """Get the missing chunks; returns when all are in the place. Raises `OSError`, `Liars`."""
        machine, under, wanted = Transfer(missing), _Under(), set(missing)
        try:
            inputs: list[Input] = [Sources(self.sources(goal.holders()))]
            while True:
                for input in inputs:
                    if isinstance(input, Came):
                        wanted.discard(input.index)
                    goal.done = len(goal.digests) - len(wanted)
                    if self._perform(machine.step(input, now=self._clock.now()), goal, under):
                        return
                goal.sources = machine.sources
                self._check_hope(machine, goal)
                inputs = [await self._next_input(machine, goal, under)]
        finally:
            for task in under.tasks.values():
                task.cancel()
            await asyncio.gather(*under.tasks.values(), return_exceptions=True)

    async def _next_input(self, machine: Transfer, goal: Goal, under: _Under) -> Input:
        now_ms = self._clock.now().mono_ms
        wait_s = LOOK_S if machine.wake_at is None else min(LOOK_S, max(0, machine.wake_at - now_ms) / 1_000)
        for ask in [ask for ask, task in under.tasks.items() if task.done()]:
            if not (task := under.tasks.pop(ask)).cancelled():
                # A failed disk ends the transfer; nothing else comes out of these tasks.
                task.result()
        try:
            async with asyncio.timeout(wait_s):
                return await under.inbox.get()
        except TimeoutError:
            if machine.wake_at is not None and machine.wake_at <= self._clock.now().mono_ms:
                return Tick()
            return Sources(self.sources(goal.holders()))

    def _check_hope(self, machine: Transfer, goal: Goal) -> None:
        if not machine.liars:
            return
        holders = [holder for holder in goal.holders() if holder != self._org]
        if holders and machine.liars.issuperset(holders):
            raise Liars(f"all that have it lied: {goal.fault}")

    def _perform(self, effects: list[TransferEffect], goal: Goal, under: _Under) -> bool:
        """Do it; whether it is finished."""
        for effect in effects:
            match effect:
                case Ask():
                    begun = asyncio.get_running_loop().create_task(self._run(effect, goal, under))
                    under.tasks[effect.ask] = begun
                case Stop(ask):
                    # It stays among the tasks until it has ended: what it is storing must not come after all is over.
                    if (task := under.tasks.get(ask)) is not None:
                        task.cancel()
                case Drop(source, reason):
                    self._on_fault(source.org, reason)
                case Finished():
                    return True
        return False

    async def _run(self, ask: Ask, goal: Goal, under: _Under) -> None:
        """One request, to its end. Raises `OSError` when the disk refuses."""
        came, fault, is_lie = ask.start, "", False
        try:
            async with aclosing(self._fetch(ask.source, ChunksRequest(goal.claim, ask.start, ask.stop))) as pieces:
                while came < ask.stop:
                    sealed = await self._chunk(pieces, sealed_bytes_max(came))
                    if sealed is None:
                        break
                    await _to_the_end(_store, goal, came, sealed)
                    under.inbox.put_nowait(Came(ask.ask, came))
                    came += 1
        except LinkError as error:
            fault = str(error)
        except _Lie as lie:
            fault, is_lie = f"chunk {came} from {ask.source.org} {lie}", True
        if fault:
            goal.fault = fault
            if came == ask.start:
                self._avoid(ask.source)
        under.inbox.put_nowait(Ended(ask.ask, fault, is_lie))

    async def _chunk(
        self, pieces: AsyncGenerator[bytes | memoryview, None], bytes_max: int
    ) -> bytes | memoryview | None:
        """The next chunk, whole; None at the end. Raises `LinkError`, `_Lie`."""
        parts: list[memoryview] = []
        size = 0
        while (piece := await _next(pieces)) is not None:
            try:
                part, is_end = unframed(piece)
            except ValueError as error:
                raise _Lie(str(error)) from error
            size += len(part)
            if size > bytes_max:
                raise _Lie(f"has more than {bytes_max} bytes")
            parts.append(part)
            if is_end:
                return part if len(parts) == 1 else b"".join(parts)
        return None

    def _fetch(self, source: Source, inner: Inner) -> AsyncGenerator[bytes | memoryview, None]:
        carried = source.via is not None
        request = encode_request(CarryRequest(source.org, inner) if carried else inner)
        return cast(
            "AsyncGenerator[bytes | memoryview, None]", self._transport.fetch(source.via or source.org, request)
        )

    def _avoid(self, source: Source) -> None:
        if source.via is None:
            self._detours[source.org] = self._clock.now().mono_ms + DETOUR_MS


class _Lie(Exception):
    """What came cannot be true."""


async def _next(pieces: AsyncGenerator[bytes | memoryview, None]) -> bytes | memoryview | None:
    """The next piece. Raises `LinkError`, also when none comes."""
    try:
        async with asyncio.timeout(IDLE_S):
            return await anext(pieces, None)
    except TimeoutError as error:
        raise LinkError(f"nothing came for {IDLE_S:g} s") from error


async def _to_the_end(store: Callable[[Goal, int, bytes | memoryview], None], *what: Any) -> None:
    """On a thread; one that is cancelled ends all the same before this does, so that nothing is written afterwards."""
    storing = asyncio.ensure_future(asyncio.to_thread(store, *what))
    try:
        await asyncio.shield(storing)
    except asyncio.CancelledError:
        while not storing.done():
            # Who was stopped is cancelled again when the whole transfer ends.
            with suppress(asyncio.CancelledError):
                await asyncio.wait((storing,))
        raise


def _store(goal: Goal, index: int, sealed: bytes | memoryview) -> None:
    if not goal.place.put_if_true(goal.digests[index], sealed):
        raise _Lie("is not the one that the fingerprint on the ledger covers")
