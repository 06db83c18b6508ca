"""One daemon grows to several and shrinks to one, one change after the other, by the operators' commands, under load.

Each newcomer is admitted by motion, catches up, joins by itself and takes load; then the last one goes again, in turn
removed, suspended, or by its own wish. What must hold: every change is in force in time, the chain never stands still,
nothing that was called final is lost, and who is out is cut off.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from node.app.settings import Folder
from node.base.types import Height, OrgId
from node.edge.storage import SqliteReader
from node.testing.processes import ClusterError, ProcessCluster
from node.testing.soak import checks
from node.testing.soak.checks import Check
from node.testing.soak.load import SUBMITTERS, Load
from node.testing.soak.operators import Operators, voters
from node.testing.soak.outcome import Outcome
from node.testing.soak.screen import Screen

IN_FORCE_S_MAX = 240.0
"""From the motion's passing: a newcomer starts and takes all blocks first, beside the others' load."""
CUT_S_MAX = 30.0
STANDSTILL_S_MAX = 15.0
"""Between two blocks: a daemon that starts takes a whole core for some seconds, and of two members both must agree."""
WAYS_OUT = ("remove", "suspend", "leave")


async def grow_and_shrink(
    root: Path, *, most: int, seconds: float, seed: int, rate_per_s: float, screen: Screen
) -> Outcome:
    """Found a network of one in the empty folder `root`, let it grow to `most` and shrink to one; judge and end it.

    Raises `ClusterError`, also when it takes longer than `seconds`.
    """
    since = time.monotonic()
    cluster = ProcessCluster(root, ["m01"])
    outcome = Outcome()
    try:
        await asyncio.to_thread(cluster.found, "membership")
        await cluster.start()
        screen.say(f"one daemon is up in {root}; it grows to {most} and shrinks to one")
        try:
            async with asyncio.timeout(seconds):
                await _Change(cluster, outcome, screen).run(most, seed, rate_per_s)
        except TimeoutError as error:
            raise ClusterError(f"after {seconds:.0f} s {len(outcome.changes)} changes were in force") from error
        outcome.checks.append(checks.stopped_well(await asyncio.to_thread(cluster.stop)))
    finally:
        await asyncio.to_thread(cluster.stop)
    screen.say("every daemon is stopped; checking the chain")
    outcome.checks += [
        checks.nothing_left(root),
        checks.logs_clean(cluster),
        await checks.chains_verify(cluster, cluster.orgs[:1]),
    ]
    outcome.seconds = round(time.monotonic() - since, 1)
    return outcome


class _Change:
    """Who comes and who goes."""

    def __init__(self, cluster: ProcessCluster, outcome: Outcome, screen: Screen) -> None:
        self._cluster = cluster
        self._outcome = outcome
        self._screen = screen
        self._operators = Operators(cluster)
        self._codes: dict[OrgId, int] = {}

    async def run(self, most: int, seed: int, rate_per_s: float) -> None:
        first, *coming = [OrgId(f"m{number:02}") for number in range(1, most + 1)]
        load = Load(self._cluster, seed, pause_s=most * SUBMITTERS / rate_per_s)
        try:
            load.begin(first)
            for org in coming:
                await self._timed(f"{org} comes", self._comes(org))
                load.begin(org)
            most_voters = voters(await self._operators.seen(first))
            for number, org in enumerate(reversed(coming)):
                await load.end(org)
                how = WAYS_OUT[number % len(WAYS_OUT)]
                await self._timed(f"{org} goes: {how}", self._goes(org, how))
            left = voters(await self._operators.seen(first))
            await load.finish()
        finally:
            await load.cancel()
        outcome = self._outcome
        outcome.acknowledged, outcome.unknown = len(load.acknowledged), load.unknown
        refused = ", ".join(f"{count} {code}" for code, count in load.refused.items())
        outcome.height, still_s = await asyncio.to_thread(_longest_standstill, self._cluster.folder(first))
        outcome.checks += [
            Check("grown", most_voters == [first, *coming], f"{len(most_voters)} voted at the most"),
            Check("shrunk", left == [first], f"{', '.join(left)} votes at the end"),
            Check("went well", not any(self._codes.values()), f"{len(self._codes)} daemons ended by SIGTERM"),
            checks.acknowledged_once(self._cluster, load.acknowledged, [first]),
            Check("none refused", not load.refused, refused or "no transaction was refused"),
            Check("no standstill", still_s <= STANDSTILL_S_MAX, f"at most {still_s:.1f} s between two blocks"),
        ]

    async def _timed(self, what: str, change: Awaitable[None]) -> None:
        since = time.monotonic()
        await change
        took_s = round(time.monotonic() - since, 1)
        self._outcome.changes.append((what, took_s))
        self._screen.say(f"{len(self._outcome.changes):4}  {what}: in force {took_s:.1f} s later")

    async def _comes(self, org: OrgId) -> None:
        cluster, operators = self._cluster, self._operators
        await asyncio.to_thread(cluster.enrol, org)
        card = cluster.root / f"{org}.json"
        await operators.type(org, "network", "apply", "--out", str(card))
        cluster.launch(org)
        await operators.decide("admit", str(card))
        await operators.until(org, "member", IN_FORCE_S_MAX)

    async def _goes(self, org: OrgId, how: str) -> None:
        if how == "leave":
            await self._operators.type(org, "network", "leave", "--yes")
        else:
            await self._operators.decide(how, org)
        await self._operators.until(org, "suspended" if how == "suspend" else "removed", IN_FORCE_S_MAX)
        await self._cluster.until(
            lambda statuses: not any(peer["connected"] for peer in statuses[org]["peers"]),
            f"the links of {org} to be cut",
            CUT_S_MAX,
            [org],
        )
        self._codes[org] = await asyncio.to_thread(self._cluster.end, org)


def _longest_standstill(folder: Path) -> tuple[int, float]:
    """The chain's height, and the longest time between two blocks in seconds."""
    with closing(SqliteReader(Folder(folder).ledger, frozen=True)) as reader:
        times = []
        for height in range(1, reader.height() + 1):
            certified = reader.block(Height(height))
            assert certified is not None, "no height is missing below the head"
            times.append(certified.block.header.time_ms)
    return len(times), max((after - before for before, after in pairwise(times)), default=0) / 1_000
