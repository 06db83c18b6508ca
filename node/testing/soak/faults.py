"""Performs episodes of faults on running daemons, heals them, and waits until everything goes on.

The full disk is the process's own limit for the size of files (RLIMIT_FSIZE), set to nothing while it runs: every write
that makes a file longer fails, as on a full disk, without privileges and without harm to anybody else.
"""

import asyncio
import resource
from dataclasses import dataclass, field
from itertools import combinations

import psutil

from node.api import OperatorError
from node.app.settings import Folder
from node.base.types import OrgId
from node.testing.processes import ClusterError, ProcessCluster, wipe
from node.testing.soak.operators import COMMAND_S_MAX, lepton
from node.testing.soak.plan import Episode, FaultKind
from node.testing.soak.wires import Wires

RECOVERED_S_MAX = 120.0
"""For the restart, the links, catching up and one block more, on a machine with other work."""
GIVES_UP_S_MAX = 30.0
"""A daemon whose disk is full ends within this."""
POLL_S = 0.1
DISK_FULL_CODE = 1
KEYS = ("node", "tls", "data")


@dataclass(slots=True)
class Faults:
    """Strikes the members of one network."""

    cluster: ProcessCluster
    wires: Wires
    trouble: list[str] = field(default_factory=list)
    """What did not go as it must, in words."""

    async def perform(self, episode: Episode) -> float:
        """Strike, wait, heal, and wait until all go on; how many seconds that last took. Raises `ClusterError`."""
        await self._strike(episode)
        await asyncio.sleep(episode.lasts_s)
        self._heal(episode)
        since = asyncio.get_running_loop().time()
        await self._recovered(episode)
        return asyncio.get_running_loop().time() - since

    async def _strike(self, episode: Episode) -> None:
        match episode.kind:
            case FaultKind.KILL | FaultKind.MANY:
                for org in episode.orgs:
                    self.cluster.kill(org)
            case FaultKind.WIPE:
                for org in episode.orgs:
                    self.cluster.kill(org)
                    wipe(Folder(self.cluster.folder(org)))
            case FaultKind.ROTATE:
                for org in episode.orgs:
                    await self._rotate(org, KEYS[episode.number % len(KEYS)])
            case FaultKind.STOP:
                for org in episode.orgs:
                    self.cluster.pause(org)
            case FaultKind.DISK_FULL:
                await asyncio.gather(*(self._fill(org) for org in episode.orgs))
            case FaultKind.CUT:
                self.wires.cut(*episode.orgs)
            case FaultKind.RESET:
                self.wires.reset(*episode.orgs)
            case FaultKind.SLOW:
                one, other = episode.orgs
                self.wires.slow(one, other, episode.delay_s)
            case FaultKind.ISOLATE:
                for one, other in combinations(self.cluster.orgs, 2):
                    if (one in episode.orgs) != (other in episode.orgs):
                        self.wires.cut(one, other)

    def _heal(self, episode: Episode) -> None:
        match episode.kind:
            case FaultKind.KILL | FaultKind.MANY | FaultKind.WIPE | FaultKind.DISK_FULL:
                for org in episode.orgs:
                    self.cluster.launch(org)
            case FaultKind.STOP:
                for org in episode.orgs:
                    self.cluster.resume(org)
            case _:
                self.wires.heal()

    async def _rotate(self, org: OrgId, key: str) -> None:
        """What its operator would type, while the daemon runs under load."""
        try:
            said = await lepton(self.cluster.folder(org), "keys", "rotate", key)
        except TimeoutError:
            self.trouble.append(f"{org} did not renew its {key} key within {COMMAND_S_MAX:g} s")
            return
        if said.code:
            self.trouble.append(f"{org} could not renew its {key} key: {said.err.strip()}")

    async def _fill(self, org: OrgId) -> None:
        """No file of the daemon can grow any more: it must end by itself, with the exit code of an error."""
        pid = self.cluster.pid(org)
        assert pid is not None, "only running daemons are struck"
        psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GIVES_UP_S_MAX
        while (code := self.cluster.ended(org)) is None:
            if loop.time() > deadline:
                self.trouble.append(f"{org} did not end within {GIVES_UP_S_MAX:g} s of its disk being full")
                self.cluster.kill(org)
                return
            await asyncio.sleep(POLL_S)
        if code != DISK_FULL_CODE:
            self.trouble.append(f"{org} ended with {code} when its disk was full, not with {DISK_FULL_CODE}")

    async def _recovered(self, episode: Episode) -> None:
        """Everybody is linked, and above the height that the highest had when the fault ended."""
        goal = 1 + await self._highest()
        await self.cluster.until(
            lambda statuses: all(
                status["height"] >= goal and all(peer["connected"] for peer in status["peers"])
                for status in statuses.values()
            ),
            f"all members to go on after episode {episode.number} ({episode.kind.value} of {', '.join(episode.orgs)})",
            RECOVERED_S_MAX,
        )

    async def _highest(self) -> int:
        heights = await asyncio.gather(*(self._height(org) for org in self.cluster.orgs))
        return max(heights)

    async def _height(self, org: OrgId) -> int:
        try:
            return int((await self.cluster.statuses([org]))[org]["height"])
        except (ClusterError, OperatorError):
            return 0
