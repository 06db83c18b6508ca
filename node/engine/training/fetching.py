"""Gets what others hold, from whoever has it: directly, over a relay, from a second; checked as it arrives.

A transfer resumes at the first missing piece, whoever brings the rest. A fault of one source (no answer, a refusal, a
chunk that does not check) leads to the next; only the caller's deadline makes something unobtainable, and even then
the search goes on until it is cancelled.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

import numpy as np

from node.base.codec import DecodeError, decode, encode
from node.base.crypto import SealError, open_sealed_with_any
from node.base.ports import Clock, LinkError, Transport
from node.base.types import Digest, OrgId
from node.core.averaging import (
    BadChunk,
    Result,
    Statement,
    open_result_chunk,
    open_update_chunk,
    statement_digest,
)
from node.core.averaging.integers import Int32s
from node.engine.training.requests import (
    BulkRequest,
    LeavesRequest,
    ModelRequest,
    RelayRequest,
    ResultRequest,
    StatementRequest,
    relay_info,
)
from node.engine.training.shelf import file_digest

PAUSE_FIRST_S = 0.05
PAUSE_MAX_S = 0.5
IDLE_MIN_MS = 200
DETOUR_MS = 30_000
"""A peer that did not answer is asked over others first, for this long."""
UNLINKED_MS = 1_000
"""Without a link to its reducer a result is waited for no longer than this: the second can make it again."""
DIRECT_SWEEPS = 3
"""So often only the first source is asked: it may not have seen the last block yet."""
STATEMENT_BYTES_MAX = 1 << 20
MODEL_HEADER_BYTES_MAX = 4 << 20

T = TypeVar("T")


@dataclass(slots=True)
class Watch:
    """Who wants to know how a transfer goes."""

    arrived: Callable[[OrgId], None]
    """A checked piece came; the argument is whose it is."""
    waiting: Callable[[str], None]
    """Nothing came, the search goes on; called for the first deadline only."""
    unobtainable: Callable[[str], None]
    """Nothing came for one deadline; called once."""


class Piece(Protocol):
    """Something that is got in chunks, in order."""

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        ...

    def request(self) -> StatementRequest | LeavesRequest | ResultRequest | ModelRequest:
        """What is still missing."""
        ...

    def take(self, chunk: bytes) -> None:
        """Check and keep the next chunk. Raises `BadChunk`."""
        ...

    def end(self) -> None:
        """The answer is over. Raises `BadChunk`."""
        ...


@dataclass(slots=True)
class StatementPiece:
    """A candidate's statistics."""

    job: Digest
    owner: OrgId
    root: Digest
    statement: Statement | None = None

    @property
    def complete(self) -> bool:
        """See `Piece`."""
        return self.statement is not None

    def request(self) -> StatementRequest:
        """See `Piece`."""
        return StatementRequest(self.job, self.owner)

    def take(self, chunk: bytes) -> None:
        """See `Piece`."""
        if len(chunk) > STATEMENT_BYTES_MAX:
            raise BadChunk(f"statistics of {len(chunk)} bytes")
        try:
            statement = decode(Statement, chunk)
        except DecodeError as error:
            raise BadChunk(f"no statistics: {error}") from error
        if statement_digest(statement) != self.root:
            raise BadChunk("the statistics are not the committed ones")
        self.statement = statement

    def end(self) -> None:
        """See `Piece`. Every chunk was checked when it came."""


@dataclass(slots=True)
class LeavesPiece:
    """A run of leaves of an update."""

    asked: LeavesRequest
    root: Digest
    leaves: int
    """Of the whole update."""
    have: int = field(init=False)
    parts: list[Int32s] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.have = self.asked.start

    @property
    def complete(self) -> bool:
        """See `Piece`."""
        return self.have == self.asked.stop

    @property
    def values(self) -> Int32s:
        """All of them."""
        return np.concatenate(self.parts)

    def request(self) -> LeavesRequest:
        """See `Piece`."""
        asked = self.asked
        return LeavesRequest(asked.job, asked.training_round, asked.owner, asked.start, asked.stop, self.have)

    def take(self, chunk: bytes) -> None:
        """See `Piece`."""
        self.have, values = open_update_chunk(chunk, self.root, self.leaves, self.have, self.asked.stop)
        self.parts.append(values)

    def end(self) -> None:
        """See `Piece`. Every chunk was checked when it came."""


@dataclass(slots=True)
class ResultPiece:
    """A range's result."""

    job: Digest
    training_round: int
    start: int
    stop: int
    root: Digest
    have: int = 0
    parts: list[Int32s] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """See `Piece`."""
        return self.have == self.stop - self.start

    @property
    def result(self) -> Result:
        """The whole sum, to be served on."""
        return Result(np.concatenate(self.parts), self.root)

    def request(self) -> ResultRequest:
        """See `Piece`."""
        return ResultRequest(self.job, self.training_round, self.start, self.stop, self.have)

    def take(self, chunk: bytes) -> None:
        """See `Piece`."""
        self.have, values = open_result_chunk(chunk, self.root, self.stop - self.start, self.have)
        self.parts.append(values)

    def end(self) -> None:
        """See `Piece`. Every chunk was checked when it came."""


@dataclass(slots=True)
class ModelPiece:
    """A model file. Its bytes are checked at the end: what does not match is got anew."""

    job: Digest
    training_round: int
    model: Digest
    length: int
    file: bytearray = field(default_factory=bytearray)
    complete: bool = False

    def request(self) -> ModelRequest:
        """See `Piece`. Whole each time: a cut file cannot be told from a wrong one."""
        self.file.clear()
        return ModelRequest(self.job, self.training_round, self.model, 0)

    def take(self, chunk: bytes) -> None:
        """See `Piece`."""
        self.file += chunk
        if len(self.file) > 4 * self.length + MODEL_HEADER_BYTES_MAX:
            raise BadChunk("a model file longer than the model")

    def end(self) -> None:
        """See `Piece`."""
        if file_digest(bytes(self.file)) != self.model:
            raise BadChunk("the model file is not the one on the ledger")
        self.complete = True


