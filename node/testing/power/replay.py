"""Loses the power again and again in one recorded life, and holds what is left against what was promised by then."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.testing.power.disk import Disk, write_image
from node.testing.power.journal import Journal, Mark, Sync
from node.testing.power.ledger import Life, Promise, check_reopened
from node.testing.power.vfs import recording

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


def crash_points(journal: Journal, chance: random.Random, points: int) -> Iterator[tuple[dict[str, bytes], Promise]]:
    """Disks and promises: one before and one after each sync, and so many drawn between them."""
    events, disk, promise = journal.events, Disk(), Promise(-1, 0)
    drawn = set(chance.sample(range(len(events)), min(points, len(events))))
    for at, event in enumerate(events):
        if isinstance(event, Sync) or at in drawn:
            yield disk.crash(chance), promise
        disk.take(event)
        if isinstance(event, Sync):
            yield disk.crash(chance), promise
        if isinstance(event, Mark):
            promise = event.fact
    yield disk.crash(chance), promise


async def lose_power(scratch: Path, seed: int, blocks: int, points: int) -> Crashes:
    """Record a life of so many blocks below `scratch`, and crash it. Raises what `check_reopened` raises."""
    chance, journal = random.Random(seed), Journal()
    folder, again = scratch / "recorded", scratch / "reopened"
    folder.mkdir()
    again.mkdir()
    life = Life(folder, journal, chance)
    with recording(folder, journal):
        await life.live(blocks)
    beyond: Counter[int] = Counter()
    for image, promise in crash_points(journal, chance, points):
        write_image(image, folder, again)
        wholly = beyond.total() % WHOLLY_EVERY == 0
        beyond[await check_reopened(again, life.chain, promise, wholly=wholly) - max(0, promise.durable)] += 1
    syncs = sum(isinstance(event, Sync) for event in journal.events)
    return Crashes(life.chain.height, len(journal.events), syncs, beyond.total(), beyond)
