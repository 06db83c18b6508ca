"""Answers what others ask for of data sets. The ledger is asked for every chunk anew, at the moment of serving.

So a revocation, a withdrawal or an expiry ends an answer between two chunks, at the owner and at every holder of a
copy. What is served is sealed: a carrier, or a holder, learns sizes and nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import assert_never, cast

from node.base.codec import DecodeError, encode
from node.base.crypto import seal
from node.base.ports import BulkRefused, Clock, LinkError, StateReader, Transport
from node.base.types import OrgId, data_owner
from node.core.transfer import RUN_CHUNKS_MAX
from node.edge.vault import Copies, ReadMemory, sealed_bytes_max
from node.edge.vault.records import to_bytes
from node.engine.transfer.library import Kept, Library
from node.engine.transfer.requests import (
    END,
    CarriedRequest,
    CarryRequest,
    ChunksRequest,
    Claim,
    DigestsRequest,
    EnvelopeRequest,
    Fetching,
    Inner,
    Keeping,
    KeyRequest,
    RecordRequest,
    decode_request,
    encode_request,
    framed,
    pieces,
)
from node.engine.transfer.sealing import DataKeyOf, Sealing
from node.ledger.contracts import access, replicas, sharing
from node.ledger.contracts.access import store
from node.ledger.contracts.contract import view
from node.ledger.contracts.sharing import DataSet
from node.ledger.system import head

CARRIED_MAX = 4
"""Answers carried for others at a time."""
CARRY_IDLE_S = 5.0
"""A carried answer without a piece for this long is given up."""
OWN_RECORD_LABEL = b"lepton/record of a copy\x00"


class Server:
    """Serves what one member has."""

    def __init__(
        self,
        org: OrgId,
        state: StateReader,
        clock: Clock,
        transport: Transport,
        library: Library,
        copies: Copies,
        sealing: Sealing,
        data_key_of: DataKeyOf,
    ) -> None:
        self._org = org
        self._state = state
        self._clock = clock
        self._transport = transport
        self._library = library
        self._copies = copies
        self._sealing = sealing
        self._data_key_of = data_key_of
        self._carried = asyncio.Semaphore(CARRIED_MAX)

    async def serve(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """The port `BulkServer`. Raises `BulkRefused`."""
        try:
            asked = decode_request(request)
        except DecodeError as error:
            raise BulkRefused(f"not a request: {error}") from error
        match asked:
            case CarryRequest(source, inner):
                answer = self._carry(peer, source, inner)
            case CarriedRequest(asker, inner):
                answer = self._answer(asker, inner)
            case _:
                answer = self._answer(peer, asked)
        async with aclosing(answer) as found:
            async for piece in found:
                yield piece

    def _answer(self, asker: OrgId, asked: Inner) -> AsyncGenerator[bytes | memoryview, None]:
        match asked:
            case EnvelopeRequest():
                return self._envelope(asker, asked)
            case RecordRequest():
                return self._record(asker, asked)
            case DigestsRequest():
                return self._digests(asker, asked)
            case ChunksRequest():
                return self._chunks(asker, asked)
            case KeyRequest():
                return self._key(asker, asked)
            case _:
                assert_never(asked)

    async def _envelope(self, asker: OrgId, asked: EnvelopeRequest) -> AsyncGenerator[bytes | memoryview, None]:
        data, number = self._allowed(asker, Fetching(asked.fetch))
        found = store.fetch(view(self._state, access.NAME), asked.fetch)
        assert found is not None, "what is allowed is on the ledger"
        if data_owner(data) != self._org:
            raise BulkRefused(f"only {data_owner(data)} has the envelope")
        envelope = await self._sealing.envelope(found.basis, number)
        if envelope is None:
            raise BulkRefused("the key is not sealed yet")
        yield envelope

    async def _key(self, asker: OrgId, asked: KeyRequest) -> AsyncGenerator[bytes | memoryview, None]:
        found = access.basis(self._state, asked.basis)
        if found is None or found.recipient != asker or data_owner(found.data) != self._org:
            raise BulkRefused(f"{self._org} has sealed nothing to {asker} on such a basis")
        if (refusal := access.refusal_of_basis(self._state, found.id, time_ms=self._time_ms())) is not None:
            raise BulkRefused(refusal.reason)
        if replicas.why_not_copied(self._state, found.data, asked.version, asker) is None:
            # It has the chunks: with the key it would have the data, and no fetch of it would be on the ledger.
            raise BulkRefused("who keeps a copy gets the key when it fetches, not before")
        envelope = await self._sealing.envelope(found.id, asked.version)
        if envelope is None:
            raise BulkRefused("the key is not sealed yet")
        yield envelope

    async def _record(self, asker: OrgId, asked: RecordRequest) -> AsyncGenerator[bytes | memoryview, None]:
        self._allowed(asker, Keeping(asked.data, asked.version))
        if data_owner(asked.data) != self._org:
            copy = await asyncio.to_thread(self._copies.get, asked.data, asked.version)
            if copy is None:
                raise BulkRefused("this member has no such copy")
            content = copy.record
        else:
            registered = self._registered(asked.data, asked.version)
            version = await asyncio.to_thread(self._library.own, asked.data, registered)
            key = self._data_key_of(self._org)
            if version is None or key is None:
                raise BulkRefused("this version is not in the vault of its owner")
            content = await asyncio.to_thread(seal, key, to_bytes(version), record_info(asked.data, asked.version))
        for piece in pieces(content):
            yield piece

    async def _digests(self, asker: OrgId, asked: DigestsRequest) -> AsyncGenerator[bytes | memoryview, None]:
        kept = await self._kept(asker, asked.claim)
        if not 0 <= asked.start < len(kept.digests):
            raise BulkRefused(f"the version has {len(kept.digests)} chunks")
        for piece in pieces(b"".join(kept.digests[asked.start :])):
            yield piece

    async def _chunks(self, asker: OrgId, asked: ChunksRequest) -> AsyncGenerator[bytes | memoryview, None]:
        kept = await self._kept(asker, asked.claim)
        if not 0 <= asked.start < asked.stop <= min(len(kept.digests), asked.start + RUN_CHUNKS_MAX):
            raise BulkRefused(
                f"the version has {len(kept.digests)} chunks, of which {RUN_CHUNKS_MAX} at most are given at a time"
            )
        memory = ReadMemory()
        for index in range(asked.start, asked.stop):
            self._allowed(asker, asked.claim)
            try:
                marked = await asyncio.to_thread(
                    kept.place.get_once, memory, kept.digests[index], sealed_bytes_max(index), behind=END
                )
            except FileNotFoundError:
                raise BulkRefused(f"chunk {index} is missing here") from None
            for piece in framed(marked):
                yield piece

    async def _kept(self, asker: OrgId, claim: Claim) -> Kept:
        data, number = self._allowed(asker, claim)
        kept = await asyncio.to_thread(self._library.kept, data, self._registered(data, number))
        if kept is None:
            raise BulkRefused(f"this member does not hold version {number} of {data}")
        return kept

    def _registered(self, data: str, number: int) -> DataSet:
        found = sharing.version(view(self._state, sharing.NAME), data, number)
        if found is None:
            raise BulkRefused(f"the ledger has no version {number} of {data}")
        return found

    def _allowed(self, asker: OrgId, claim: Claim) -> tuple[str, int]:
        """The version that the claim is for. Raises `BulkRefused` unless the ledger allows it now."""
        match claim:
            case Fetching(fetch):
                why = access.why_not_served(self._state, fetch, asker, time_ms=self._time_ms())
                found = store.fetch(view(self._state, access.NAME), fetch)
                if why is not None or found is None:
                    raise BulkRefused(why or "there is no such fetch")
                return found.data, found.version
            case Keeping(data, version):
                why = replicas.why_not_copied(self._state, data, version, asker)
                if why is not None:
                    raise BulkRefused(why)
                return data, version
            case _:
                assert_never(claim)

    def _time_ms(self) -> int:
        """The later one: a chain that stands still lets nothing go on beyond its term."""
        return max(self._clock.now().wall_ms, head(self._state).time_ms)

    async def _carry(self, asker: OrgId, source: OrgId, inner: Inner) -> AsyncGenerator[bytes | memoryview, None]:
        """Carry an answer between two that cannot reach each other."""
        if len({asker, source, self._org}) < 3:
            raise BulkRefused("this member carries answers between two others")
        if self._carried.locked():
            raise BulkRefused(f"this member carries {CARRIED_MAX} answers already")
        request = encode_request(CarriedRequest(asker, inner))
        async with self._carried:
            answer = cast("AsyncGenerator[bytes | memoryview, None]", self._transport.fetch(source, request))
            async with aclosing(answer):
                while True:
                    try:
                        async with asyncio.timeout(CARRY_IDLE_S):
                            piece = await anext(answer, None)
                    except (LinkError, TimeoutError) as error:
                        raise BulkRefused(f"{source} did not answer {self._org} either: {error}") from error
                    if piece is None:
                        return
                    yield piece


def record_info(data: str, version: int) -> bytes:
    """What the owner's record of a copy is sealed for."""
    return OWN_RECORD_LABEL + encode(Keeping(data, version))
