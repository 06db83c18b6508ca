"""One simulated member: a replica, its disk, its clocks, and its crashes between any two effects."""

from collections import deque
from collections.abc import Callable
from random import Random

from node.base.types import Instant, OrgId, Tip
from node.engine.replica import (
    AppendVotes,
    CommitBlock,
    Committed,
    Effect,
    Input,
    PeerFault,
    Replica,
    Send,
    Started,
    SyncBlocks,
    Tick,
)
from node.testing.signing import HeldSigners
from node.testing.simulation.checkers import Checkers, require
from node.testing.simulation.disk import Disk
from node.testing.simulation.founding import START_MS, Founded

TICKS_AT_ONCE_MAX = 20
"""A replica that wants to be woken again and again at the same moment is broken."""


class Crashed(Exception):
    """The member dies at this effect."""


class Member:
    """Feeds the replica and performs its effects in order, as the engine does."""

    def __init__(
        self, org: OrgId, founded: Founded, checkers: Checkers, rng: Random, send: Callable[[OrgId, OrgId, bytes], None]
    ) -> None:
        self.org = org
        self.disk = Disk(founded.genesis)
        self.replica: Replica | None = None
        self.skew_ms = 0
        self.crash_chance = 0.0
        self.crash_at_effect: int | None = None
        self.effects_done = 0
        self.faults_seen: list[PeerFault] = []
        self.starts = 0
        self._mono_start_ms = 0
        self._founded = founded
        self._checkers = checkers
        self._rng = rng
        self._send = send

    @property
    def is_up(self) -> bool:
        """Whether the member runs."""
        return self.replica is not None

    @property
    def tip(self) -> Tip:
        """What is on disk."""
        last = self.disk.block(self.disk.height())
        return Tip(self.disk.height(), self._founded.chain if last is None else last.block.digest)

    def wake_at(self) -> int | None:
        """When the replica wants a tick, in simulated time."""
        if self.replica is None or self.replica.wake_at is None:
            return None
        return self.replica.wake_at + self._mono_start_ms

    def start(self, time_ms: int) -> bool:
        """Start from what is on disk; False if it crashed at once."""
        assert self.replica is None, "it runs already"
        self.starts += 1
        # The monotonic clock begins anew with each start of the machine.
        self._mono_start_ms = time_ms - self._rng.randint(0, 10_000)
        self.replica = Replica(
            org=self.org,
            genesis=self._founded.genesis,
            keyring=HeldSigners((self._founded.signers[self.org],)),
            verify=self._founded.verify,
            state=self.disk.state,
            chain=self.disk,
            vote_log=list(self.disk.votes),
        )
        return self.feed(Started(), time_ms)

    def stop(self) -> None:
        """The power goes."""
        self.replica = None
        self.disk.crash(self._rng)

    def tick(self, time_ms: int) -> bool:
        """Give ticks until the replica wants the next one later; False if it crashed."""
        for _ in range(TICKS_AT_ONCE_MAX):
            wake_at = self.wake_at()
            if wake_at is None or wake_at > time_ms:
                return True
            if not self.feed(Tick(), time_ms):
                return False
        require(False, f"{self.org} wants a tick again and again at the same moment")
        return False

    def feed(self, input: Input, time_ms: int) -> bool:
        """One input and all that follows from it; False if the member crashed on the way."""
        assert self.replica is not None, "it does not run"
        now = Instant(time_ms - self._mono_start_ms, START_MS + time_ms + self.skew_ms)
        inputs = deque([input])
        try:
            while inputs:
                for effect in self.replica.step(inputs.popleft(), now=now):
                    self._maybe_crash(effect)
                    inputs.extend(self._perform(effect))
        except Crashed:
            self.stop()
            return False
        return True

    def _maybe_crash(self, effect: Effect) -> None:
        self.effects_done += 1
        if self.crash_at_effect != self.effects_done and not (
            self.crash_chance and self._rng.random() < self.crash_chance
        ):
            return
        if isinstance(effect, AppendVotes):
            # The crash comes in the middle of the write: some of the entries are there.
            self._append(effect.entries[: self._rng.randint(0, len(effect.entries))])
        elif isinstance(effect, CommitBlock) and self._rng.random() < 0.5:
            self._commit(effect)
        raise Crashed

    def _perform(self, effect: Effect) -> list[Committed]:
        match effect:
            case AppendVotes(entries):
                self._append(entries)
            case Send(peer, message):
                self._checkers.sent(self.org, message)
                self._send(self.org, peer, message)
            case CommitBlock():
                self._commit(effect)
                if effect.durable:
                    self.disk.forget()
                return [Committed(effect.certified.block.header.height)]
            case SyncBlocks():
                self.disk.sync()
            case PeerFault():
                self.faults_seen.append(effect)
            case _:
                pass
        return []

    def _append(self, entries: tuple[bytes, ...]) -> None:
        require(self.disk.is_synced, f"{self.org} signs on a block that a loss of power could take")
        self.disk.append(entries)
        for entry in entries:
            self._checkers.persisted(self.org, entry)

    def _commit(self, effect: CommitBlock) -> None:
        self.disk.commit(effect.certified, effect.receipts, effect.writes, durable=effect.durable)
        self._checkers.committed(self.org, effect.certified, self.disk)
