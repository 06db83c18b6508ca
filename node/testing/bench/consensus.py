"""Part `consensus`: how long one transaction takes, and how many the network takes, on four daemon processes.

`latency_p50_over_rtt`, `latency_p99_over_rtt`: an idle network. One transaction after the other goes to one member's
operator socket, and the clock stops when that socket says that it is final. The median and the 99th percentile, over
the median unary round trip of bare gRPC with mutual TLS between two processes, of several pairs just before and after.

`tx_rate_over_bound`: 250-byte transactions (`sharing.register`, a new data set each) go in at every member's operator
socket, many in a request, as fast as each takes them; a member's are counted when they stand in the receipts of the
member after it. Per second, over what verifying alone allows: Ed25519 verifications per second of one core x cores /
members. The process that makes the load and counts takes its time from the same cores. Storage is the daemon's:
synchronous=FULL.
"""

import asyncio
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from node.api import OperatorClient
from node.base.codec import encode
from node.base.crypto import Ed25519Signer, digest, verify
from node.base.types import Digest, OrgId, Signature, Transaction, TransactionBody
from node.ledger.contracts.sharing import Register
from node.testing.bench import echo
from node.testing.bench.crew import Crew
from node.testing.bench.figures import Figure, cores, percentile, ratio
from node.testing.processes import ClusterError, ProcessCluster

ORGS = ("member-1", "member-2", "member-3", "member-4")
TRANSACTION_BYTES = 250
ROUND_TRIPS = 100
PAIRS = 3
"""Of processes, before the latencies and after them. A pair keeps its places on the cores, and with them a round trip
that is a third longer or shorter than another pair's."""
LATENCIES = 600
"""The 99th percentile stands on six of them."""
WARM_UP = 10
VERIFY_S = 0.25
VERIFY_TIMES = 5
"""Before the load and after it. The fastest counts: a bound is what the machine can do when nobody disturbs it."""
UNDER_WAY_MAX = 800
"""Of one member, submitted and not seen in a block: less than the window of nonces."""
SUBMITTERS = 2
"""Requests under way at one operator socket."""
CALLS_AT_ONCE = 50
"""Transactions in one request."""
RAMP_S = 3.0
COUNTED_S = 12.0


async def measure_consensus(root: Path) -> list[Figure]:
    """`latency_p50_over_rtt` and `tx_rate_over_bound`. Raises `ClusterError`, `OperatorError`."""
    size = transaction_bytes(ORGS[0])
    round_trips = await _round_trips(root, size)
    verifications = await _verifications()
    cluster = ProcessCluster(root, ORGS)
    try:
        await asyncio.to_thread(cluster.found, "bench")
        await cluster.start()
        latencies = await final_latencies(cluster, ORGS[0])
        rate = await committed_rate(cluster)
    finally:
        await asyncio.to_thread(cluster.stop)
    round_trips += await _round_trips(root, size)
    verifications += await _verifications()
    return [
        _latency_figure("latency_p50_over_rtt", 50, latencies, round_trips),
        _latency_figure("latency_p99_over_rtt", 99, latencies, round_trips),
        _rate_figure(rate, max(verifications), size),
    ]


def registration(number: int, name_length: int = 62) -> bytes:
    """The payload of `sharing.register` for a data set of its own; this long a name makes 250 bytes in all."""
    name = f"{number:09d}-".ljust(name_length, "x")
    return encode(Register(name, Digest(digest("bench", name.encode()))))


def transaction_bytes(org: str) -> int:
    """The length of one transaction of the load."""
    body = TransactionBody(Digest(bytes(32)), OrgId(org), 1, 1 << 41, "sharing", "register", registration(1))
    return len(Transaction(body, Signature(bytes(64))).encoded)


def verifications_per_s(seconds: float) -> float:
    """Ed25519 verifications per second of one core, of messages as long as a transaction."""
    signer = Ed25519Signer(digest("bench"))
    message = bytes(TRANSACTION_BYTES)
    signature = signer.sign(message)
    count, since = 0, time.perf_counter()
    while time.perf_counter() - since < seconds:
        for _ in range(100):
            assert verify(signer.public_key, message, signature), "a good signature holds"
        count += 100
    return count / (time.perf_counter() - since)


async def _round_trips(root: Path, size: int) -> list[float]:
    seconds: list[float] = []
    for _ in range(PAIRS):
        async with Crew(echo.MODULE, [()], root / "echo.log") as crew:
            seconds += await echo.round_trips(crew, ROUND_TRIPS, bytes(size))
    return seconds


