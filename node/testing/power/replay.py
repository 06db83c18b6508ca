"""Loses the power again and again in one recorded life, and holds what is left against what was promised by then."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.testing.power.disk import Disk, write_image
from node.testing.power.journal import Journal, Mark, Sync
from node.testing.power.ledger import check_reopened
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


def crash_points(journal: Journal, chance: random.Random, points: int) -> Iterator[tuple[dict[str, bytes], Facts]]:
    """Disks and what the program was told by then: before and after each sync, and so many drawn between them."""
    events, disk, facts = journal.events, Disk(), Facts()
    drawn = set(chance.sample(range(len(events)), min(points, len(events))))
    for at, event in enumerate(events):
        if isinstance(event, Sync) or at in drawn:
            yield disk.crash(chance), facts
        disk.take(event)
        if isinstance(event, Sync):
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
    for image, facts in crash_points(journal, chance, points):
        write_image(image, folder, again)
        wholly = beyond.total() % WHOLLY_EVERY == 0
        height = await check_reopened(again, chain, facts.promise, wholly=wholly)
        await check_votes(again, life, facts, height)
        beyond[height - max(0, facts.promise.durable)] += 1
    syncs = sum(isinstance(event, Sync) for event in journal.events)
    return Crashes(chain.height, len(journal.events), syncs, beyond.total(), beyond)
