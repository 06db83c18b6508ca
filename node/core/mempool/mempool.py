"""Which transactions wait for a block, in which order a block should take them, and when it should come.

Whether a transaction could be included now is asked of `check`, which knows the state; gossip and blocks are others'.
What several members call at about the same time waits for the last of them, a moment at most: else each would be a
block of its own, and whoever submits something else would wait for those blocks.
Everything is bounded: per organisation by count and bytes, over all by bytes with the heaviest organisation giving
way, so that whoever floods crowds out nobody but itself.
"""

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from node.base.crypto import digest
from node.base.types import NONCE_WINDOW, Digest, Instant, OrgId, Transaction
from node.ledger.errors import Unacceptable

SWEEP_MS = 5_000
"""How often expired transactions are looked for."""
BAD_MAX = 4_096
"""How many bad transactions are remembered, so that their signatures are not verified again."""

Check = Callable[[Transaction, int], None]
"""(transaction, wall time in ms): raises `Unacceptable` for what no block could include now."""

OTHER_KEY = "other-key"
"""The refusal of a signature with the key that its organisation just had, or is about to have."""
GATHER_MS = 250
"""How long a transaction waits at most for its companions: what the members of one phase of training differ by."""
ALONE_MS = 15
"""How long they wait, all being there, for one that is in a hurry: about a block's time, which that one would wait."""
EARLY_MAX = 256
"""How many transactions are held back that are signed with a key that comes into force with the next blocks."""

Renew = Callable[[Transaction], Transaction | None]
"""This member's own transaction signed anew with the key in force now; None for others', or without the key."""

Companions = Callable[[Transaction], frozenset[OrgId] | None]
"""Who sends the like at about the same time and is not in a block yet; None: it should be in a block at once."""

_FAULTS = frozenset({"wrong-chain", "too-large", "bad-signature", "bad-nonce"})
"""Refusals that no race explains: whoever passes such a transaction on did not check it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the mempool holds at most."""

    organisation_transactions: int = NONCE_WINDOW
    """More than a window of nonces could not all be included in any order."""
    organisation_bytes: int = 8 << 20
    bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Submitted:
    """This member's operator or scheduler wants the transaction in a block."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Received:
    """A peer passed the transaction on."""

    peer: OrgId
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Committed:
    """A block is final."""

    transactions: tuple[Transaction, ...]
    time_ms: int
    """The block's time."""
    rekeyed: frozenset[OrgId] = frozenset()
    """Whose key in force is another from now on; what waits of theirs is signed with the old one."""


@dataclass(frozen=True, slots=True)
class Tick:
    """`wake_at` has come."""


Input = Submitted | Received | Committed | Tick


@dataclass(frozen=True, slots=True)
class Admitted:
    """The transaction is new here and waits now; others should have it, too."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Refused:
    """A submitted transaction does not wait, or one that waited will not be included."""

    transaction: Digest
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class PeerFault:
    """The peer passed on what it could have known to be bad."""

    peer: OrgId
    reason: str


Effect = Admitted | Refused | PeerFault


@dataclass(slots=True)
class _Queue:
    """One organisation's waiting transactions."""

    by_nonce: dict[int, Transaction] = field(default_factory=dict)
    nonces: list[int] = field(default_factory=list)
    """Ascending."""
    bytes: int = 0


@dataclass(slots=True)
class _Gathering:
    """Calls of one method that wait for each other."""

    since_ms: int
    """When the first of them came."""
    complete_ms: int | None = None
    """Since when all are here that are awaited."""
    by_id: dict[Digest, Transaction] = field(default_factory=dict)
    by_org: Counter[OrgId] = field(default_factory=Counter)

    @property
    def due_at(self) -> int:
        """When (`mono_ms`) they wait no longer."""
        latest = self.since_ms + GATHER_MS
        return latest if self.complete_ms is None else min(latest, self.complete_ms + ALONE_MS)

    def look(self, companions: frozenset[OrgId], now: Instant) -> None:
        """Whether all are here that are awaited now; where nobody is, these came too late for a block together."""
        if not companions or not companions <= self.by_org.keys():
            self.complete_ms = None
        elif self.complete_ms is None:
            self.complete_ms = now.mono_ms


