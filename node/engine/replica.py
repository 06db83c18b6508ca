"""One member's replica of the ledger: consensus, mempool, gossip and ledger as one synchronous, deterministic step.

Here stands its life: heights that begin and end, links, halts, silence, and what one input sets going. The layers below
tell messages apart (`receiving`), perform what the parts ask for (`performing`), make and execute blocks (`blocks`) and
hold the parts (`parts`). The same class runs in the daemon, in N-member tests and in the simulation.
"""

from typing import assert_never

from node.base.ports import Silence
from node.base.types import Height, Instant, OrgId, earliest
from node.core import consensus, gossip, mempool
from node.engine.receiving import Receiving
from node.engine.replica_io import (
    Admitted,
    AppendVotes,
    CommitBlock,
    Committed,
    Effect,
    EndSilence,
    HaltAt,
    HeardFrom,
    HoldBlocks,
    Input,
    KeepSilent,
    LinkChanged,
    PeerFault,
    PeerSent,
    Pruned,
    Rebased,
    Refused,
    ReportEvidence,
    Send,
    Started,
    Submitted,
    SyncBlocks,
    Tick,
)
from node.engine.writing import written_together

__all__ = [
    "Admitted",
    "AppendVotes",
    "CommitBlock",
    "Committed",
    "Effect",
    "EndSilence",
    "HaltAt",
    "HeardFrom",
    "HoldBlocks",
    "Input",
    "KeepSilent",
    "LinkChanged",
    "PeerFault",
    "PeerSent",
    "Pruned",
    "Rebased",
    "Refused",
    "Replica",
    "ReportEvidence",
    "Send",
    "Started",
    "Submitted",
    "SyncBlocks",
    "Tick",
]

LISTEN_MS = 250
"""With nothing to put into a block, a proposer waits so long after a link came up: the peer now says what waits."""


