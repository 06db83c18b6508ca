"""An engine's whole folder after a power loss at any moment: blocks, votes, snapshots, and what is signed next."""

import asyncio
import random

import pytest

from node.edge.storage.errors import StoreError
from node.ledger.errors import LedgerError
from node.testing.power import VfsUnavailable
from node.testing.power.facts import EngineFacts
from node.testing.power.journal import Event, Journal, Mark, Rename, Sync
from node.testing.power.replay import EngineRecord, crash_points, record_engine

TURNS = 1
POINTS = 15


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> EngineRecord:
    try:
        return asyncio.run(record_engine(tmp_path_factory.mktemp("life"), random.Random(4), TURNS))
    except VfsUnavailable as error:
        pytest.skip(str(error))


async def broken(record: EngineRecord, events: list[Event], again) -> int:
    """How many crashes of this journal break a promise."""
    found = 0
    for image, facts in crash_points(Journal(events), random.Random(1), POINTS, EngineFacts(), at_syncs=0.15):
        try:
            await record.check(image, facts, again, wholly=False)
        except (AssertionError, StoreError, LedgerError):
            found += 1
    return found


async def test_nothing_that_was_sent_or_acknowledged_is_lost(record, tmp_path):
    events = record.journal.events

    assert await broken(record, events, tmp_path / "again") == 0

    sent = [event for event in events if isinstance(event, Mark) and type(event.fact).__name__ == "Sent"]
    made = [event for event in events if isinstance(event, Rename) and event.target.rsplit("/", 1)[1].isdigit()]
    assert len(sent) > 20
    assert made


def without(events: list[Event], kind: type, where: str) -> list[Event]:
    """The events but those of this kind there."""
    return [event for event in events if not (isinstance(event, kind) and where in str(event))]


@pytest.mark.parametrize(
    ("kind", "where"),
    [(Sync, "votes.log'"), (Sync, "ledger.sqlite-wal'"), (Sync, "making/chunks'")],
)
async def test_what_is_not_synced_is_found_out(record, tmp_path, kind, where):
    spoilt = without(record.journal.events, kind, where)

    assert len(spoilt) < len(record.journal.events)
    assert await broken(record, spoilt, tmp_path / "again") > 0
