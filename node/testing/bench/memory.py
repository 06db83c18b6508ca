"""Part `memory`: whether a daemon grows with its chain. It takes many minutes and runs only when it is named.

`memory_growth`: a network of four linked daemons makes blocks, a transaction in each, one after the other, handed in
at each member in turn; the resident memory of a daemon after 20,000 blocks over after 1,000. The worst member counts.
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from node.testing.bench.consensus import registration
from node.testing.bench.figures import Figure, ratio
from node.testing.processes import ClusterError, ProcessCluster

ORGS = ("member-1", "member-2", "member-3", "member-4")
TURN_BLOCKS = 50
"""So many blocks are handed in at one member, then at the next."""
BLOCKS_BEFORE = 1_000
BLOCKS = 20_000


async def measure_memory(root: Path, *, before: int = BLOCKS_BEFORE, blocks: int = BLOCKS) -> list[Figure]:
    """`memory_growth`. Raises `ClusterError`, `OperatorError`."""
    cluster = ProcessCluster(root, ORGS)
    try:
        await asyncio.to_thread(cluster.found, "bench")
        await cluster.start()
        await _advance(cluster, 0, before)
        early = await _resident_mb(cluster)
        await _advance(cluster, before, blocks)
        late = await _resident_mb(cluster)
    finally:
        await asyncio.to_thread(cluster.stop)
    worst = max(ORGS, key=lambda org: late[org] / early[org])
    raw = {f"{org}_{words}_mb": found[org] for words, found in (("early", early), ("late", late)) for org in ORGS}
    return [ratio("memory_growth", late[worst], early[worst], {**raw, "blocks": float(blocks)})]


async def _advance(cluster: ProcessCluster, first: int, last: int) -> None:
    async with AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(cluster.client(org)) for org in ORGS]
        for number in range(first, last):
            client = clients[number // TURN_BLOCKS % len(clients)]
            outcome = await client.submit("sharing", "register", registration(number))
            if not (outcome.final and outcome.accepted):
                raise ClusterError(f"a transaction was not accepted: {outcome.reason or 'no block in time'}")


async def _resident_mb(cluster: ProcessCluster) -> dict[str, float]:
    statuses = await cluster.statuses()
    return {org: float(statuses[org]["memory_mb"]) for org in ORGS}
