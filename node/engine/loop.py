"""The loop: input, step, effects in order. The only place where the replica's decisions become writes and sends.

One task runs `Engine.run`. Everything else hands it inputs: the transport's callbacks, the operator's calls, the
replica's own `wake_at`. What a block brought is told to `on_commit`, once, after it is on disk.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import TypeVar, get_args

from node.base.ports import Clock, Store, TransactionRecord, Transport, VoteLog
from node.base.types import Digest, Heard, Height, OrgId, PeerMessage, RoundChange, Transaction, Vote
from node.engine.replica import (
    Admitted,
    AppendVotes,
    CommitBlock,
    Committed,
    Effect,
    HeardFrom,
    Input,
    LinkChanged,
    PeerFault,
    PeerSent,
    Refused,
    Replica,
    Send,
    Started,
    Submitted,
    SyncBlocks,
    Tick,
)

T = TypeVar("T")

INBOX_PER_PEER_MAX = 4_096
"""Messages of one peer that wait; more are dropped, and the peer's own retries bring them again."""
_VOTES = tuple(bytes((get_args(PeerMessage).index(kind),)) for kind in (Vote, RoundChange))
"""How a vote's bytes begin. Votes overtake what waits: behind a burst of transactions they would come too late for
their round. A proposal does not, so that the bodies that it names are taken before it."""
INPUTS_PER_TURN = 32
"""Inputs taken before other tasks of the process get their turn."""

OnCommit = Callable[[Height], None]
OnHeard = Callable[[OrgId, Heard], None]
OnFault = Callable[[OrgId, str], None]


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
        on_commit: OnCommit,
        on_heard: OnHeard,
        on_fault: OnFault,
    ) -> None:
        self.replica = replica
        self._store = store
        self._vote_log = vote_log
        self._transport = transport
        self._clock = clock
        self._on_commit = on_commit
        self._on_heard = on_heard
        self._on_fault = on_fault
        self._inbox: deque[Input] = deque()
        self._urgent: deque[PeerSent] = deque()
        self._waiting_by_peer: Counter[OrgId] = Counter()
        self._ready = asyncio.Event()
        self._admission: dict[Digest, list[asyncio.Future[None]]] = {}
        self._finality: dict[Digest, list[asyncio.Future[TransactionRecord]]] = {}

    def peer_sent(self, peer: OrgId, message: bytes) -> None:
        """The transport's `OnMessage`."""
        if self._waiting_by_peer[peer] >= INBOX_PER_PEER_MAX:
            return
        self._waiting_by_peer[peer] += 1
        sent = PeerSent(peer, message)
        if message.startswith(_VOTES):
            self._urgent.append(sent)
            self._ready.set()
        else:
            self._put(sent)

    def link_changed(self, peer: OrgId, up: bool) -> None:
        """The transport's `OnLink`."""
        self._put(LinkChanged(peer, up))

    async def submit(self, transaction: Transaction) -> None:
        """Hand a signed transaction to the mempool. Raises `SubmissionRefused`."""
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._admission.setdefault(transaction.id, []).append(admitted)
        self._put(Submitted(transaction))
        await admitted

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

    async def run(self) -> None:
        """Run until cancelled. Raises `OSError` when the disk refuses a vote or a block: nothing was sent for it."""
        await self._take(Started())
        while True:
            for _ in range(INPUTS_PER_TURN):
                await self._take(await self._next())
            await asyncio.sleep(0)

    def _put(self, item: Input) -> None:
        self._inbox.append(item)
        self._ready.set()

    async def _next(self) -> Input:
        while True:
            wake_at = self.replica.wake_at
            now = self._clock.now().mono_ms
            if wake_at is not None and wake_at <= now:
                return Tick()
            if self._urgent or self._inbox:
                item = self._urgent.popleft() if self._urgent else self._inbox.popleft()
                if isinstance(item, PeerSent):
                    self._waiting_by_peer[item.peer] -= 1
                return item
            self._ready.clear()
            alarm = None
            if wake_at is not None:
                alarm = asyncio.get_running_loop().call_later((wake_at - now) / 1000, self._ready.set)
            try:
                await self._ready.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()

    async def _take(self, item: Input) -> None:
        inputs = deque([item])
        while inputs:
            for effect in self.replica.step(inputs.popleft(), now=self._clock.now()):
                committed = await self._perform(effect)
                if committed is not None:
                    inputs.append(committed)

    async def _perform(self, effect: Effect) -> Committed | None:
        match effect:
            case AppendVotes(entries):
                await self._vote_log.append(entries)
            case Send(peer, message):
                self._transport.send(peer, message)
            case CommitBlock():
                return await self._commit(effect)
            case SyncBlocks():
                await self._store.sync()
            case PeerFault(peer, reason):
                self._on_fault(peer, reason)
            case HeardFrom(peer, heard):
                self._on_heard(peer, heard)
            case Admitted(id_):
                for waiter in self._admission.pop(id_, []):
                    _resolve(waiter, None)
            case Refused(id_, code, reason):
                for waiter in self._admission.pop(id_, []):
                    if not waiter.done():
                        waiter.set_exception(SubmissionRefused(code, reason))
        return None

    async def _commit(self, effect: CommitBlock) -> Committed:
        await self._store.commit(effect.certified, effect.receipts, effect.writes, durable=effect.durable)
        if effect.durable:
            await self._vote_log.forget()
        height = effect.certified.block.header.height
        for index, receipt in enumerate(effect.receipts):
            for waiter in self._finality.get(receipt.transaction, ()):
                _resolve(waiter, TransactionRecord(height, index, receipt))
        self._on_commit(height)
        return Committed(height)


def _resolve(waiter: asyncio.Future[T], value: T) -> None:
    if not waiter.done():
        waiter.set_result(value)
