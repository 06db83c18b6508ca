"""A process that answers each unary call with what it got, over mutual TLS: the machine's own round trip.

Run as `python -m node.testing.bench.echo` by `Crew`.
"""

import time

import uvloop

from node.base.types import OrgId
from node.edge.storage.identity import make_tls_secret
from node.testing.bench.crew import Crew, Worker
from node.testing.bench.wire import SERVICE, channel, identity, serve, unary

MODULE = "node.testing.bench.echo"


async def round_trips(crew: Crew, count: int, message: bytes) -> list[float]:
    """Seconds of `count` unary calls to the crew's only worker, one after the other."""
    tls = make_tls_secret(OrgId("caller"))
    own = identity("caller", tls)
    crew.tell({"certificate": tls.certificate.hex()})
    (hello,) = await crew.gather("port")
    seconds = []
    async with channel(own, bytes.fromhex(hello["certificate"]), hello["port"]) as opened:
        call = opened.unary_unary(f"/{SERVICE}/Echo")
        await call(message)
        for _ in range(count):
            since = time.perf_counter()
            await call(message)
            seconds.append(time.perf_counter() - since)
    return seconds


async def _echo(request: bytes) -> bytes:
    return request


async def _run() -> None:
    worker = await Worker.open()
    hello = await worker.hear()
    if hello is None:
        return
    tls = make_tls_secret(OrgId("echo"))
    caller = bytes.fromhex(hello["certificate"])
    server, port = await serve(identity("echo", tls), [caller], {"Echo": unary(_echo)})
    worker.say({"port": port, "certificate": tls.certificate.hex()})
    assert await worker.hear() is None, "the conductor has nothing more to say"
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(_run())