async def _verifications() -> list[float]:
    return [await asyncio.to_thread(verifications_per_s, VERIFY_S) for _ in range(VERIFY_TIMES)]


def _latency_figure(name: str, percent: float, latencies: list[float], round_trips: list[float]) -> Figure:
    latency, round_trip = percentile(latencies, percent), percentile(round_trips, 50)
    raw = {
        f"latency_p{percent:g}_ms": latency * 1000,
        "rtt_p50_ms": round_trip * 1000,
        "rtt_p99_ms": percentile(round_trips, 99) * 1000,
    }
    return ratio(name, latency, round_trip, raw)


def _rate_figure(rate: float, verifications: float, size: int) -> Figure:
    bound = verifications * cores() / len(ORGS)
    raw = {
        "committed_per_s": rate,
        "bound_per_s": bound,
        "verifications_per_s": verifications,
        "transaction_bytes": float(size),
    }
    return ratio("tx_rate_over_bound", rate, bound, raw)


async def final_latencies(cluster: ProcessCluster, org: str, *, first: int = 0) -> list[float]:
    """Seconds from submitting to final, one transaction after the other, numbered from `first` on.

    Raises `ClusterError`, `OperatorError`.
    """
    seconds = []
    async with cluster.client(org) as client:
        for number in range(first, first + WARM_UP + LATENCIES):
            since = time.perf_counter()
            outcome = await client.submit("sharing", "register", registration(number))
            seconds.append(time.perf_counter() - since)
            if not (outcome.final and outcome.accepted):
                raise ClusterError(f"a transaction was not accepted: {outcome.reason or 'no block in time'}")
    return seconds[WARM_UP:]


@dataclass(slots=True)
class _Load:
    """One member's transactions."""

    waiting: set[bytes] = field(default_factory=set)
    """Submitted, and not yet in the other member's receipts."""
    early: set[bytes] = field(default_factory=set)
    """In the receipts before the submitting call came back, or another member's."""
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNDER_WAY_MAX))
    seen: deque[float] = field(default_factory=deque)
    """When each was seen accepted."""
    number: int = 1_000_000


async def committed_rate(cluster: ProcessCluster) -> float:
    """Committed transactions per second, over all members. Raises `ClusterError`."""
    loads = {org: _Load() for org in cluster.orgs}
    after = dict(zip(cluster.orgs, cluster.orgs[1:] + cluster.orgs[:1], strict=True))
    since = time.monotonic()
    async with AsyncExitStack() as opened:
        tasks = []
        for org in cluster.orgs:
            client = await opened.enter_async_context(cluster.client(org))
            other = await opened.enter_async_context(cluster.client(after[org]))
            tasks.append(asyncio.create_task(_count(other, loads[org])))
            tasks += [asyncio.create_task(_submit(client, loads[org])) for _ in range(SUBMITTERS)]
        try:
            # None of them ends by itself: one that does has failed.
            done, _ = await asyncio.wait(tasks, timeout=RAMP_S + COUNTED_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
    first, last = since + RAMP_S, since + RAMP_S + COUNTED_S
    counts = {org: sum(first <= at < last for at in load.seen) for org, load in loads.items()}
    if not all(counts.values()):
        raise ClusterError(f"not every member's transactions were committed: {counts}")
    return sum(counts.values()) / COUNTED_S


async def _submit(client: OperatorClient, load: _Load) -> None:
    while True:
        calls: list[tuple[str, str, bytes]] = []
        while len(calls) < CALLS_AT_ONCE:
            await load.room.acquire()
            load.number += 1
            calls.append(("sharing", "register", registration(load.number)))
        for outcome in await client.submit_many(calls):
            if not outcome.transaction:
                raise ClusterError(f"a submission was refused: {outcome.reason}")
            if outcome.transaction in load.early:
                load.early.discard(outcome.transaction)
                _count_one(load)
            else:
                load.waiting.add(outcome.transaction)


async def _count(client: OperatorClient, load: _Load) -> None:
    async for block in client.follow():
        for id_ in block.accepted:
            if id_ in load.waiting:
                load.waiting.discard(id_)
                _count_one(load)
            else:
                load.early.add(id_)


def _count_one(load: _Load) -> None:
    load.seen.append(time.monotonic())
    load.room.release()
