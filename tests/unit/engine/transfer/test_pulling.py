"""Asking for chunks, alone: what a transfer that ends leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from node.base.ports import Transport
from node.base.types import Digest, OrgId
from node.core.transfer import RUN_CHUNKS_MAX
from node.edge.telemetry import SystemClock
from node.edge.vault import ChunkPlace, chunk_digest
from node.engine.transfer.pulling import Goal, Liars, Puller
from node.engine.transfer.requests import END, ChunksRequest, Fetching, decode_request, framed

ADA, BOB = OrgId("ada"), OrgId("bob")
CHUNKS = [b"chunk %d" % index for index in range(RUN_CHUNKS_MAX + 1)]


class SlowPlace(ChunkPlace):
    """Stores nothing before it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.begun, self.let, self.stored = Event(), Event(), 0

    def put_if_true(self, digest: Digest, sealed: bytes | memoryview) -> bool:
        if chunk_digest(sealed) == digest:
            self.begun.set()
            assert self.let.wait(10)
        is_true = super().put_if_true(digest, sealed)
        self.stored += is_true
        return is_true


class LiesLater:
    """A transport to one member, which brings a true chunk, and a false one while that is being stored."""

    def __init__(self, place: SlowPlace) -> None:
        self._place = place

    def connected(self) -> frozenset[OrgId]:
        return frozenset({BOB})

    async def fetch(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes]:
        asked = decode_request(request)
        assert isinstance(asked, ChunksRequest)
        if asked.start == 0:
            yield next(framed(END + CHUNKS[0]))
        else:
            await asyncio.to_thread(self._place.begun.wait, 10)
            yield next(framed(END + b"another"))


async def test_nothing_is_stored_after_a_transfer_has_ended(tmp_path):
    place = SlowPlace(tmp_path / "chunks")
    faults: list[OrgId] = []

    def blamed(org: OrgId, reason: str) -> None:
        faults.append(org)
        asyncio.get_running_loop().call_later(0.1, place.let.set)

    puller = Puller(ADA, cast(Transport, cast(Any, LiesLater(place))), SystemClock(), blamed)
    digests = [chunk_digest(chunk) for chunk in CHUNKS]
    goal = Goal(Fetching(Digest(bytes(32))), digests, place, lambda: [BOB])

    with pytest.raises(Liars, match="all that have it lied"):
        await puller.pull(goal, range(len(CHUNKS)))

    assert (faults, place.stored) == ([BOB], 1)


async def test_nothing_is_stored_after_a_transfer_that_was_cancelled_twice(tmp_path):
    place = SlowPlace(tmp_path / "chunks")
    puller = Puller(ADA, cast(Transport, cast(Any, LiesLater(place))), SystemClock(), lambda org, reason: None)
    goal = Goal(Fetching(Digest(bytes(32))), [chunk_digest(CHUNKS[0])], place, lambda: [BOB])
    pulling = asyncio.ensure_future(puller.pull(goal, [0]))
    await asyncio.to_thread(place.begun.wait, 10)

    pulling.cancel()
    for _ in range(10):
        # Until the transfer waits for its request, and that for the disk.
        await asyncio.sleep(0)
    pulling.cancel()
    asyncio.get_running_loop().call_later(0.1, place.let.set)
    await asyncio.gather(pulling, return_exceptions=True)

    assert (pulling.cancelled(), place.stored) == (True, 1)
