"""One simulated member: a replica, its disk, its clocks, its crashes between any two effects.

Works as the engine does: one input at a time, its effects in order, each performed before the next; while the disk
works, inputs wait. A tick that is due goes before what waits, and votes go before the rest.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from node.base.types import Digest, Height, Instant, OrgId, Statement, Tip
from node.engine.replica import (
    AppendVotes,
    CommitBlock,
    Committed,
    Effect,
    Input,
    KeepSilent,
    PeerFault,
    PeerSent,
    Replica,
    ReportEvidence,
    Send,
    Started,
    SyncBlocks,
    Tick,
)
from node.testing.signing import HeldSigners
from node.testing.simulation.checkers import Checkers, require
from node.testing.simulation.disk import Disk
from node.testing.simulation.founding import START_MS, Founded
from node.testing.simulation.labels import BEGIN, END, name_effect, name_message
from node.testing.simulation.reading import SharedReader

TICKS_AT_ONCE_MAX = 20
"""A replica that wants to be woken again and again at the same moment is broken."""
_URGENT = frozenset({"Prepare", "Commit", "RoundChange"})


class Surroundings(Protocol):
    """What a member's run needs of the world around it."""

    @property
    def time_ms(self) -> int:
        """Simulated time."""
        ...

    read: SharedReader

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something after so many ms."""
        ...

    def send(self, slot: OrgId, receiver: OrgId, message: bytes) -> None:
        """A message leaves the member that stands at `slot`."""
        ...

    def settled(self, slot: OrgId) -> None:
        """The member has done what it can do now."""
        ...

    def report(self, slot: OrgId, first: Statement, second: Statement) -> None:
        """The member wants this evidence on the ledger."""
        ...

    def crashed(self, slot: OrgId, done: str, next_: str) -> None:
        """The member died between these two effects."""
        ...


@dataclass(slots=True)
class Crashes:
    """When a member crashes by itself."""

    chance: float = 0.0
    """Per effect."""
    at_effect: int | None = None
    """Before the effect with this number, counted over all starts."""
    between: tuple[str, str] | None = None
    """Between two effects of these names..."""
    after_times: int = 0
    """...when they have followed each other so often before; then no more."""


class Member:
    """Feeds the replica and performs its effects."""

    def __init__(
        self, slot: OrgId, org: OrgId, founded: Founded, checkers: Checkers, rng: Random, around: Surroundings
    ) -> None:
        """`slot` is where it stands in the simulation: twins share an organisation, not a slot."""
        self.slot = slot
        self.org = org
        self.disk = Disk(founded.genesis)
        self.replica: Replica | None = None
        self._skews_ms = [0]
        self.disk_ms = 0
        """How long a write takes."""
        self.crashes = Crashes()
        self.effects_done = 0
        self.faults_seen: list[PeerFault] = []
        self.starts = 0
        self.halt_at: Height | None = None
        """What the operator wrote into the folder, read at the start."""
        self._mono_start_ms = 0
        self._wake_at: int | None = None
        self._founded = founded
        self._checkers = checkers
        self._rng = rng
        self._around = around
        self._inbox: deque[Input] = deque()
        self._urgent: deque[Input] = deque()
        self._effects: deque[Effect] = deque()
        self._committed: Committed | None = None
        self._done = END
        self._busy = False
        self._ticks = (0, 0)

    @property
    def is_up(self) -> bool:
        """Whether the member runs."""
        return self.replica is not None

    @property
    def tip(self) -> Tip:
        """What is on disk."""
        last = self.disk.block(self.disk.height())
        return Tip(self.disk.height(), self._founded.chain if last is None else last.block.digest)

    @property
    def skew_ms(self) -> int:
        """How wrong its clock is; it may be set at any time."""
        return self._skews_ms[-1]

    @skew_ms.setter
    def skew_ms(self, skew_ms: int) -> None:
        self._skews_ms.append(skew_ms)

    @property
    def wall_ms(self) -> int:
        """What the member's clock shows."""
        return START_MS + self._around.time_ms + self.skew_ms

    @property
    def walls_ms(self) -> tuple[int, int]:
        """What the clock would show now by the least and the greatest of its errors so far."""
        true_ms = START_MS + self._around.time_ms
        return true_ms + min(self._skews_ms), true_ms + max(self._skews_ms)

    def wake_at(self) -> int | None:
        """When the replica wants a tick, in simulated time; None also while its disk works."""
        if self.replica is None or self._busy or self._wake_at is None:
            return None
        return self._wake_at + self._mono_start_ms

    def start(self) -> None:
        """Start from what is on disk."""
        assert self.replica is None, "it runs already"
        self.starts += 1
        # The monotonic clock begins anew with each start of the machine.
        self._mono_start_ms = self._around.time_ms - self._rng.randint(0, 10_000)
        self.replica = Replica(
            org=self.org,
            genesis=self._founded.genesis,
            keyring=HeldSigners((self._founded.signers[self.org], self._founded.next_signers[self.org])),
            verify=self._founded.verify,
            state=self.disk.state,
            chain=self.disk,
            vote_log=list(self.disk.votes),
            silence=self.disk.silence,
            nonce=Digest(self._rng.randbytes(32)),
            halt_at=self.halt_at,
            read=self._around.read,
        )
        self.feed(Started())

    def stop(self) -> None:
        """The power goes, between two inputs or in the middle of a write."""
        if self._busy:
            self._tear(self._effects[0])
        self._die(name_effect(self._effects[0]) or END if self._effects else END)

    def feed(self, input: Input) -> None:
        """One input, and all that follows from it, as far as the disk is fast enough. Nothing where it is down."""
        if self.replica is None:
            return
        urgent = isinstance(input, PeerSent) and name_message(input.message) in _URGENT
        (self._urgent if urgent else self._inbox).append(input)
        self.go_on()

    def go_on(self) -> None:
        """Take the inputs that wait and the ticks that are due."""
        if self._busy:
            return
        while self.replica is not None and not self._busy:
            if self._effects:
                self._next_effect()
                continue
            input = self._next_input()
            if input is None:
                self._around.settled(self.slot)
                return
            now_ms = self._around.time_ms
            now = Instant(now_ms - self._mono_start_ms, self.wall_ms)
            self._done = BEGIN
            self._effects.extend(self.replica.step(input, now=now))
            self._wake_at = self.replica.wake_at
            self._checkers.stepped(self.org, self.replica)

    # Inputs

    def _next_input(self) -> Input | None:
        if self._committed is not None:
            committed, self._committed = self._committed, None
            return committed
        wake_at, now_ms = self.wake_at(), self._around.time_ms
        starting = bool(self._inbox) and isinstance(self._inbox[0], Started)
        if wake_at is not None and wake_at <= now_ms and not starting:
            self._count_tick(now_ms)
            return Tick()
        if self._urgent and not starting:
            return self._urgent.popleft()
        return self._inbox.popleft() if self._inbox else None

    def _count_tick(self, now_ms: int) -> None:
        at_ms, count = self._ticks
        self._ticks = (now_ms, count + 1 if at_ms == now_ms else 1)
        require(self._ticks[1] <= TICKS_AT_ONCE_MAX, f"{self.org} wants a tick again and again at the same moment")

    # Effects

    def _next_effect(self) -> None:
        effect = self._effects[0]
        name = name_effect(effect)
        if name is not None and self._crashes_before(name):
            if self._rng.random() < 0.5:
                self._tear(effect)
            self._die(name)
        elif self.disk_ms and isinstance(effect, AppendVotes | KeepSilent | CommitBlock | SyncBlocks):
            self._busy = True
            starts = self.starts
            self._around.at(self._rng.randint(1, self.disk_ms), lambda: self._written(starts))
        else:
            self._effects.popleft()
            self._perform(effect, name)

    def _written(self, starts: int) -> None:
        """The disk has done the effect in front, if the member still lives as it did."""
        if self.replica is None or self.starts != starts:
            return
        self._busy = False
        effect = self._effects.popleft()
        self._perform(effect, name_effect(effect))
        self.go_on()

    def _perform(self, effect: Effect, name: str | None) -> None:
        self.effects_done += 1
        self._done = name or self._done
        match effect:
            case AppendVotes(height, entries):
                self._append(height, entries)
            case KeepSilent(silence):
                self.disk.keep_silent(silence)
            case ReportEvidence(first, second):
                self._around.report(self.slot, first, second)
            case Send(peer, message):
                self._checkers.sent(self.org, message)
                self._around.send(self.slot, peer, message)
            case CommitBlock():
                self._commit(effect)
                self._committed = Committed(effect.certified.block.header.height)
            case SyncBlocks():
                self.disk.sync()
            case PeerFault():
                self.faults_seen.append(effect)
                self._checkers.accused(self.org, effect)
            case _:
                pass
        if not self._effects and self._committed is None and self._crashes_before(END):
            self._die(END)

    def _append(self, height: Height, entries: tuple[bytes, ...]) -> None:
        require(self.disk.is_synced, f"{self.org} signs on a block that a loss of power could take")
        self.disk.append(height, entries)
        for entry in entries:
            self._checkers.persisted(self.org, entry, self.walls_ms)

    def _commit(self, effect: CommitBlock) -> None:
        height = effect.certified.block.header.height
        require(self.halt_at is None or height <= self.halt_at, f"{self.org} halts at {self.halt_at}, commits {height}")
        self.disk.commit(effect.certified, effect.receipts, effect.writes, durable=effect.durable)
        self._checkers.committed(self.org, effect.certified, effect.receipts, self.disk)

    # Crashes

    def _crashes_before(self, name: str) -> bool:
        crashes = self.crashes
        if crashes.between == (self._done, name):
            crashes.after_times -= 1
            if crashes.after_times < 0:
                crashes.between = None
                return True
        if name == END:
            return False
        if crashes.at_effect is not None and self.effects_done + 1 >= crashes.at_effect:
            crashes.at_effect = None
            return True
        return crashes.chance > 0 and self._rng.random() < crashes.chance

    def _tear(self, effect: Effect) -> None:
        """The crash comes in the middle of the write: some of it is there."""
        if isinstance(effect, AppendVotes):
            self._append(effect.height, effect.entries[: self._rng.randint(0, len(effect.entries))])
            self._checkers.coverage.note("torn vote log")
        elif isinstance(effect, CommitBlock) and self._rng.random() < 0.5:
            self._commit(effect)
        elif isinstance(effect, KeepSilent) and self._rng.random() < 0.5:
            self.disk.keep_silent(effect.silence)

    def _die(self, next_: str) -> None:
        self.replica = None
        self._wake_at = None
        self._effects.clear()
        self._inbox.clear()
        self._urgent.clear()
        self._committed = None
        self._busy = False
        if self.disk.crash(self._rng):
            self._checkers.coverage.note("lost unsynced write")
        done, self._done = self._done, END
        self._around.crashed(self.slot, done, next_)
