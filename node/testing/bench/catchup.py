"""Part `catchup`: how much faster a member takes over blocks than four daemons made them.

`catch_up_over_load`: full load goes in at all four members for a while; then one of them is stopped, its database is
taken away, and it is started again. The time that the chain's blocks took to be made (by their own times) over the time
from the first block that it takes over to the last. `catch_up_over_load_single` is the same of blocks of one
transaction each, made as fast as one after the other can be.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from node.api import OperatorError
from node.app.settings import Folder
from node.base.types import Height
from node.edge.storage import SqliteReader
from node.testing.bench.consensus import committed_rate, registration
from node.testing.bench.figures import Figure, ratio
from node.testing.processes import ClusterError, ProcessCluster

ORGS = ("member-1", "member-2", "member-3", "member-4")
SINGLE_BLOCKS = 1_500
"""Taken over in two seconds: of fewer, how the start fell would be most of the figure."""
REST_S_MAX = 60.0
CATCH_UP_S_MAX = 90.0
POLL_S = 0.02


async def measure_catch_up(root: Path) -> list[Figure]:
    """`catch_up_over_load` and `catch_up_over_load_single`. Raises `ClusterError`, `OperatorError`."""
    full = await _measure(root / "full", "catch_up_over_load", _full_load)
    single = await _measure(root / "single", "catch_up_over_load_single", _single_blocks)
    return [full, single]


async def _full_load(cluster: ProcessCluster) -> None:
    await committed_rate(cluster)


async def _single_blocks(cluster: ProcessCluster) -> None:
    async with cluster.client(ORGS[0]) as client:
        for number in range(SINGLE_BLOCKS):
            outcome = await client.submit("sharing", "register", registration(number))
            if not (outcome.final and outcome.accepted):
                raise ClusterError(f"a transaction was not accepted: {outcome.reason or 'no block in time'}")


async def _measure(root: Path, name: str, load: Callable[[ProcessCluster], Awaitable[None]]) -> Figure:
    cluster = ProcessCluster(root, ORGS)
    try:
        await asyncio.to_thread(root.mkdir)
        await asyncio.to_thread(cluster.found, "bench")
        await cluster.start()
        await load(cluster)
        await cluster.until(
            lambda statuses: (
                all(s["pending"] == 0 for s in statuses.values())
                and len({s["head_digest"] for s in statuses.values()}) == 1
            ),
            "the load to be worked off",
            REST_S_MAX,
        )
        made_s, blocks, transactions = await asyncio.to_thread(_made, cluster.folder(ORGS[0]))
        await asyncio.to_thread(_forget, cluster, ORGS[-1])
        taken, caught_up_s = await _caught_up(cluster, ORGS[-1], blocks)
    finally:
        await asyncio.to_thread(cluster.stop)
    raw = {
        "blocks": float(blocks),
        "transactions": float(transactions),
        "made_s": made_s,
        "made_transactions_per_s": transactions / made_s,
        "caught_up_s": caught_up_s,
        "caught_up_transactions_per_s": transactions * taken / caught_up_s,
    }
    return ratio(name, taken / caught_up_s, 1 / made_s, raw)


def _made(folder: Path) -> tuple[float, int, int]:
    """Seconds from the first block to the last, by their times, and how many blocks and transactions there are."""
    reader = SqliteReader(Folder(folder).ledger)
    try:
        height = reader.height()
        first, last = reader.block(Height(1)), reader.block(height)
        if first is None or last is None:
            raise ClusterError("the load made no blocks")
        seconds = (last.block.header.time_ms - first.block.header.time_ms) / 1000
        return seconds, height, reader.stored_counts()[2]
    finally:
        reader.close()


def _forget(cluster: ProcessCluster, org: str) -> None:
    """Stop the member and take its chain away; its vote log stays."""
    cluster.kill(org)
    ledger = Folder(cluster.folder(org)).ledger
    for path in (ledger, ledger.with_name(ledger.name + "-wal"), ledger.with_name(ledger.name + "-shm")):
        path.unlink(missing_ok=True)


async def _caught_up(cluster: ProcessCluster, org: str, blocks: int) -> tuple[float, float]:
    """(share of the chain, seconds) from the first moment at which some of it is there to the last block."""
    cluster.launch(org)
    deadline = time.monotonic() + CATCH_UP_S_MAX
    began: tuple[int, float] | None = None
    while time.monotonic() < deadline:
        try:
            async with cluster.client(org) as client:
                while time.monotonic() < deadline:
                    height = (await client.status())["height"]
                    now = time.monotonic()
                    if height > 0 and began is None:
                        began = (height, now)
                    if height >= blocks and began is not None:
                        return (blocks - began[0]) / blocks, now - began[1]
                    await asyncio.sleep(POLL_S)
        except OperatorError:
            await asyncio.sleep(POLL_S)
    raise ClusterError(f"{org} did not catch up within {CATCH_UP_S_MAX:.0f} s; its log ends:\n{cluster.log_tail(org)}")
