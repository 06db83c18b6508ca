"""The members' operators at their command lines, and what they decide together by motions."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.api import OperatorError
from node.base.types import OrgId
from node.testing.processes import ClusterError, ProcessCluster

COMMAND_S_MAX = 90.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


async def lepton(folder: Path, *words: str, timeout_s: float = COMMAND_S_MAX) -> Said:
    """Run one command for the member's folder. Raises `TimeoutError`; the command has ended then, too."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "node.cli", "--dir", str(folder), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Said(process.returncode or 0, out.decode(), err.decode())


class Operators:
    """Decide who belongs to the network of these daemons."""

    def __init__(self, cluster: ProcessCluster) -> None:
        self._cluster = cluster

    async def type(self, org: str, *words: str) -> str:
        """A command that must succeed; what it printed. Raises `ClusterError`."""
        try:
            said = await lepton(self._cluster.folder(org), *words)
        except TimeoutError as error:
            raise ClusterError(f"{org}: lepton {' '.join(words)} took more than {COMMAND_S_MAX:g} s") from error
        if said.code:
            raise ClusterError(f"{org}: lepton {' '.join(words)} ended with {said.code}: {said.err.strip()}")
        return said.out

    async def decide(self, *motion: str) -> None:
        """One operator opens the motion, the others support it by its id until it has passed."""
        first, *others = voters(await self.seen(self._cluster.orgs[0]))
        await self.type(first, "network", *motion)
        for org in others:
            found = json.loads(await self.type(org, "network", "motions", "--json"))
            if not found:
                return
            await self.type(org, "network", "support", found[0]["id"][:12])

    async def seen(self, org: str) -> dict[str, Any]:
        """What the member's ledger says of the members. Raises `OperatorError`."""
        async with self._cluster.client(org) as client:
            found: dict[str, Any] = await client.read("membership")
            return found

    async def until(self, org: str, state: str, timeout_s: float) -> None:
        """Poll the first member until it has `org` in this state. Raises `ClusterError` after `timeout_s`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while (found := await self._state(org)) != state:
            if asyncio.get_running_loop().time() > deadline:
                raise ClusterError(f"waited {timeout_s:.0f} s for {org} to be {state}; it is {found}")
            await asyncio.sleep(POLL_S)

    async def _state(self, org: str) -> str | None:
        try:
            members = (await self.seen(self._cluster.orgs[0]))["members"]
        except OperatorError:
            return None
        return next((str(member["state"]) for member in members if member["org"] == org), None)


def voters(seen: dict[str, Any]) -> list[OrgId]:
    """Who votes now."""
    return [OrgId(member["org"]) for member in seen["members"] if member["votes"]]
