"""Part `daemon`: the resident memory of a daemon that is linked to three others and has nothing to do."""

import asyncio
import statistics
from pathlib import Path

from node.testing.bench.figures import Figure
from node.testing.processes import ProcessCluster

ORGS = ("member-1", "member-2", "member-3", "member-4")
SETTLE_S = 3.0
"""After the last link came up: what the start needed is freed by then."""


async def measure_daemon(root: Path) -> list[Figure]:
    """`daemon_idle_mb`: the median over four daemons of what each says of itself. Raises `ClusterError`."""
    cluster = ProcessCluster(root, ORGS)
    try:
        await asyncio.to_thread(cluster.found, "bench")
        await cluster.start()
        await asyncio.sleep(SETTLE_S)
        memory = {org: float(status["memory_mb"]) for org, status in (await cluster.statuses()).items()}
    finally:
        await asyncio.to_thread(cluster.stop)
    raw = {f"{org}_mb": value for org, value in sorted(memory.items())}
    return [Figure("daemon_idle_mb", statistics.median(memory.values()), raw)]
