"""Two processes with one bare gRPC stream under mutual TLS between them: a file's bytes, read and sent, and dropped.

Run as `python -m node.testing.bench.stream FILE` by `Crew`: worker 0 sends, worker 1 takes.
"""

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import uvloop

from node.base.types import OrgId
from node.edge.storage.identity import make_tls_secret
from node.testing.bench.crew import Crew, Worker
from node.testing.bench.wire import SERVICE, channel, identity, serve

MODULE = "node.testing.bench.stream"
PIECE_BYTES = 1 << 20


async def stream_seconds(crew: Crew) -> float:
    """From the request to the last byte. The crew are two workers of this module."""
    hellos = await crew.gather("certificate")
    crew.tell({"certificate": hellos[1]["certificate"]}, 0)
    _, sender = await crew.hear()
    crew.tell({"certificate": hellos[0]["certificate"], "port": sender["port"]}, 1)
    _, taken = await crew.hear()
    return float(taken["seconds"])


async def _run(path: Path) -> None:
    worker = await Worker.open()
    tls = make_tls_secret(OrgId("bare"))
    worker.say({"certificate": tls.certificate.hex()})
    hello = await worker.hear()
    if hello is None:
        return
    own, peer = identity("bare", tls), bytes.fromhex(hello["certificate"])
    if "port" in hello:
        worker.say({"seconds": await _take(channel(own, peer, hello["port"]))})
        await worker.hear()
        return

    async def send(request: bytes, context: Any) -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    server, port = await serve(own, [peer], {"All": grpc.unary_stream_rpc_method_handler(send)})
    worker.say({"port": port})
    await worker.hear()
    await server.stop(None)


async def _take(opened: grpc.aio.Channel) -> float:
    async with opened:
        # The handshake belongs to no byte.
        await opened.channel_ready()
        since = time.perf_counter()
        async for _ in opened.unary_stream(f"/{SERVICE}/All")(b""):
            pass
        return time.perf_counter() - since


if __name__ == "__main__":
    uvloop.run(_run(Path(sys.argv[1])))
