"""A member's vote log beside its ledger, on one recorded disk, and what must be true of both after any crash.

`VotingLife` does with the production's log and store what the engine does: votes are appended before they would be
sent, a block is committed when they made it final, what was signed may then be forgotten. Each acknowledged append goes
into the journal, so that a crash can be held against it: where the ledger ends at H, all that was signed for H + 1 is
still known, or nothing will be signed for it.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from node.base.ports import Silence
from node.base.types import Height
from node.edge.storage import FileVoteLog
from node.testing.power.journal import Journal, Mark
from node.testing.power.ledger import Life, Promise
from node.testing.power.recorder import RecordingFiles

VOTES = "votes"
LONG_BYTES = 300_000
"""Of a prepared block in the log, now and then: a few of them make the log large enough to be written anew."""


@dataclass(frozen=True, slots=True)
class Signed:
    """These entries for the height were acknowledged, and so may have been sent."""

    height: Height
    entries: tuple[bytes, ...]


class VotingLife:
    """A `Life` with a vote log."""

    def __init__(self, folder: Path, journal: Journal, chance: random.Random) -> None:
        self.ledger = Life(folder, journal, chance)
        self._folder = folder
        self._journal = journal
        self._chance = chance
        self._files = RecordingFiles(journal)
        self._log: FileVoteLog | None = None
        self._written = 0

    async def open(self) -> None:
        """Open both, made where there is nothing. Raises `StoreError`."""
        path, chain = self._folder / VOTES, self.ledger.chain.founding.chain
        if not path.exists():
            FileVoteLog.create(path, chain, self._files)
        self._log = FileVoteLog.open(path, chain, self._files)
        await self.ledger.open()

    async def close(self) -> None:
        """Close both."""
        log, self._log = self._log, None
        if log is not None:
            await log.close()
        await self.ledger.close()

    async def agree(self) -> None:
        """One height: two or more appends, the block, and what was signed is forgotten. Raises `StoreError`."""
        assert self._log is not None, "opened"
        height = Height(self.ledger.chain.height + 1)
        for _ in range(self._chance.randrange(1, 4)):
            await self.sign(height)
        await self.ledger.commit(self._chance.choice((0, 1, 8)))
        await self._log.forget(height)

    async def sign(self, height: Height) -> None:
        """One append of one to three entries. Raises `StoreError`."""
        assert self._log is not None, "opened"
        entries = tuple(self._entry() for _ in range(self._chance.randrange(1, 4)))
        await self._log.append(height, entries)
        self._journal.mark(Signed(height, entries))

    async def live(self, heights: int) -> None:
        """So many turns of agreeing, catching up, restarting, and writing the log anew. Raises `StoreError`."""
        await self.open()
        for _ in range(heights):
            match self._chance.choice(("agree", "agree", "agree", "catch up", "restart", "anew")):
                case "agree":
                    await self.agree()
                case "catch up":
                    for _ in range(3):
                        await self.ledger.commit(1, durable=False)
                    await self.ledger.sync()
                case "restart":
                    await self.close()
                    await self.open()
                case "anew":
                    await self.sign(Height(self.ledger.chain.height + 1))
                    assert self._log is not None, "opened"
                    await self._log.keep_silent(Silence(until=Height(self.ledger.chain.height)))
        await self.close()

    def _entry(self) -> bytes:
        self._written += 1
        size = LONG_BYTES if self._chance.random() < 0.1 else self._chance.randrange(1, 400)
        return self._written.to_bytes(8, "big") + bytes(size)


class Facts:
    """What the program was told until a moment of the journal."""

    def __init__(self) -> None:
        self.promise = Promise(-1, 0)
        self.signed: dict[Height, list[bytes]] = {}

    def take(self, mark: Mark) -> None:
        """One more."""
        match mark.fact:
            case Promise() as promise:
                self.promise = promise
            case Signed(height, entries):
                self.signed.setdefault(height, []).extend(entries)


async def check_votes(folder: Path, life: VotingLife, facts: Facts, ledger_height: int) -> None:
    """Open the log that a crash left beside a ledger of this height. Raises `AssertionError`, `StoreError`."""
    height = Height(ledger_height + 1)
    needed = facts.signed.get(height, [])
    assert max(facts.signed, default=0) <= height, f"signed for {max(facts.signed)} above a ledger of {ledger_height}"
    log = FileVoteLog.open(folder / VOTES, life.ledger.chain.founding.chain)
    try:
        silence = log.silence
        if silence is None:
            assert not facts.signed, "the vote log is gone, and something was signed"
            return
        if silence.until > height:
            return
        found = log.entries()
        assert not needed or found[: len(needed)] == needed, (
            f"{len(needed)} entries for height {height} were acknowledged; the log has {len(found)}, not these"
        )
        await log.append(height, [b"the next one"])
    finally:
        await log.close()
