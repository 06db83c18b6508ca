"""Readings of every daemon while it runs, and what they say of memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from node.api import OperatorError
from node.base.types import OrgId
from node.testing.processes import ProcessCluster

EVERY_S = 1.0
WARM_UP_BLOCKS = 5_000
"""Of a daemon's life: until then the database's pages and the verified signatures fill their bounded caches."""
JUDGED_BLOCKS_MIN = 2_000
"""Over fewer blocks the noise of an allocator is as large as a leak would be."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One daemon at one moment."""

    org: OrgId
    pid: int
    at_s: float
    height: int
    memory_mb: float
    open_files: int
    tasks: int
    calls: int


@dataclass(frozen=True, slots=True)
class Slope:
    """How a daemon's resident memory went with its blocks: after warm-up, or over all where it did not come so far."""

    org: OrgId
    pid: int
    blocks: int
    warm: bool
    """Whether these are blocks after warm-up."""
    first_mb: float
    last_mb: float
    mb_per_1000_blocks: float
    """Least squares."""

    @property
    def judged(self) -> bool:
        """Whether there were blocks enough to say anything."""
        return self.warm and self.blocks >= JUDGED_BLOCKS_MIN


@dataclass(slots=True)
class Watch:
    """Takes readings of all members."""

    cluster: ProcessCluster
    samples: list[Sample] = field(default_factory=list)
    latest: dict[OrgId, dict[str, Any]] = field(default_factory=dict)
    """The last status of each member that answered."""

    async def run(self) -> None:
        """For ever."""
        await asyncio.gather(*(self._follow(org) for org in self.cluster.orgs))

    async def _follow(self, org: OrgId) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self.cluster.client(org) as client:
                try:
                    while True:
                        status = await client.status()
                        self.latest[org] = status
                        self.samples.append(sample(status, loop.time()))
                        await asyncio.sleep(EVERY_S)
                except OperatorError:
                    self.latest.pop(org, None)
            await asyncio.sleep(EVERY_S)

    def slopes(self) -> list[Slope]:
        """Of each member the daemon that made the most blocks."""
        found: dict[OrgId, Slope] = {}
        ordered = sorted(self.samples, key=lambda taken: (taken.org, taken.pid, taken.at_s))
        for _, group in groupby(ordered, key=lambda taken: (taken.org, taken.pid)):
            slope = slope_of(list(group))
            if slope is not None and (slope.org not in found or found[slope.org].blocks < slope.blocks):
                found[slope.org] = slope
        return [found[org] for org in sorted(found)]


def sample(status: dict[str, Any], at_s: float) -> Sample:
    """The reading in a status."""
    return Sample(
        org=OrgId(status["org"]),
        pid=status["pid"],
        at_s=at_s,
        height=status["height"],
        memory_mb=status["memory_mb"],
        open_files=status["open_files"],
        tasks=status["tasks"],
        calls=status["calls"],
    )


def slope_of(samples: Sequence[Sample]) -> Slope | None:
    """The linear fit over one daemon's samples, in order; None where no block was made."""
    first = samples[0].height
    warm = [taken for taken in samples if taken.height >= first + WARM_UP_BLOCKS]
    is_warm = len(warm) > 1 and warm[-1].height > warm[0].height
    warm = warm if is_warm else list(samples)
    blocks = warm[-1].height - warm[0].height
    if blocks == 0:
        return None
    mean_x = sum(taken.height for taken in warm) / len(warm)
    mean_y = sum(taken.memory_mb for taken in warm) / len(warm)
    spread = sum((taken.height - mean_x) ** 2 for taken in warm)
    together = sum((taken.height - mean_x) * (taken.memory_mb - mean_y) for taken in warm)
    return Slope(
        org=warm[0].org,
        pid=warm[0].pid,
        blocks=blocks,
        warm=is_warm,
        first_mb=warm[0].memory_mb,
        last_mb=warm[-1].memory_mb,
        mb_per_1000_blocks=round(1_000 * together / spread, 4),
    )
