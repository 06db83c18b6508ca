"""Load through every member's operator socket, and what each submission was told.

A submission that was told "final" must stand in the chain exactly once, for ever. One whose daemon died under it was
told nothing: it may stand there or not.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from node.api import OperatorError
from node.base.codec import encode
from node.base.crypto import digest
from node.base.types import Digest, OrgId
from node.ledger.contracts.sharing import Register
from node.testing.processes import ProcessCluster

SUBMITTERS = 2
"""At each member's socket."""
FINAL_S_MAX = 30.0
AGAIN_S = 0.5
"""After a refusal, or while the daemon is down."""


@dataclass(slots=True)
class Load:
    """Everything that was submitted through the members' sockets."""

    cluster: ProcessCluster
    seed: int
    pause_s: float
    """Between two submissions of one submitter."""
    acknowledged: dict[bytes, int] = field(default_factory=dict)
    """Transaction id -> the height that its member named."""
    unknown: int = 0
    """Told nothing in time, or their daemon went away."""
    refused: Counter[str] = field(default_factory=Counter)
    """Final, and refused by the contract: there must be none."""
    _numbers: Counter[OrgId] = field(default_factory=Counter)
    _tasks: dict[OrgId, list[asyncio.Task[None]]] = field(default_factory=dict)
    _on: set[OrgId] = field(default_factory=set)

    def start(self) -> None:
        """Begin to submit at every member."""
        for org in self.cluster.orgs:
            self.begin(org)

    def begin(self, org: OrgId) -> None:
        """Begin to submit at this member."""
        self._on.add(org)
        self._tasks[org] = [asyncio.create_task(self._submit(org)) for _ in range(SUBMITTERS)]

    async def end(self, org: OrgId) -> None:
        """Submit nothing more at this member, and wait for what is under way there."""
        self._on.discard(org)
        await asyncio.gather(*self._tasks.pop(org))

    async def finish(self) -> None:
        """Submit nothing more, and wait for what is under way."""
        await asyncio.gather(*(self.end(org) for org in list(self._tasks)))

    async def cancel(self) -> None:
        """End at once."""
        tasks = [task for submitters in self._tasks.values() for task in submitters]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _submit(self, org: OrgId) -> None:
        while org in self._on:
            async with self.cluster.client(org) as client:
                with self._counted_as_unknown():
                    while org in self._on:
                        outcome = await client.submit("sharing", "register", self._next(org), wait_s=FINAL_S_MAX)
                        if outcome.final and outcome.accepted:
                            self.acknowledged[outcome.transaction] = outcome.height
                        elif outcome.final:
                            self.refused[outcome.code] += 1
                        else:
                            self.unknown += 1
                        await asyncio.sleep(self.pause_s)
            if org in self._on:
                await asyncio.sleep(AGAIN_S)

    @contextmanager
    def _counted_as_unknown(self) -> Iterator[None]:
        try:
            yield
        except OperatorError:
            self.unknown += 1

    def _next(self, org: OrgId) -> bytes:
        """A registration that nobody made before, also not before the daemon was killed."""
        self._numbers[org] += 1
        name = f"soak-{self.seed}-{self._numbers[org]}"
        return encode(Register(name, Digest(digest("soak", name.encode()))))


async def quietly(task: asyncio.Task[None]) -> None:
    """Cancel and wait."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
