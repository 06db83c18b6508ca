"""Part `training`: a training round of four daemons, over the training in it.

`round_over_training`: the scenario `heart` on four daemon processes, its rounds as long as the ledger says: from one
training round's opening to the next one's, by the blocks' times; the median, without the first. Over the same four
local trainings on the same rows in four bare processes, begun together on the same cores, nothing read or sent, from
the word "go" to the last one's end; the median again. So the figure holds agreement, exchange, disk and waiting.
"""

import asyncio
import statistics
import time
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from node.app.settings import Folder
from node.base.types import Digest
from node.edge.storage.reader import SqliteReader
from node.ledger.contracts.contract import view
from node.ledger.contracts.training import CONTRACT, TrainingRound
from node.ledger.contracts.training.store import training_rounds
from node.testing.bench import drill
from node.testing.bench.crew import Crew
from node.testing.bench.figures import Figure, ratio
from node.testing.processes import ClusterError, ProcessCluster
from node.testing.scenario.plan import Scenario, Share, deal_rows, member_names, read_scenario
from node.testing.scenario.run import Ended, propose_and_approve, settle
from node.testing.scenario.screen import Screen

SCENARIO = "heart"
ROUNDS = 15
DRILLS = 15
POLL_S = 1.0
"""Seldom: what asks takes its time from the same cores."""
DONE_S_MAX = 60.0
_UNDER_WAY = ("proposed", "preparing", "training")


async def measure_training(root: Path, scenarios: Path) -> list[Figure]:
    """`round_over_training`. Raises `ClusterError`, `OperatorError`."""
    scenario = read_scenario(scenarios, SCENARIO)
    members = member_names(scenario, None)
    cluster = ProcessCluster(root, [org for org, _ in members])
    try:
        shares = await asyncio.to_thread(deal_rows, scenario, members, root, 0)
        await asyncio.to_thread(cluster.found, scenario.name)
        await cluster.start()
        job, ended = await _train(cluster, scenario, shares)
    finally:
        await asyncio.to_thread(cluster.stop)
    rounds = round_seconds(await asyncio.to_thread(_records, cluster.folder(shares[0].org), job))
    model = root / "model"
    model.write_bytes(ended.model)
    drills = await _drills(root, model, shares)
    wall, training = statistics.median(rounds), statistics.median(drills)
    raw = {
        "round_p50_ms": wall * 1000,
        "round_min_ms": min(rounds) * 1000,
        "round_max_ms": max(rounds) * 1000,
        "training_p50_ms": training * 1000,
        "training_max_ms": max(drills) * 1000,
    }
    return [ratio("round_over_training", wall, training, raw)]


def round_seconds(records: list[TrainingRound]) -> list[float]:
    """How long each training round took by the ledger, without preparation, the first and the last."""
    opened = [record.opened_ms for record in records if record.training_round >= 2]
    return [(later - earlier) / 1000 for earlier, later in pairwise(opened)]


async def _train(cluster: ProcessCluster, scenario: Scenario, shares: list[Share]) -> tuple[Digest, Ended]:
    job = await propose_and_approve(cluster, scenario.folder / "job.json", shares, ROUNDS, Screen(Console(quiet=True)))
    async with cluster.client(shares[0].org) as client, asyncio.timeout(DONE_S_MAX):
        while (found := (await client.jobs(job))[0])["state"] in _UNDER_WAY:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
    if found["state"] != "done":
        raise ClusterError(f"the job ended as {found['state']}: {found['reason']}")
    return Digest(job), await settle(cluster, job)


def _records(folder: Path, job: Digest) -> list[TrainingRound]:
    reader = SqliteReader(Folder(folder).ledger)
    try:
        return list(training_rounds(view(reader, CONTRACT), job))
    finally:
        reader.close()


async def _drills(root: Path, model: Path, shares: list[Share]) -> list[float]:
    """Seconds from "go" to the last member's end, for each training."""
    arguments = [(share.org, str(model), str(share.train)) for share in shares]
    seconds = []
    async with Crew(drill.MODULE, arguments, root / "drill.log") as crew:
        await crew.gather("ready")
        for number in range(DRILLS + 1):
            since = time.monotonic()
            crew.tell({"go": number + 1})
            ended = [float(message["ended"]) for message in await crew.gather("ended")]
            seconds.append(max(ended) - since)
    return seconds[1:]
