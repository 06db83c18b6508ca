"""A soak from founding to the last check: load and faults for a time, then quiet, then judgement."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from node.app.settings import read_settings
from node.base.types import OrgId
from node.testing.processes import ProcessCluster
from node.testing.soak import checks
from node.testing.soak.checks import Check
from node.testing.soak.faults import Faults
from node.testing.soak.load import SUBMITTERS, Load, quietly
from node.testing.soak.outcome import Outcome
from node.testing.soak.plan import Episode, FaultKind, episodes
from node.testing.soak.screen import Screen
from node.testing.soak.watch import Sample, Watch, sample
from node.testing.soak.wires import Wires

QUIET_S = 2.0
"""After the last link came up: what a start needed is given back by then."""
REST_S = 2.0
"""Between two episodes."""
LINKED_S_MAX = 180.0
SETTLE_S_MAX = 120.0
RELEASED_S_MAX = 30.0
"""For what the last fault left behind to time out."""
POLL_S = 0.5


async def soak(
    root: Path,
    *,
    members: int,
    seconds: float,
    seed: int,
    rate_per_s: float,
    kinds: Sequence[FaultKind],
    screen: Screen,
) -> Outcome:
    """Found a network in the empty folder `root`, load and strike it, judge it, end it. Raises `ClusterError`."""
    since = time.monotonic()
    cluster = ProcessCluster(root, [f"m{number:02}" for number in range(1, members + 1)])
    outcome = Outcome()
    async with Wires(cluster.orgs, lambda: _pids(cluster)) as wires:
        try:
            await asyncio.to_thread(cluster.found, "soak", None, wires.addresses)
            for org in cluster.orgs:
                wires.lead_to(org, read_settings(cluster.folder(org)).listen)
            await cluster.start()
            screen.say(f"{members} daemons are up and linked in {root}; seed {seed}")
            await _torment(cluster, wires, outcome, seconds, seed, rate_per_s, kinds, screen)
            outcome.checks.append(checks.stopped_well(await asyncio.to_thread(cluster.stop)))
        finally:
            await asyncio.to_thread(cluster.stop)
    for slope in outcome.slopes:
        grown = f"{slope.first_mb:.1f} to {slope.last_mb:.1f} MB over {slope.blocks} blocks"
        screen.say(
            f"{slope.org}: {grown}{' after warm-up' if slope.warm else ''}, {slope.mb_per_1000_blocks:+.3f} per 1,000"
        )
    screen.say("every daemon is stopped; checking every chain")
    outcome.checks += [checks.nothing_left(root), checks.logs_clean(cluster), await checks.chains_verify(cluster)]
    outcome.seconds = round(time.monotonic() - since, 1)
    return outcome


def _pids(cluster: ProcessCluster) -> dict[OrgId, int]:
    return {org: pid for org in cluster.orgs if (pid := cluster.pid(org)) is not None}


async def _torment(
    cluster: ProcessCluster,
    wires: Wires,
    outcome: Outcome,
    seconds: float,
    seed: int,
    rate_per_s: float,
    kinds: Sequence[FaultKind],
    screen: Screen,
) -> None:
    """Load and faults for the time that was asked for, then quiet, then all that running daemons can be asked."""
    before = await _quiet(cluster)
    load = Load(cluster, seed, pause_s=len(cluster.orgs) * SUBMITTERS / rate_per_s)
    watch, faults = Watch(cluster), Faults(cluster, wires)
    watching = asyncio.create_task(watch.run())
    try:
        load.start()
        await _strike(
            faults, watch, load, outcome, seconds, episodes(seed, cluster.orgs, kinds) if kinds else None, screen
        )
        await load.finish()
        statuses = await cluster.until(_settled, "one head everywhere and nothing pending", SETTLE_S_MAX)
        leaks = await _released(cluster, before)
    finally:
        await load.cancel()
        await quietly(watching)
    outcome.slopes = watch.slopes()
    outcome.acknowledged, outcome.unknown = len(load.acknowledged), load.unknown
    outcome.height = max(status["height"] for status in statuses.values())
    refused = ", ".join(f"{count} {code}" for code, count in load.refused.items())
    outcome.checks += [
        checks.same_end(statuses),
        await asyncio.to_thread(checks.acknowledged_once, cluster, load.acknowledged),
        Check("none refused", not load.refused, refused or "no transaction was refused"),
        leaks,
        checks.memory_flat(outcome.slopes),
        Check(
            "faults as expected", not faults.trouble, "; ".join(faults.trouble) or f"{len(outcome.episodes)} episodes"
        ),
    ]


async def _strike(
    faults: Faults,
    watch: Watch,
    load: Load,
    outcome: Outcome,
    seconds: float,
    coming: Iterator[Episode] | None,
    screen: Screen,
) -> None:
    """Episode after episode until the time is over; without any, only the load."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    showing = asyncio.create_task(_show(screen, watch, load, ends))
    try:
        while loop.time() < ends:
            if coming is None:
                await asyncio.sleep(ends - loop.time())
                break
            await asyncio.sleep(REST_S)
            episode = next(coming)
            screen.began(episode)
            took_s = await faults.perform(episode)
            outcome.episodes.append((episode, round(took_s, 1)))
            screen.ended(episode, took_s)
    finally:
        await quietly(showing)


async def _show(screen: Screen, watch: Watch, load: Load, ends: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        screen.show(
            watch.cluster.orgs, watch.latest, len(load.acknowledged), load.unknown, max(0.0, ends - loop.time())
        )
        await asyncio.sleep(POLL_S)


async def _quiet(cluster: ProcessCluster) -> dict[OrgId, Sample]:
    """Wait until all are linked twice with all others; what each daemon holds then. Raises `ClusterError`."""
    await cluster.until(
        lambda statuses: all(peer["connected"] and peer["bulk"] for s in statuses.values() for peer in s["peers"]),
        "all members to be linked, bulk connections too",
        LINKED_S_MAX,
    )
    await asyncio.sleep(QUIET_S)
    statuses = await cluster.statuses()
    return {OrgId(org): sample(status, 0.0) for org, status in statuses.items()}


async def _released(cluster: ProcessCluster, before: dict[OrgId, Sample]) -> Check:
    """What the daemons hold at the end against the beginning, as soon as it is no more, or at the end of patience."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + RELEASED_S_MAX
    while True:
        check = checks.nothing_leaks(len(cluster.orgs), before, await _quiet(cluster))
        if check.holds or loop.time() > deadline:
            return check
        await asyncio.sleep(POLL_S)


def _settled(statuses: dict[str, dict[str, object]]) -> bool:
    ends = {(status["height"], status["head_digest"], status["state_root"]) for status in statuses.values()}
    return len(ends) == 1 and not any(status["pending"] for status in statuses.values())
