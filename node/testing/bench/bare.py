"""The yardstick of averaging: a butterfly on bare gRPC streams under mutual TLS, float32 sums in memory.

Each member sends its part of every other's range, sums its own range, and fetches the others' sums.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from node.edge.transport.credentials import Identity
from node.testing.bench.wire import SERVICE, channel, serve

CHUNK_BYTES = 1 << 20

Vector = NDArray[np.float32]


class BareButterfly:
    """One member's end. `start`, then for each round `offer` at all members before `average` at any."""

    def __init__(self, own: Identity, orgs: Sequence[str], vector: Vector) -> None:
        """`orgs` are all members in the order of their ranges."""
        self._own = own
        self._orgs = orgs
        self._vector = vector
        self._server: grpc.aio.Server | None = None
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._sum: asyncio.Future[Vector] = asyncio.get_running_loop().create_future()

    async def start(self, certificates: Mapping[str, bytes]) -> int:
        """Serve to the holders of these certificates; the port."""
        handlers = {
            "Part": grpc.unary_stream_rpc_method_handler(self._send_part),
            "Sum": grpc.unary_stream_rpc_method_handler(self._send_sum),
        }
        self._server, port = await serve(self._own, list(certificates.values()), handlers)
        return port

    def connect(self, certificates: Mapping[str, bytes], ports: Mapping[str, int]) -> None:
        """A connection to each other member."""
        others = [org for org in self._orgs if org != self._own.org]
        self._channels = {org: channel(self._own, certificates[org], ports[org]) for org in others}

    async def close(self) -> None:
        """Cut everything."""
        for opened in self._channels.values():
            await opened.close()
        if self._server is not None:
            await self._server.stop(None)

    def offer(self) -> None:
        """Forget the last round's sum."""
        self._sum = asyncio.get_running_loop().create_future()

    async def average(self) -> Vector:
        """The sum of all members' vectors."""
        mine = self._range(self._own.org)
        total = self._vector[mine].copy()
        parts = [np.empty_like(total) for _ in self._channels]
        asked = self._own.org.encode()
        fetches = zip(self._channels.values(), parts, strict=True)
        await asyncio.gather(*(self._fetch(opened, "Part", asked, part) for opened, part in fetches))
        for part in parts:
            total += part
        self._sum.set_result(total)
        result = np.empty_like(self._vector)
        result[mine] = total
        await asyncio.gather(
            *(self._fetch(opened, "Sum", b"", result[self._range(org)]) for org, opened in self._channels.items())
        )
        return result

    async def _fetch(self, opened: grpc.aio.Channel, method: str, request: bytes, into: Vector) -> None:
        raw = into.data.cast("B")
        at = 0
        async for chunk in opened.unary_stream(f"/{SERVICE}/{method}")(request):
            raw[at : at + len(chunk)] = chunk
            at += len(chunk)
        assert at == len(raw), "a bare stream carries the whole range"

    async def _send_part(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for chunk in _chunks(self._vector[self._range(request.decode())]):
            yield chunk

    async def _send_sum(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for chunk in _chunks(await self._sum):
            yield chunk

    def _range(self, org: str) -> slice:
        index, count, length = self._orgs.index(org), len(self._orgs), len(self._vector)
        return slice(index * length // count, (index + 1) * length // count)


def _chunks(values: Vector) -> list[bytes]:
    raw = values.data.cast("B")
    return [bytes(raw[at : at + CHUNK_BYTES]) for at in range(0, len(raw), CHUNK_BYTES)]
