"""Loses the power again and again in one recorded life, and holds what is left against what was promised by then."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from node.base.types import Digest
from node.testing.power.disk import Disk, write_image
from node.testing.power.engine import EngineLife
from node.testing.power.facts import EngineFacts
from node.testing.power.journal import Journal, Mark, Sync
from node.testing.power.ledger import check_reopened
from node.testing.power.reopened import check_folder
from node.testing.power.vfs import recording
from node.testing.power.votes import Facts, VotingLife, check_votes

WHOLLY_EVERY = 10
"""Every so many crashes the chain is executed again from the genesis; after the others only the head is checked."""


@dataclass(frozen=True, slots=True)
class Crashes:
    """What one recorded life was put through."""

    blocks: int
    events: int
    syncs: int
    points: int
    beyond: Counter[int]
    """How many blocks more than promised were found, and how often."""


class Taken(Protocol):
    """What the program was told until a moment of the journal."""

    def take(self, mark: Mark) -> None:
        """One more."""
        ...


F = TypeVar("F", bound=Taken)


def crash_points(
    journal: Journal, chance: random.Random, points: int, facts: F, at_syncs: float = 1.0
) -> Iterator[tuple[dict[str, bytes], F]]:
    """Disks, and in `facts` what the program was told by then: before and after syncs, and so many drawn between them.

    `at_syncs` is how many of the syncs, as a share.
    """
    events, disk = journal.events, Disk()
    drawn = set(chance.sample(range(len(events)), min(points, len(events))))
    for at, event in enumerate(events):
        at_sync = isinstance(event, Sync) and chance.random() < at_syncs
        if at_sync or at in drawn:
            yield disk.crash(chance), facts
        disk.take(event)
        if at_sync:
            yield disk.crash(chance), facts
        if isinstance(event, Mark):
            facts.take(event)
    yield disk.crash(chance), facts


async def lose_power(scratch: Path, seed: int, blocks: int, points: int) -> Crashes:
    """Record a life of so many turns below `scratch`, and crash it. Raises what the checks raise."""
    chance, journal = random.Random(seed), Journal()
    folder, again = scratch / "recorded", scratch / "reopened"
    folder.mkdir()
    again.mkdir()
    life = VotingLife(folder, journal, chance)
    with recording(folder, journal):
        await life.live(blocks)
    chain = life.ledger.chain
    beyond: Counter[int] = Counter()
    for image, facts in crash_points(journal, chance, points, Facts()):
        write_image(image, folder, again)
        wholly = beyond.total() % WHOLLY_EVERY == 0
        height = await check_reopened(again, chain, facts.promise, wholly=wholly)
        await check_votes(again, life, facts, height)
        beyond[height - max(0, facts.promise.durable)] += 1
    return Crashes(chain.height, len(journal.events), _syncs(journal), beyond.total(), beyond)


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """One engine's life on disk."""

    life: EngineLife
    folder: Path
    journal: Journal
    blocks: dict[int, Digest]
    """The network's."""

    async def check(self, image: dict[str, bytes], facts: EngineFacts, again: Path, *, wholly: bool) -> int:
        """Lay the disk of a crash out below `again`, start from it; its height. Raises what `check_folder` does."""
        write_image(image, self.folder, again)
        member = self.life.recorded.org
        return await check_folder(again, self.life.founding, member, self.blocks, facts, wholly=wholly)


async def record_engine(scratch: Path, chance: random.Random, turns: int) -> EngineRecord:
    """An engine's life of so many turns below `scratch`."""
    journal = Journal()
    folder, beside = scratch / "recorded", scratch / "beside"
    folder.mkdir()
    life = EngineLife(folder, beside, journal, chance)
    with recording(folder, journal):
        blocks = await life.live(turns)
    return EngineRecord(life, folder, journal, blocks)


async def lose_engine_power(scratch: Path, seed: int, turns: int, points: int, at_syncs: float = 1.0) -> Crashes:
    """Record an engine's life of so many turns below `scratch`, and crash it. Raises what the checks raise.

    The disk of a crash that fails is left in `scratch/reopened`: that life cannot be had again.
    """
    chance = random.Random(seed)
    record = await record_engine(scratch, chance, turns)
    journal = record.journal
    beyond: Counter[int] = Counter()
    for image, facts in crash_points(journal, chance, points, EngineFacts(), at_syncs):
        wholly = beyond.total() % WHOLLY_EVERY == 0
        height = await record.check(image, facts, scratch / "reopened", wholly=wholly)
        beyond[height - max(0, facts.durable)] += 1
    return Crashes(len(record.blocks), len(journal.events), _syncs(journal), beyond.total(), beyond)


def _syncs(journal: Journal) -> int:
    return sum(isinstance(event, Sync) for event in journal.events)
