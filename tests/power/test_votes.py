"""The vote log after a power loss at any moment: no vote that may have been sent is forgotten."""

import random
from pathlib import Path

import pytest

from node.base.ports import Silence
from node.base.types import Height
from node.edge.storage.errors import StoreError
from node.testing.power import Disk, Journal, recording, write_image
from node.testing.power.journal import Mark, Sync
from node.testing.power.ledger import check_reopened
from node.testing.power.votes import Facts, VotingLife, check_votes


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def recorded_life(folder: Path, journal: Journal, turns: int) -> VotingLife:
    life = VotingLife(made(folder), journal, random.Random(1))
    with recording(folder, journal):
        await life.live(turns)
    return life


async def test_a_log_that_forgot_to_sync_would_be_found_out(recorded: Path) -> None:
    """The same life without the vote log's syncs forgets votes: the replay can fail."""
    journal, again = Journal(), made(recorded / "again")
    life = await recorded_life(recorded / "life", journal, 30)
    chance, disk, facts, lost = random.Random(1), Disk(), Facts(), 0
    for event in journal.events:
        if not (isinstance(event, Sync) and event.path.endswith("votes")):
            disk.take(event)
        if isinstance(event, Mark):
            facts.take(event)
            write_image(disk.crash(chance), recorded / "life", again)
            try:
                height = await check_reopened(again, life.ledger.chain, facts.promise, wholly=False)
                await check_votes(again, life, facts, height)
            except (AssertionError, StoreError):
                lost += 1

    assert lost > 5


async def full_at(folder: Path, change: int) -> tuple[VotingLife, Facts, bool]:
    """A life whose disk refuses everything from one change on; whether it ended before that came."""
    journal = Journal(refuse_from=change)
    life = VotingLife(made(folder), journal, random.Random(5))
    whole = True
    with recording(folder, journal):
        try:
            await life.open()
            await life.agree()
            await life.sign(Height(life.ledger.chain.height + 1))
        except OSError:
            # A bare one from the log's first making, which is the founding's matter: nothing was signed yet.
            whole = False
        journal.refuse_from = None
        await life.close()
    facts = Facts()
    for event in journal.events:
        if isinstance(event, Mark):
            facts.take(event)
    return life, facts, whole


async def test_a_disk_that_is_full_at_any_change_forgets_no_vote(recorded: Path) -> None:
    at, whole = 0, False
    while not whole:
        folder = recorded / f"full-{at}"
        life, facts, whole = await full_at(folder, at)
        height = await check_reopened(folder, life.ledger.chain, facts.promise, wholly=True)
        await check_votes(folder, life, facts, height)
        at += 1

    assert at > 30


@pytest.mark.parametrize("refused", range(4))
async def test_a_log_that_could_not_be_written_anew_takes_no_more_votes(recorded: Path, refused: int) -> None:
    """It may have its new name already; what went to the old file could be lost."""
    journal = Journal()
    with recording(recorded, journal):
        life = VotingLife(recorded, journal, random.Random(0))
        await life.open()
        await life.sign(Height(1))
        journal.refuse_from = journal.changes + refused
        with pytest.raises(StoreError):
            await life._log.keep_silent(Silence(until=Height(1)))
        journal.refuse_from = None
        with pytest.raises(StoreError, match="restart"):
            await life.sign(Height(1))
        await life.close()
        facts = Facts()
        for event in journal.events:
            if isinstance(event, Mark):
                facts.take(event)
        await check_votes(recorded, life, facts, 0)