class Mempool:
    """Waiting transactions by organisation and nonce."""

    def __init__(
        self,
        *,
        check: Check,
        renew: Renew = lambda transaction: None,
        companions: Companions = lambda transaction: None,
        limits: Limits | None = None,
    ) -> None:
        self._check = check
        self._renew = renew
        self._companions = companions
        self._gatherings: dict[tuple[str, str], _Gathering] = {}
        self._early: dict[tuple[OrgId, Digest], Received] = {}
        self._limits = limits or Limits()
        self._queues: dict[OrgId, _Queue] = {}
        self._by_id: dict[Digest, Transaction] = {}
        self._forms: set[bytes] = set()
        self._bytes = 0
        # Keys are digests over body and signature: a bad signature must not speak against the good transaction.
        self._bad: dict[bytes, Unacceptable] = {}
        self._sweep_at: int | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._by_id)

    @property
    def wake_at(self) -> int | None:
        """When (`mono_ms`) a `Tick` is due; None while nothing waits."""
        return self._sweep_at

    @property
    def due_at(self) -> int | None:
        """When (`mono_ms`) a block should be made of what waits, 0 for at once; None while nothing waits."""
        gatherings = self._gatherings.values()
        if len(self._by_id) > sum(len(gathering.by_id) for gathering in gatherings):
            return 0
        return min((gathering.due_at for gathering in gatherings), default=None)

    def get(self, id_: Digest) -> Transaction | None:
        """The waiting transaction of this id."""
        return self._by_id.get(id_)

    def holds(self, form: bytes) -> bool:
        """Whether the transaction of this byte form waits, signature included: known without decoding it."""
        return form in self._forms

    def candidates(self, turn: int = 0) -> Iterator[Transaction]:
        """All that wait, one of each organisation in turn, each organisation's by nonce.

        `turn`, for example the height, decides which organisation begins. The mempool must not be stepped while
        this is read.
        """
        orgs = sorted(self._queues)
        start = turn % len(orgs) if orgs else 0
        rows = [iter(self._queues[org].nonces) for org in orgs]
        row = list(zip(orgs, rows, strict=True))
        row = row[start:] + row[:start]
        while row:
            rest = []
            for org, nonces in row:
                nonce = next(nonces, None)
                if nonce is not None:
                    yield self._queues[org].by_nonce[nonce]
                    rest.append((org, nonces))
            row = rest

    def step(self, input: Input, *, now: Instant) -> list[Effect]:
        """Take one input; the caller performs the effects in order."""
        match input:
            case Submitted(transaction):
                effects = self._submitted(transaction, now)
            case Received(peer, transaction):
                effects = self._received(peer, transaction, now)
            case Committed():
                effects = self._committed(input, now)
            case Tick():
                effects = self._ticked(now)
            case _:
                assert_never(input)
        if not self._by_id:
            self._sweep_at = None
        elif self._sweep_at is None:
            self._sweep_at = now.mono_ms + SWEEP_MS
        return effects

    def _submitted(self, transaction: Transaction, now: Instant) -> list[Effect]:
        try:
            return self._admit(transaction, now)
        except Unacceptable as error:
            return [Refused(transaction.id, error.code, error.reason)]

    def _received(self, peer: OrgId, transaction: Transaction, now: Instant) -> list[Effect]:
        try:
            return self._admit(transaction, now)
        except Unacceptable as error:
            signed_anew = error.code == "duplicate" and self._by_id[transaction.id] != transaction
            if (signed_anew or error.code == OTHER_KEY) and len(self._early) < EARLY_MAX:
                self._early[peer, transaction.id] = Received(peer, transaction)
            if error.code in _FAULTS:
                return [PeerFault(peer, f"passed on a transaction that no member should: {error}")]
            return []

    def _admit(self, transaction: Transaction, now: Instant) -> list[Effect]:
        """Raises `Unacceptable`. The cheap questions come first, the signature last, inside `check`."""
        if transaction.id in self._by_id:
            raise Unacceptable("duplicate", "The transaction waits already.")
        body = transaction.body
        queue = self._queues.get(body.org)
        if queue is not None:
            self._check_quota(queue, transaction)
        if self._bad and (known := self._bad.get(_fingerprint(transaction))):
            raise known
        try:
            self._check(transaction, now.wall_ms)
        except Unacceptable as error:
            if error.code in _FAULTS:
                self._remember_bad(_fingerprint(transaction), error)
            raise
        self._add(transaction, now)
        dropped = self._make_room()
        if any(gone.id == transaction.id for gone in dropped):
            raise Unacceptable("mempool-full", "Too many transactions wait; submit it again later.")
        return [
            *(Refused(gone.id, "mempool-full", "Too many transactions wait; submit it again.") for gone in dropped),
            Admitted(transaction),
        ]

    def _check_quota(self, queue: _Queue, transaction: Transaction) -> None:
        body = transaction.body
        if body.nonce in queue.by_nonce:
            raise Unacceptable("nonce-taken", f"Another transaction with nonce {body.nonce} waits already.")
        count = self._limits.organisation_transactions
        if len(queue.nonces) >= count:
            raise Unacceptable("too-many", f"{count} transactions of {body.org} wait already; submit it again later.")
        if queue.bytes + len(transaction.encoded) > self._limits.organisation_bytes:
            limit = self._limits.organisation_bytes
            raise Unacceptable("too-many", f"The waiting transactions of {body.org} have {limit} bytes at most.")

    def _remember_bad(self, fingerprint: bytes, error: Unacceptable) -> None:
        if len(self._bad) >= BAD_MAX:
            del self._bad[next(iter(self._bad))]
        self._bad[fingerprint] = Unacceptable(error.code, error.reason)

    def _make_room(self) -> list[Transaction]:
        """Drop the latest of the organisation that holds most, until the whole fits."""
        dropped = []
        while self._bytes > self._limits.bytes:
            heaviest = max(sorted(self._queues), key=lambda org: self._queues[org].bytes)
            queue = self._queues[heaviest]
            last = queue.by_nonce[queue.nonces[-1]]
            self._remove(last)
            dropped.append(last)
        return dropped

    def _committed(self, committed: Committed, now: Instant) -> list[Effect]:
        """What was included, what its nonces or new keys make impossible, and what is past its term leaves."""
        # Keys in force may have changed with the block, and with them what a good signature is.
        self._bad.clear()
        effects: list[Effect] = []
        highest: dict[OrgId, int] = {}
        for included in committed.transactions:
            body = included.body
            highest[body.org] = max(highest.get(body.org, 0), body.nonce)
            queue = self._queues.get(body.org)
            waiting = queue.by_nonce.get(body.nonce) if queue is not None else None
            if waiting is None:
                continue
            self._remove(waiting)
            if waiting.id != included.id:
                effects.append(Refused(waiting.id, "replay", f"Nonce {body.nonce} went to another transaction."))
        for org, nonce in highest.items():
            effects.extend(self._outrun(org, nonce))
        effects.extend(self._expire(committed.time_ms))
        for org in sorted(committed.rekeyed):
            effects.extend(self._rekey(org, now))
        if not committed.transactions:
            effects.extend(self._give_up(now))
        for gathering in self._gatherings.values():
            # Where others are of another job, a block comes early.
            latest = next(reversed(gathering.by_id.values()))
            gathering.look(self._companions(latest) or frozenset(), now)
        early, self._early = self._early, {}
        for received in early.values():
            effects.extend(self._received(received.peer, received.transaction, now))
        return effects

    def _rekey(self, org: OrgId, now: Instant) -> list[Effect]:
        """Sign our own anew, so that a renewed key loses nothing; others do so with theirs and pass them on."""
        queue = self._queues.get(org)
        if queue is None:
            return []
        effects: list[Effect] = []
        for transaction in list(queue.by_nonce.values()):
            self._remove(transaction)
            try:
                effects.extend(self._admit(self._renew(transaction) or transaction, now))
            except Unacceptable as error:
                effects.append(Refused(transaction.id, error.code, error.reason))
        return effects

    def _give_up(self, now: Instant) -> list[Effect]:
        """An empty block although something waits: what no block can include must not ask for blocks for ever.

        So it is with what a member sent before it was suspended, or before its TLS term was over.
        """
        effects: list[Effect] = []
        for transaction in list(self.candidates()):
            try:
                self._check(transaction, now.wall_ms)
            except Unacceptable as error:
                self._remove(transaction)
                effects.append(Refused(transaction.id, error.code, error.reason))
        return effects

    def _outrun(self, org: OrgId, highest: int) -> list[Effect]:
        queue = self._queues.get(org)
        if queue is None:
            return []
        old = queue.nonces[: bisect_right(queue.nonces, highest - NONCE_WINDOW)]
        effects: list[Effect] = []
        for nonce in old:
            gone = queue.by_nonce[nonce]
            self._remove(gone)
            effects.append(Refused(gone.id, "old-nonce", f"Nonce {nonce} fell out of the window below {highest}."))
        return effects

    def _ticked(self, now: Instant) -> list[Effect]:
        if self._sweep_at is None or now.mono_ms < self._sweep_at:
            return []
        self._sweep_at = None
        return self._expire(now.wall_ms)

    def _expire(self, time_ms: int) -> list[Effect]:
        expired = [waiting for waiting in self._by_id.values() if waiting.body.valid_until_ms < time_ms]
        for gone in expired:
            self._remove(gone)
        return [
            Refused(gone.id, "expired", "The transaction's term ended while it waited; sign it again.")
            for gone in expired
        ]

    def _add(self, transaction: Transaction, now: Instant) -> None:
        body = transaction.body
        queue = self._queues.setdefault(body.org, _Queue())
        queue.by_nonce[body.nonce] = transaction
        insort(queue.nonces, body.nonce)
        queue.bytes += len(transaction.encoded)
        self._bytes += len(transaction.encoded)
        self._by_id[transaction.id] = transaction
        self._forms.add(transaction.encoded)
        companions = self._companions(transaction)
        if companions is not None:
            gathering = self._gatherings.setdefault((body.contract, body.method), _Gathering(now.mono_ms))
            gathering.by_id[transaction.id] = transaction
            gathering.by_org[body.org] += 1
            gathering.look(companions, now)

    def _remove(self, transaction: Transaction) -> None:
        body = transaction.body
        queue = self._queues[body.org]
        del queue.by_nonce[body.nonce]
        queue.nonces.remove(body.nonce)
        queue.bytes -= len(transaction.encoded)
        self._bytes -= len(transaction.encoded)
        del self._by_id[transaction.id]
        self._forms.discard(transaction.encoded)
        if not queue.nonces:
            del self._queues[body.org]
        gathering = self._gatherings.get((body.contract, body.method))
        if gathering is not None and gathering.by_id.pop(transaction.id, None) is not None:
            gathering.by_org -= Counter((body.org,))
            if not gathering.by_id:
                del self._gatherings[body.contract, body.method]


def _fingerprint(transaction: Transaction) -> bytes:
    return digest("lepton/waiting", transaction.encoded)
