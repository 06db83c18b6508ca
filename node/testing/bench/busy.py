"""Part `consensus-training`: what training costs the votes.

`latency_p99_training_over_idle`: four daemons; the latency of one transaction after the other, submitted to final,
while all four train the scenario `heart`, over the same before the job is proposed. 99th percentiles.
"""

import asyncio
import time
from pathlib import Path

from rich.console import Console

from node.testing.bench.consensus import final_latencies
from node.testing.bench.figures import Figure, percentile, ratio
from node.testing.processes import ClusterError, ProcessCluster
from node.testing.scenario.plan import deal_rows, member_names, read_scenario
from node.testing.scenario.run import propose_and_approve
from node.testing.scenario.screen import Screen

SCENARIO = "heart"
ROUNDS = 400
"""More than the measurement needs."""
PERCENT = 99
START_S_MAX = 120


async def measure_busy(root: Path, scenarios: Path) -> list[Figure]:
    """`latency_p99_training_over_idle`. Raises `ClusterError`, `OperatorError`."""
    scenario = read_scenario(scenarios, SCENARIO)
    members = member_names(scenario, None)
    cluster = ProcessCluster(root, [org for org, _ in members], one_session=True)
    try:
        shares = await asyncio.to_thread(deal_rows, scenario, members, root, 0)
        await asyncio.to_thread(cluster.found, scenario.name)
        await cluster.start()
        asked = shares[0].org
        idle = await final_latencies(cluster, asked)
        job = await propose_and_approve(
            cluster, scenario.folder / "job.json", shares, ROUNDS, Screen(Console(quiet=True))
        )
        await _until_they_train(cluster, asked, job)
        training = await final_latencies(cluster, asked, first=1_000)
        async with cluster.client(asked) as client:
            (found,) = await client.jobs(job)
        if found["state"] != "training":
            raise ClusterError(
                f"the job was {found['state']} when the measurement ended: they did not train all the time"
            )
    finally:
        await asyncio.to_thread(cluster.stop)
    while_training, before = percentile(training, PERCENT), percentile(idle, PERCENT)
    raw = {
        "training_p99_ms": while_training * 1000,
        "idle_p99_ms": before * 1000,
        "training_p50_ms": percentile(training, 50) * 1000,
        "idle_p50_ms": percentile(idle, 50) * 1000,
        "training_rounds": float(found["training_round"]),
    }
    return [ratio("latency_p99_training_over_idle", while_training, before, raw)]


async def _until_they_train(cluster: ProcessCluster, asked: str, job: bytes) -> None:
    """Past the first training round: before it the processes that train only start. Raises `ClusterError`."""
    deadline = time.monotonic() + START_S_MAX
    async with cluster.client(asked) as client:
        while (await client.jobs(job))[0]["training_round"] < 2:
            if time.monotonic() > deadline:
                raise ClusterError(f"the first training round did not end within {START_S_MAX} s")
            await asyncio.sleep(0.1)
