"""Answers what others ask for: each request is held against what the ledger allows its asker, then cut into chunks.

An update's leaves go to the range's reducer and second alone; a result to the job's participants and not before the
contributors are final; a model to participants once the ledger has closed its training round.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import assert_never, cast

from node.base.codec import DecodeError, decode, encode
from node.base.crypto import SealError, seal
from node.base.ports import BulkRefused, LinkError, StateReader, Transport
from node.base.types import Digest, OrgId, PublicKey
from node.core.averaging import chunk_bounds
from node.engine.training.holdings import Running
from node.engine.training.requests import (
    BulkRequest,
    LeavesRequest,
    ModelRequest,
    RelayedRequest,
    RelayRequest,
    ResultRequest,
    StatementRequest,
    relay_info,
)
from node.engine.training.shelf import Shelf
from node.ledger.contracts.contract import view
from node.ledger.contracts.training import CONTRACT, JobView, Phase, TrainingRound, job, training_round

MODEL_CHUNK_BYTES = 768 << 10
RELAYS_MAX = 4
"""Answers carried for others at a time."""
RELAY_IDLE_S = 5.0
"""A carried answer without a chunk for this long is given up."""

HOLD_S = 0.15
"""A request that the next block may allow is held for this long: its asker is often one block ahead. Shorter than any
asker waits for a first chunk."""

DataKeyOf = Callable[[OrgId], PublicKey | None]


class NotYet(BulkRefused):
    """What a block to come, or a work that this member has under way, may still allow."""


class Server:
    """Serves from the shelf and from the training rounds under way."""

    def __init__(
        self,
        org: OrgId,
        state: StateReader,
        shelf: Shelf,
        running: Mapping[tuple[Digest, int], Running],
        transport: Transport,
        data_key_of: DataKeyOf,
        *,
        hold_s: float = HOLD_S,
    ) -> None:
        self._org = org
        self._state = state
        self._shelf = shelf
        self._running = running
        self._transport = transport
        self._data_key_of = data_key_of
        self._relays = asyncio.Semaphore(RELAYS_MAX)
        self._hold_s = hold_s
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """A block came, or a work ended: requests that are held are looked at again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def serve(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes]:
        """The port `BulkServer`. Raises `BulkRefused`."""
        try:
            asked: BulkRequest = decode(cast("type[BulkRequest]", BulkRequest), request)
        except DecodeError as error:
            raise BulkRefused(f"not a request: {error}") from error
        held_until = asyncio.get_running_loop().time() + self._hold_s
        while True:
            changed = self._changed
            try:
                async with aclosing(self._answer(peer, asked)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except NotYet as refusal:
                # Raised before the first chunk only, so nothing is sent twice.
                if not await _happens(changed, held_until):
                    raise refusal from None

    def _answer(self, peer: OrgId, asked: BulkRequest) -> AsyncGenerator[bytes, None]:
        match asked:
            case StatementRequest() | LeavesRequest():
                return self._private(peer, asked)
            case ResultRequest():
                return self._result(peer, asked)
            case ModelRequest():
                return self._model(peer, asked)
            case RelayRequest(inner):
                return self._relay(peer, inner)
            case RelayedRequest(asker, inner):
                return self._sealed(peer, asker, inner)
            case _:
                assert_never(asked)

    async def _private(self, asker: OrgId, asked: StatementRequest | LeavesRequest) -> AsyncGenerator[bytes, None]:
        found, record = self._open(asked.job)
        if asked.owner != self._org or self._org not in record.candidates:
            raise NotYet(f"{self._org} is no candidate here and has nothing to give")
        if isinstance(asked, StatementRequest):
            if record.phase is not Phase.PREPARING or asker not in record.cohort:
                raise BulkRefused("statistics go to the cohort, while the job is being prepared")
            statement = await asyncio.to_thread(self._shelf.statement, asked.job)
            if statement is None:
                raise BulkRefused("the statistics are no longer on this member's disk")
            yield encode(statement)
            return
        _check_leaves(asker, asked, record)
        running = self._running.get((found.id, asked.training_round))
        own = await running.holdings.own() if running is not None else None
        if own is None:
            raise BulkRefused("the update is not on this member's disk")
        for start, stop in chunk_bounds(asked.have, asked.stop):
            yield await asyncio.to_thread(own.chunk, start, stop)

    async def _result(self, asker: OrgId, asked: ResultRequest) -> AsyncGenerator[bytes, None]:
        self._participant(asker, asked.job)
        record = training_round(view(self._state, CONTRACT), asked.job, asked.training_round)
        # Before the contributors are final, two sums could differ by one member and so reveal it.
        if record is None or record.phase not in (Phase.CLOSING, Phase.CLOSED):
            raise NotYet("results are given once the contributors are final")
        running = self._running.get((asked.job, asked.training_round))
        result = running.holdings.results.get((asked.start, asked.stop)) if running is not None else None
        wanted = {range_.root for range_ in record.ranges if (range_.start, range_.stop) == (asked.start, asked.stop)}
        if result is None or result.root not in wanted:
            raise NotYet("this member does not hold the result yet")
        if not 0 <= asked.have < result.leaves:
            raise BulkRefused(f"the range has {result.leaves} leaves")
        for start, stop in chunk_bounds(asked.have, result.leaves):
            yield await asyncio.to_thread(result.chunk, start, stop)

    async def _model(self, asker: OrgId, asked: ModelRequest) -> AsyncGenerator[bytes, None]:
        self._participant(asker, asked.job)
        record = training_round(view(self._state, CONTRACT), asked.job, asked.training_round)
        if record is None or record.model != asked.model:
            raise NotYet("the ledger has no such model")
        file = await asyncio.to_thread(self._shelf.model, asked.job, asked.training_round, asked.model)
        if file is None:
            raise BulkRefused("this member does not hold the model")
        if not 0 <= asked.have < len(file):
            raise BulkRefused(f"the model has {len(file)} bytes")
        for start in range(asked.have, len(file), MODEL_CHUNK_BYTES):
            yield file[start : start + MODEL_CHUNK_BYTES]

    async def _relay(self, asker: OrgId, inner: StatementRequest | LeavesRequest) -> AsyncGenerator[bytes, None]:
        """Carry an answer that is sealed to the asker."""
        _, record = self._open(inner.job)
        three = len({asker, inner.owner, self._org}) == 3
        if asker not in record.cohort or inner.owner not in record.candidates or not three:
            raise BulkRefused("this member carries answers between members of one cohort")
        if self._relays.locked():
            raise BulkRefused(f"this member carries {RELAYS_MAX} answers already")
        request = encode(RelayedRequest(asker, inner), BulkRequest)
        async with self._relays:
            answer = cast("AsyncGenerator[bytes, None]", self._transport.fetch(inner.owner, request))
            async with aclosing(answer):
                while True:
                    try:
                        async with asyncio.timeout(RELAY_IDLE_S):
                            chunk = await anext(answer)
                    except StopAsyncIteration:
                        return
                    except (LinkError, TimeoutError) as error:
                        raise BulkRefused(
                            f"{inner.owner} cannot be reached from {self._org} either: {error}"
                        ) from error
                    yield chunk

    async def _sealed(
        self, relay: OrgId, asker: OrgId, inner: StatementRequest | LeavesRequest
    ) -> AsyncGenerator[bytes, None]:
        """What the asker may have, so that the relay cannot read it."""
        _, record = self._open(inner.job)
        key = self._data_key_of(asker)
        if relay not in record.cohort or asker not in record.cohort or key is None:
            raise BulkRefused("answers are relayed between members of one cohort")
        count = 0
        async with aclosing(self._private(asker, inner)) as chunks:
            async for chunk in chunks:
                try:
                    yield await asyncio.to_thread(seal, key, chunk, relay_info(asker, inner, count))
                except (SealError, ValueError) as error:
                    raise BulkRefused(f"nothing can be sealed to {asker}: {error}") from error
                count += 1

    def _open(self, id_: Digest) -> tuple[JobView, TrainingRound]:
        found = job(view(self._state, CONTRACT), id_)
        if found is None or not found.active or found.current is None:
            raise NotYet("the ledger has no such training round under way")
        return found, found.current

    def _participant(self, asker: OrgId, id_: Digest) -> None:
        found = job(view(self._state, CONTRACT), id_)
        if found is None or asker not in found.terms.participants:
            raise BulkRefused("only the job's participants may have this")


async def _happens(event: asyncio.Event, until: float) -> bool:
    """Whether the event comes before the loop's time is `until`."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _check_leaves(asker: OrgId, asked: LeavesRequest, record: TrainingRound) -> None:
    """Only who sums a range, or must be able to, sees its inputs. Raises `BulkRefused`."""
    if asked.training_round != record.training_round or record.phase not in (Phase.REDUCING, Phase.CLOSING):
        raise NotYet("these leaves are not exchanged now")
    if not asked.start <= asked.have < asked.stop:
        raise BulkRefused(f"leaf {asked.have} is not between {asked.start} and {asked.stop}")
    for range_ in record.ranges:
        if (range_.start, range_.stop) != (asked.start, asked.stop):
            continue
        # The second keeps a copy of the reducer's own leaves, and needs the others' only to replace it at the end.
        second_may = range_.reducer == asked.owner or record.phase is Phase.CLOSING
        if asker == range_.reducer or (asker == range_.second and second_may):
            return
    raise BulkRefused(f"{asker} neither sums this range nor stands in for who does")