DataPrivateKeys = Callable[[], Sequence[bytes]]
"""This member's X25519 private keys, newest first: what was sealed before a key was renewed still opens."""


class Fetcher:
    """Fetches for one member."""

    def __init__(
        self,
        org: OrgId,
        transport: Transport,
        clock: Clock,
        data_private_keys: DataPrivateKeys,
        log: Callable[[str], None],
    ) -> None:
        """`log` hears why a source was left for the next."""
        self._org = org
        self._transport = transport
        self._clock = clock
        self._data_private_keys = data_private_keys
        self._log = log
        self._detours: dict[OrgId, int] = {}

    async def get_private(
        self, piece: StatementPiece | LeavesPiece, owner: OrgId, relays: Sequence[OrgId], deadline_ms: int, watch: Watch
    ) -> None:
        """Get what only its owner holds, over others where it cannot be reached. Ends when it is complete."""
        sources: list[tuple[OrgId, OrgId | None]] = [(owner, None)]
        sources += [(relay, owner) for relay in relays if relay not in (owner, self._org)]
        await self._get(piece, owner, sources, deadline_ms, watch)

    async def get_shared(
        self, piece: ResultPiece | ModelPiece, holders: Sequence[OrgId], deadline_ms: int, watch: Watch
    ) -> None:
        """Get what several may hold, from the first that has it. Ends when it is complete."""
        sources: list[tuple[OrgId, OrgId | None]] = [(holder, None) for holder in holders if holder != self._org]
        await self._get(piece, None, sources, deadline_ms, watch)

    async def _get(
        self,
        piece: Piece,
        owner: OrgId | None,
        sources: list[tuple[OrgId, OrgId | None]],
        deadline_ms: int,
        watch: Watch,
    ) -> None:
        quiet_since, told = self._clock.now().mono_ms, False
        faults: set[str] = set()
        pause_s, sweep = PAUSE_FIRST_S, 0
        idle_s = max(IDLE_MIN_MS, deadline_ms // 4) / 1000
        while not piece.complete:
            for source, via_to in self._sweep(sources, sweep):
                came = await self._try(
                    piece, source, via_to, idle_s, lambda whose: watch.arrived(owner or whose), faults
                )
                if came:
                    quiet_since, told = self._clock.now().mono_ms, False
                if piece.complete:
                    return
                patience_ms = self._patience_ms(piece, sources, deadline_ms)
                if not told and self._clock.now().mono_ms >= quiet_since + patience_ms:
                    told = True
                    watch.unobtainable(f"no source had it within {patience_ms} ms")
                elif not told:
                    watch.waiting(f"waiting for {owner or source}")
            sweep += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    def _patience_ms(self, piece: Piece, sources: list[tuple[OrgId, OrgId | None]], deadline_ms: int) -> int:
        # A second that begins too early only works for nothing; whoever is late for an input is dropped.
        unlinked = isinstance(piece, ResultPiece) and sources[0][0] not in self._transport.connected()
        return min(deadline_ms, UNLINKED_MS) if unlinked else deadline_ms

    def _sweep(self, sources: list[tuple[OrgId, OrgId | None]], sweep: int) -> list[tuple[OrgId, OrgId | None]]:
        """Whom to ask now: the first source alone at first, the reachable before those that were not."""
        now_ms = self._clock.now().mono_ms
        detour = self._detours.get(sources[0][0], 0) > now_ms if sources else False
        if sweep < DIRECT_SWEEPS and not detour:
            return sources[:1]
        return sorted(sources, key=lambda source: source[1] is None and self._detours.get(source[0], 0) > now_ms)

    async def _try(
        self,
        piece: Piece,
        source: OrgId,
        via_to: OrgId | None,
        idle_s: float,
        arrived: Callable[[OrgId], None],
        faults: set[str],
    ) -> bool:
        """Ask one source; whether anything came. Its faults end the attempt; `faults` are those told already."""
        inner = piece.request()
        if via_to is None:
            request = encode(inner, BulkRequest)
        else:
            assert isinstance(inner, StatementRequest | LeavesRequest)
            request = encode(RelayRequest(inner), BulkRequest)
        came, count = False, 0
        try:
            async with aclosing(cast("AsyncGenerator[bytes, None]", self._transport.fetch(source, request))) as chunks:
                while not piece.complete:
                    async with asyncio.timeout(idle_s):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        await asyncio.to_thread(piece.end)
                        break
                    if via_to is not None:
                        assert isinstance(inner, StatementRequest | LeavesRequest)
                        info = relay_info(self._org, inner, count)
                        keys = self._data_private_keys()
                        chunk = await asyncio.to_thread(open_sealed_with_any, keys, bytes(chunk), info)
                    await asyncio.to_thread(piece.take, bytes(chunk))
                    came, count = True, count + 1
                    arrived(source)
        except TimeoutError:
            # A link that swallows what is sent costs a whole wait each time: ask around it next time.
            if via_to is None and not came:
                self._detours[source] = self._clock.now().mono_ms + DETOUR_MS
        except (LinkError, BadChunk, SealError) as error:
            fault = f"{via_to or source} by {source}: {error}"
            if fault not in faults:
                faults.add(fault)
                self._log(fault)
        return came
