"""The ledger after a power loss at any moment: no acknowledged block is lost, and no half block is there."""

import random
from pathlib import Path

import pytest

from node.edge.storage.errors import StoreError
from node.testing.power import Disk, Journal, lose_power, recording, write_image
from node.testing.power.journal import Mark, Sync, Write
from node.testing.power.ledger import Life, Promise, check_reopened


@pytest.mark.parametrize(("seed", "blocks", "points"), [(1, 15, 30), (2, 15, 30), (3, 40, 5)])
async def test_no_acknowledged_block_is_lost(recorded: Path, seed: int, blocks: int, points: int) -> None:
    crashes = await lose_power(recorded, seed, blocks, points)

    assert crashes.points > points
    assert crashes.blocks > blocks // 2


async def test_a_long_life_moves_the_log_into_the_database(recorded: Path) -> None:
    """Or the crashes above would never hit a checkpoint in the middle."""
    journal, life_folder = Journal(), recorded / "life"
    life_folder.mkdir()
    with recording(life_folder, journal):
        life = Life(life_folder, journal, random.Random(4))
        await life.open()
        while len(journal.events) < 5_000:
            await life.commit(30)
        moved = [event for event in journal.events if isinstance(event, Write) and event.path.endswith(".sqlite")]
        await life.close()

    assert len(moved) > 100


async def test_every_acknowledged_commit_was_synced_and_a_row_once(recorded: Path) -> None:
    journal = Journal()

    def syncs() -> int:
        return sum(isinstance(event, Sync) for event in journal.events)

    with recording(recorded, journal):
        life = Life(recorded, journal, random.Random(0))
        await life.open()
        counts = []
        for durable in (True, False, False, None, True, False, None, None):
            before = syncs()
            await (life.sync() if durable is None else life.commit(1, durable=durable))
            counts.append(syncs() - before)
        await life.close()

    assert counts == [1, 0, 0, 1, 1, 0, 1, 1]


async def test_a_store_that_forgot_to_sync_would_be_found_out(recorded: Path) -> None:
    """The same life without its syncs loses blocks: the replay can fail."""
    journal, again = Journal(), recorded / "again"
    life_folder = recorded / "life"
    life_folder.mkdir()
    again.mkdir()
    with recording(life_folder, journal):
        life = Life(life_folder, journal, random.Random(1))
        await life.live(20)
    unsynced = [event for event in journal.events if not (isinstance(event, Sync) and event.path.endswith("-wal"))]
    disk, lost = Disk(), 0
    chance = random.Random(1)
    for event in unsynced:
        disk.take(event)
        if isinstance(event, Mark) and event.fact.durable == event.fact.begun > 0:
            write_image(disk.crash(chance), life_folder, again)
            try:
                await check_reopened(again, life.chain, event.fact, wholly=False)
            except (AssertionError, StoreError):
                lost += 1

    assert lost > 10


async def test_a_disk_that_is_full_at_any_write_loses_nothing(recorded: Path) -> None:
    """Each change on the disk is refused in turn, and all after it; with room again, the member goes on."""
    at, whole, said = 0, False, set()
    while not whole:
        folder, journal = recorded / f"full-{at}", Journal(refuse_from=at)
        folder.mkdir()
        life = Life(folder, journal, random.Random(0))
        with recording(folder, journal):
            try:
                await life.open()
                await life.commit(3)
                await life.commit(0, durable=False)
                await life.sync()
                whole = True
            except StoreError as error:
                said.add(str(error).rsplit(": ", 1)[1])
                durable = life.durable
            journal.refuse_from = None
            await life.close()
        if not whole:
            height = await check_reopened(folder, life.chain, Promise(durable, life.chain.height), wholly=True)
            assert height <= life.chain.height
        at += 1

    assert at > 40
    assert all("disk" in words or "space" in words for words in said)
