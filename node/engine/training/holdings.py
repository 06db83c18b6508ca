"""What this member holds of one training round while it runs, in memory: its own update, inputs, results."""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from node.base.types import Digest, OrgId
from node.core.averaging import AveragingRound, CommittedUpdate, Result, Statement, Work
from node.core.averaging.integers import Int32s
from node.engine.training.shelf import Shelf


class Holdings:
    """Filled by the works of one training round, read by them and by the server."""

    def __init__(self, shelf: Shelf, job: Digest, training_round: int) -> None:
        self.job = job
        self.training_round = training_round
        self.statements: dict[OrgId, Statement] = {}
        self.inputs: dict[tuple[OrgId, int, int], Int32s] = {}
        self.results: dict[tuple[int, int], Result] = {}
        self._shelf = shelf
        self._own: CommittedUpdate | None = None
        self._loading = asyncio.Lock()

    def keep(self, own: CommittedUpdate) -> None:
        """Remember one's own update: it is on disk already."""
        self._own = own

    async def own(self) -> CommittedUpdate | None:
        """One's own update, from disk after a restart; None where this member has none."""
        async with self._loading:
            if self._own is None:
                self._own = await asyncio.to_thread(self._load)
            return self._own

    async def part(self, owner: OrgId, start: int, stop: int, org: OrgId) -> Int32s:
        """The leaves [start, stop) of a contributor; `org` is this member."""
        if owner != org:
            return self.inputs[owner, start, stop]
        own = await self.own()
        if own is None:
            raise FileNotFoundError("this member's own update is no longer on its disk")
        return own.leaves(start, stop)

    def total(self, leaves: int, leaf_values: int) -> Int32s:
        """All ranges' results, one after the other."""
        total = np.empty(leaves * leaf_values, dtype=np.int32)
        for (start, stop), result in self.results.items():
            total[start * leaf_values : stop * leaf_values] = result.values
        return total

    def _load(self) -> CommittedUpdate | None:
        update = self._shelf.update(self.job, self.training_round)
        return None if update is None else CommittedUpdate(update.values, update.seed)


@dataclass(slots=True)
class Running:
    """One training round under way: its machine, what it holds, and the tasks that perform its works."""

    machine: AveragingRound
    holdings: Holdings
    tasks: dict[Work, asyncio.Task[None]] = field(default_factory=dict)
    applied: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once its new model is on this member's disk."""
    moved_ms: int = 0
    """When the last byte or step of it came, on the monotonic clock."""

    @property
    def busy(self) -> bool:
        """Whether any of its works is under way."""
        return any(not task.done() for task in self.tasks.values())
