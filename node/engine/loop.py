"""The loop: input, step, effects in order. The only place where the replica's decisions become writes and sends.

One task runs `Engine.run`. Everything else hands it inputs: the transport's callbacks, the operator's calls, the
replica's own `wake_at`. What a block brought is told to `on_commit`, once, after it is on disk. What a peer sends goes
past `Guard` first, and a peer that does not stop doing wrong is cut off.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from node.base.ports import Clock, NewBase, Store, TransactionRecord, Transport, VoteLog
from node.base.types import Digest, Heard, Height, MemberSet, OrgId, Statement, Transaction
from node.engine import guard
from node.engine.inbox import Inbox
from node.engine.replica import (
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
    Replica,
    ReportEvidence,
    Send,
    Started,
    Submitted,
    SyncBlocks,
    Tick,
)
from node.engine.replica_io import OwnInput
from node.ledger.contracts.contract import changed_contracts
from node.ledger.errors import LedgerError

T = TypeVar("T")

INPUTS_PER_TURN = 32
"""Inputs taken before other tasks of the process get their turn."""

AHEAD_BYTES_MIN = 16 << 10
"""An answer with fewer bytes of blocks is checked before another process has begun to."""

OnFetched = Callable[[bytes, MemberSet], None]
"""(a peer's answer to a request for blocks, whose signatures are probably in it); it waits for its turn."""
OnCommit = Callable[[Height, frozenset[str] | None], None]
"""(height, the contracts in whose part of the state something changed; None when all may have)."""
OnHeard = Callable[[OrgId, Heard], None]
OnFault = Callable[[OrgId, str], None]
OnCut = Callable[[guard.Cut], None]
OnEvidence = Callable[[Statement, Statement], None]


class SubmissionRefused(Exception):
    """The mempool did not take a transaction; `code` and the text say why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Engine:
    """Drives one replica against real storage and a real transport."""

    def __init__(
        self,
        replica: Replica,
        store: Store,
        vote_log: VoteLog,
        transport: Transport,
        clock: Clock,
        *,
        on_fetched: OnFetched,
        on_commit: OnCommit,
        on_heard: OnHeard,
        on_fault: OnFault,
        on_cut: OnCut,
        on_evidence: OnEvidence,
    ) -> None:
        self.replica = replica
        self._store = store
        self._vote_log = vote_log
        self._transport = transport
        self._clock = clock
        self._on_fetched = on_fetched
        self._on_commit = on_commit
        self._on_heard = on_heard
        self._on_fault = on_fault
        self._on_cut = on_cut
        self._guard = guard.Guard()
        self._inbox = Inbox()
        self._on_evidence = on_evidence
        self._ready = asyncio.Event()
        self._words: deque[asyncio.Future[None]] = deque()
        self._admission: dict[Digest, list[asyncio.Future[SubmissionRefused | None]]] = {}
        self._finality: dict[Digest, list[asyncio.Future[TransactionRecord]]] = {}
        self._new_base: tuple[NewBase, asyncio.Future[bool]] | None = None

    def peer_sent(self, peer: OrgId, message: bytes) -> None:
        """The transport's `OnMessage`."""
        if not self._guard.admits(peer, message):
            verdict = self._guard.judge(peer, message, self._clock.now().mono_ms)
            self._carry_out(verdict.cut)
            if not verdict.admitted:
                return
        if self._inbox.put(peer, message):
            self._ready.set()
            if len(message) >= AHEAD_BYTES_MIN and guard.kind_of(message) == guard.BLOCKS:
                self._look_ahead(peer, message)

    def _look_ahead(self, peer: OrgId, message: bytes) -> None:
        """Before its turn, which comes when the blocks before are applied."""
        if self.replica.awaits_blocks(peer):
            self._on_fetched(message, self.replica.members)

    def peer_broke(self, peer: OrgId, reason: str) -> None:
        """The peer's stream ended because it broke the protocol of frames; the transport has logged it."""
        now_ms = self._clock.now().mono_ms
        self._carry_out(self._guard.fault(peer, guard.BROKE_PROTOCOL_SCORE, reason, now_ms))

    def blame(self, peer: OrgId, reason: str) -> None:
        """A peer gave on the bulk connection what no correct member gives."""
        self._on_fault(peer, reason)
        self._carry_out(self._guard.fault(peer, guard.FAULT_SCORE, reason, self._clock.now().mono_ms))

    def conduct(self, peer: OrgId) -> guard.Conduct | None:
        """What speaks against the peer since the start; None for nothing."""
        return self._guard.conduct(peer)

    def link_changed(self, peer: OrgId, up: bool) -> None:
        """The transport's `OnLink`."""
        self._put(LinkChanged(peer, up))
        if up:
            self._carry_out(self._guard.linked(peer, self._clock.now().mono_ms))

    async def submit(self, transactions: tuple[Transaction, ...]) -> list[SubmissionRefused | None]:
        """Hand signed transactions to the mempool; of each, why it was not taken, or None."""
        loop = asyncio.get_running_loop()
        waiters: list[asyncio.Future[SubmissionRefused | None]] = [loop.create_future() for _ in transactions]
        for transaction, waiter in zip(transactions, waiters, strict=True):
            self._admission.setdefault(transaction.id, []).append(waiter)
        self._put(Submitted(transactions))
        return await asyncio.gather(*waiters)

    async def tell(self, word: HaltAt | EndSilence) -> None:
        """Give the replica its operator's word; returns when it has followed it."""
        followed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._words.append(followed)
        self._put(word)
        await followed

    async def final(self, id_: Digest) -> TransactionRecord:
        """Wait until the transaction stands in a block. It may never: give this a time-out."""
        record = self._store.chain.transaction(id_)
        if record is not None:
            return record
        included: asyncio.Future[TransactionRecord] = asyncio.get_running_loop().create_future()
        waiters = self._finality.setdefault(id_, [])
        waiters.append(included)
        try:
            return await included
        finally:
            waiters.remove(included)
            if not waiters:
                self._finality.pop(id_, None)

    def hold_blocks(self, active: bool) -> None:
        """Fetch no blocks now, or go on fetching them."""
        self._put(HoldBlocks(active))

    def pruned(self) -> None:
        """The store keeps fewer blocks whole now."""
        self._put(Pruned())

    async def rebase(self, base: NewBase) -> bool:
        """Go on from this block and state, between two blocks. Raises what `Store.replace` raises.

        False, and nothing is done, when the own chain has come as far meanwhile.
        """
        assert self._new_base is None, "one at a time"
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._new_base = (base, done)
        self._put(Rebased())
        try:
            return await done
        finally:
            self._new_base = None

    async def run(self) -> None:
        """Run until cancelled. Raises `OSError` when the disk refuses a vote or a block: nothing was sent for it."""
        await self._take(Started())
        while True:
            for _ in range(INPUTS_PER_TURN):
                if await self._take(await self._next()):
                    break
            await asyncio.sleep(0)

    def _put(self, item: OwnInput) -> None:
        self._inbox.put_own(item)
        self._ready.set()

    async def _next(self) -> Input:
        while True:
            wake_at = self.replica.wake_at
            now = self._clock.now().mono_ms
            if wake_at is not None and wake_at <= now:
                return Tick()
            if self._inbox:
                return self._inbox.take()
            self._ready.clear()
            alarm = None
            if wake_at is not None:
                alarm = asyncio.get_running_loop().call_later((wake_at - now) / 1000, self._ready.set)
            try:
                await self._ready.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()

    async def _take(self, item: Input) -> bool:
        """Whether something is to be sent: it leaves before the next input is looked at, others wait for it."""
        if isinstance(item, Rebased) and not await self._replace():
            return False
        inputs, sent = deque([item]), False
        while inputs:
            for effect in self.replica.step(inputs.popleft(), now=self._clock.now()):
                if isinstance(effect, PeerFault):
                    self._blame(effect, item)
                    continue
                sent = sent or isinstance(effect, Send)
                committed = await self._perform(effect)
                if committed is not None:
                    inputs.append(committed)
        if isinstance(item, Rebased):
            self._on_commit(self.replica.height, None)
        if isinstance(item, HaltAt | EndSilence):
            _resolve(self._words.popleft(), None)
        return sent

    async def _replace(self) -> bool:
        """Whether the store holds the new base now; who asked for it hears why not."""
        if self._new_base is None:
            return False
        base, done = self._new_base
        replaced = base.certified.block.header.height > self.replica.height
        try:
            if replaced:
                await self._store.replace(base)
        except (OSError, LedgerError) as error:
            if not done.done():
                done.set_exception(error)
            return False
        _resolve(done, replaced)
        return replaced

    def _blame(self, fault: PeerFault, item: Input) -> None:
        passed_on = isinstance(item, PeerSent) and guard.kind_of(item.message) == guard.TRANSACTIONS
        score = guard.PASSED_ON_SCORE if passed_on else guard.FAULT_SCORE
        self._on_fault(fault.peer, fault.reason)
        self._carry_out(self._guard.fault(fault.peer, score, fault.reason, self._clock.now().mono_ms))

    def _carry_out(self, cut: guard.Cut | None) -> None:
        if cut is not None:
            self._inbox.drop(cut.peer)
            self._on_cut(cut)
            self._transport.cut(cut.peer, cut.seconds, cut.reason)

    async def _perform(self, effect: Effect) -> Committed | None:
        match effect:
            case AppendVotes(height, entries):
                await self._vote_log.append(height, entries)
            case KeepSilent(silence):
                await self._vote_log.keep_silent(silence)
            case ReportEvidence(first, second):
                self._on_evidence(first, second)
            case Send(peer, message):
                self._transport.send(peer, message)
            case CommitBlock():
                return await self._commit(effect)
            case SyncBlocks():
                await self._store.sync()
            case HeardFrom(peer, heard):
                self._on_heard(peer, heard)
            case Admitted(id_):
                for waiter in self._admission.pop(id_, []):
                    _resolve(waiter, None)
            case Refused(id_, code, reason):
                for waiter in self._admission.pop(id_, []):
                    _resolve(waiter, SubmissionRefused(code, reason))
        return None

    async def _commit(self, effect: CommitBlock) -> Committed:
        await self._store.commit(effect.certified, effect.receipts, effect.writes, durable=effect.durable)
        height = effect.certified.block.header.height
        if effect.durable:
            await self._vote_log.forget(height)
        for index, receipt in enumerate(effect.receipts):
            for waiter in self._finality.get(receipt.transaction, ()):
                _resolve(waiter, TransactionRecord(height, index, receipt))
        self._on_commit(height, changed_contracts(effect.writes))
        return Committed(height)


def _resolve(waiter: asyncio.Future[T], value: T) -> None:
    if not waiter.done():
        waiter.set_result(value)
