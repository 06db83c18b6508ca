"""Part `memory`: whether a daemon grows with its chain. It takes many minutes and runs only when it is named.

`memory_growth`: a network of one member makes blocks, a transaction in each, one after the other; its resident memory
after 20,000 blocks over after 1,000. With more members a block takes longer and holds the same.
"""

import asyncio
from pathlib import Path

from node.testing.bench.consensus import registration
from node.testing.bench.figures import Figure, ratio
from node.testing.processes import ClusterError, ProcessCluster

ORG = "member-1"
BLOCKS_BEFORE = 1_000
BLOCKS = 20_000


async def measure_memory(root: Path, *, before: int = BLOCKS_BEFORE, blocks: int = BLOCKS) -> list[Figure]:
    """`memory_growth`. Raises `ClusterError`, `OperatorError`."""
    cluster = ProcessCluster(root, [ORG])
    try:
        await asyncio.to_thread(cluster.found, "bench")
        await cluster.start()
        await _advance(cluster, 0, before)
        early = await _resident_mb(cluster)
        await _advance(cluster, before, blocks)
        late = await _resident_mb(cluster)
    finally:
        await asyncio.to_thread(cluster.stop)
    return [ratio("memory_growth", late, early, {"late_mb": late, "early_mb": early, "blocks": float(blocks)})]


async def _advance(cluster: ProcessCluster, first: int, last: int) -> None:
    async with cluster.client(ORG) as client:
        for number in range(first, last):
            outcome = await client.submit("sharing", "register", registration(number))
            if not (outcome.final and outcome.accepted):
                raise ClusterError(f"a transaction was not accepted: {outcome.reason or 'no block in time'}")


async def _resident_mb(cluster: ProcessCluster) -> float:
    return float((await cluster.statuses())[ORG]["memory_mb"])