class Replica(Receiving):
    """Give it `Started` first; perform the effects of each step in order."""

    @property
    def wake_at(self) -> int | None:
        """When a `Tick` is due, in `mono_ms`."""
        told = self._work_told or self.is_halted
        work = None if told else earliest(self._heartbeat_at_ms, self._mempool.due_at)
        held = None if self._held is None else self._listen_until_ms
        of_parts = earliest(
            self._consensus.wake_at,
            self._gossip.wake_at,
            self._mempool.wake_at,
            self._restraint.wake_at,
            self._reports.wake_at,
        )
        return earliest(work, held, of_parts)

    def step(self, input: Input, *, now: Instant) -> list[Effect]:
        """Take one input; returns what must happen, in this order. After `CommitBlock` only `Committed` may follow."""
        assert (self._committing is None) != isinstance(input, Committed), "Committed follows CommitBlock, and only it"
        self._now = now
        self._state.forget()
        self._effects = []
        match input:
            case Started():
                self._start()
            case PeerSent(peer, message):
                self._receive(peer, message)
            case LinkChanged(peer, up):
                self._link(peer, up)
            case Submitted(transactions):
                self._queue.extend(mempool.Submitted(transaction) for transaction in transactions)
            case Committed(height):
                self._committed(height)
            case HoldBlocks(active):
                self._queue.append(gossip.Held(active))
            case Rebased():
                self._state.replaced()
                self._rebase()
            case Pruned():
                # Without another block nobody would hear of it, and who is behind would ask for what is gone.
                self._head.look_at_base()
                self._queue.append(gossip.Advanced(self._head.height, self._head.digest, self._head.base))
            case Tick():
                self._tick()
            case HaltAt(height):
                self._halt(height)
            case EndSilence():
                if self.recovery_refusal is None:
                    self._fall_silent(Silence(Height(self.height + 1), recovered_at=self.height))
            case _:
                assert_never(input)
        self._drain()
        if self._committing is None and self._unsynced:
            # The fetched row ended before its last block: what is there must be durable before anything is signed.
            self._effects.append(SyncBlocks())
            self._begin_height()
            self._drain()
        if self._committing is None and not self._work_told and not self.is_halted and self._has_work():
            self._work_told = True
            self._queue.append(consensus.WorkAvailable())
            self._drain()
        return written_together(self._effects)

    # Life

    def _start(self) -> None:
        since_ms = max(0, self._now.wall_ms - self._head.time_ms)
        heartbeat_ms = self._head.parameters.heartbeat_ms
        self._heartbeat_at_ms = self._now.mono_ms + max(0, heartbeat_ms - since_ms)
        self._begin_height()

    def _rebase(self) -> None:
        """Begin after another block; what waits is held against the state that it comes into."""
        last = self._chain.block(self._chain.height())
        assert last is not None, "a chain has the block of its own height"
        self._head.advance(last)
        self._work_told = False
        self._held = None
        self._assembly.drop()
        self._queue.append(gossip.Wanted((), ()))
        waiting = tuple(self._mempool.candidates())
        self._mempool = self._make_mempool()
        self._begin_height()
        self._queue.extend(mempool.Submitted(transaction) for transaction in waiting)

    def _begin_height(self) -> None:
        head = self._head
        self._unsynced = False
        if not self.is_halted:
            self._queue.append(consensus.StartHeight(Height(head.height + 1), head.members, head.digest, head.time_ms))
            if self._vote_log:
                self._queue.append(consensus.Restored(self._vote_log))
                self._vote_log = ()
        else:
            # No height begins, and the last may have come by catch-up or a snapshot: it must not be decided again, and
            # nothing more is signed there.
            self._queue.append(consensus.Overtaken())
        self._queue.append(gossip.Advanced(head.height, head.digest, head.base))
        self._search(consensus.Advanced(head.height))

    def _link(self, peer: OrgId, up: bool) -> None:
        self._queue.append(gossip.Linked(peer, up))
        self._search(consensus.Linked(peer, up))
        if up:
            self._listen_until_ms = self._now.mono_ms + LISTEN_MS
            self._queue.append(consensus.PeerLinked(peer))

    def _halt(self, height: Height | None) -> None:
        """Raise, lower or end the halt. Never into a height that is being agreed on: its votes are given."""
        if height is not None and height < self._head.height + (not self.is_halted):
            return
        was_halted = self.is_halted
        self._restraint.halt_at = height
        if was_halted and not self.is_halted:
            self._work_told = False
            # What was fetched meanwhile goes first: nothing is signed beside a row of blocks that is not safe yet.
            self._queue.append(gossip.Advanced(self._head.height, self._head.digest, self._head.base))
            self._drain()
            if self._committing is None:
                self._begin_height()

    def _committed(self, height: Height) -> None:
        commit, self._committing = self._committing, None
        assert commit is not None, "asserted by step"
        certified, block = commit.certified, commit.certified.block
        assert height == block.header.height, "the block that was handed out is the one on disk"
        self._state.committed(commit.writes)
        before = self._head.keys
        self._head.advance(certified)
        self._pace.decided(certified.certificate.round, len(block.transactions))
        after = self._head.keys
        # Also who lost its right to sign: what it left behind is no work that a block could do.
        rekeyed = frozenset(org for org in {*before, *after} if before.get(org) != after.get(org))
        self._heartbeat_at_ms = self._now.mono_ms + self._head.parameters.heartbeat_ms
        self._work_told = False
        self._held = None
        self._assembly.drop()
        self._report()
        self._queue.append(gossip.Wanted((), ()))
        self._queue.append(mempool.Committed(block.transactions, block.header.time_ms, rekeyed))
        if commit.durable:
            self._begin_height()
        else:
            self._unsynced = True
            self._queue.append(consensus.Overtaken())
            self._queue.append(gossip.Advanced(height, block.digest, self._head.base))

    def _tick(self) -> None:
        now_ms = self._now.mono_ms
        if _is_due(self._consensus.wake_at, now_ms):
            self._queue.append(consensus.Tick())
        if _is_due(self._gossip.wake_at, now_ms):
            self._queue.append(gossip.Tick())
        if _is_due(self._mempool.wake_at, now_ms):
            self._queue.append(mempool.Tick())
        if _is_due(self._restraint.wake_at, now_ms):
            self._search(consensus.AskAgain())
        if _is_due(self._reports.wake_at, now_ms):
            self._report()

    def _report(self) -> None:
        self._effects.extend(ReportEvidence(*proof) for proof in self._reports.take_due(self._now))

    def _has_work(self) -> bool:
        # A change of members must not wait for somebody's transaction (quorum#796, besu#8425).
        due_at = earliest(self._heartbeat_at_ms, self._mempool.due_at)
        return self._head.changes_wait or _is_due(due_at, self._now.mono_ms)


def _is_due(moment_ms: int | None, now_ms: int) -> bool:
    return moment_ms is not None and moment_ms <= now_ms
