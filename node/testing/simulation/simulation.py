"""N members in virtual time, and the events between them; the checkers watch all the way.

Replays exactly: everything comes from the seed, one queue orders all events, and the trace's digest covers every
message that arrives. Scenarios drive it by hand, `faults` by chance, `twins` by schedules.
"""

import heapq
from collections.abc import Callable
from hashlib import blake2b
from random import Random

from node.base.codec import encode
from node.base.types import Digest, OrgId, Statement, Transaction
from node.engine.replica import Input, LinkChanged, PeerSent, Submitted
from node.ledger.contracts import evidence
from node.ledger.contracts.evidence import Report
from node.ledger.contracts.sharing import Authorize, Register, ShareData, Unauthorize
from node.testing.simulation.checkers import Checkers, require
from node.testing.simulation.founding import START_MS, found
from node.testing.simulation.labels import END, name_pair
from node.testing.simulation.liars import Liar
from node.testing.simulation.member import Member
from node.testing.simulation.network import Network
from node.testing.simulation.plan import Outcome, Plan
from node.testing.simulation.reading import SharedReader

EVENTS_PER_MINUTE_MAX = 400_000
"""More than this is a storm, and a failure."""
REACHED_MS_MAX = 60_000


class Simulation:
    """Members by slot. A slot is an organisation's name; twins of an organisation stand in slots of their own."""

    def __init__(self, plan: Plan, twins: tuple[tuple[OrgId, OrgId], ...] = ()) -> None:
        """`twins` are further slots, each with the organisation whose key it uses, as (slot, organisation)."""
        self.plan = plan
        self.rng = Random(plan.seed)
        self.founded = found(plan.members, plan.parameters, real_signatures=plan.real_signatures)
        self.read = SharedReader()
        self.checkers = Checkers(self.founded.chain, self.founded.genesis, self.founded.verify, self.read)
        self.network = Network(self.rng)
        self.time_ms = 0
        self.events = 0
        self.crashes = 0
        self.rounds_max = 0
        self.progress_ms = 0
        self.weakened = 0
        """Correct members that a run takes out for a while beyond a crash: the fewer liars or removals can be borne."""
        self.members: dict[OrgId, Member] = {}
        self.liars: dict[OrgId, Liar] = {}
        self._slots: dict[OrgId, list[OrgId]] = {}
        for slot, org in (*((org, org) for org in self.founded.orgs), *twins):
            self.members[slot] = Member(slot, org, self.founded, self.checkers, self.rng, self)
            self._slots.setdefault(org, []).append(slot)
        self.checkers.liars = frozenset(org for _, org in twins)
        self.drop: Callable[[OrgId, OrgId, bytes], bool] = lambda sender, receiver, message: False
        """(slot, slot, message): scenarios say which messages do not arrive."""
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._wakes: dict[OrgId, int] = {}
        self._unnoticed: set[tuple[OrgId, OrgId]] = set()
        """(slot, other): the member crashed and the other does not know it yet."""
        self._trace = blake2b(digest_size=32)
        self._nonces = dict.fromkeys((*self.founded.orgs, self.founded.applicant.body.org), 0)

    # What scenarios use

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something after so many ms."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.time_ms + delay_ms, self._sequence, action))

    def start(self, *slots: OrgId) -> None:
        """Start members that do not run (by default all) and link them with those that do."""
        for slot in slots or tuple(self.members):
            member = self.members[slot]
            if member.is_up:
                continue
            member.start()
            for other in self._others(slot):
                # Who is dialled by a peer anew drops what it had of it: an older link's end never comes after that.
                self._notice(slot, other)
                if member.is_up and self.members[other].is_up:
                    self._link(slot, other)

    def join(self) -> Member:
        """The applicant's daemon starts for the first time, on an empty disk, and is linked with all that run."""
        org = self.founded.applicant.body.org
        self.members[org] = Member(org, org, self.founded, self.checkers, self.rng, self)
        self._slots[org] = [org]
        self.start(org)
        return self.members[org]

    def stop(self, slot: OrgId) -> None:
        """Crash a member between two inputs, or in the middle of a write."""
        if self.members[slot].is_up:
            self.members[slot].stop()

    def make_liar(self, org: OrgId, liar: Liar) -> None:
        """From now on this member says what the liar makes of its words."""
        self.liars[org] = liar
        self.checkers.liars |= {org}

    def submit(self, org: OrgId, transaction: Transaction | None = None) -> Transaction:
        """An operator hands in a transaction, by default one of the sharing contract."""
        if transaction is None:
            transaction = self.transaction(org)
        self.checkers.submitted[transaction.id] = transaction
        self.feed(org, Submitted((transaction,)))
        return transaction

    def submit_if_up(self, org: OrgId, contract: str | None = None, method: str = "", payload: bytes = b"") -> None:
        """The same of a new transaction, by default of the sharing contract; nothing where the member does not run."""
        if self.members[org].is_up:
            self.submit(org, self.transaction(org, contract, method, payload))

    def transaction(
        self, org: OrgId, contract: str | None = None, method: str = "", payload: bytes = b""
    ) -> Transaction:
        """A new transaction of the organisation, signed with its key in force; by default of the sharing contract."""
        if contract is None:
            contract, (method, payload) = "sharing", self._sharing_call(org)
        nonce = self._nonces[org]
        self._nonces[org] += 1
        until_ms = START_MS + self.time_ms + 3_600_000
        in_force = self.checkers.newest_set.keys.get(org)
        rotated = in_force == self.founded.next_signers[org].public_key
        return self.founded.transaction(org, nonce, contract, method, payload, until_ms, rotated=rotated)

    def _sharing_call(self, org: OrgId) -> tuple[str, bytes]:
        rng = self.rng
        name = f"set{rng.randint(0, 2)}"
        recipient = rng.choice(self.founded.orgs)
        commitment = Digest(rng.randbytes(32))
        data = f"{org}/{name}"
        method, call = rng.choice(
            (
                ("register", Register(name, commitment)),
                ("authorize", Authorize(data, recipient)),
                ("unauthorize", Unauthorize(data, recipient)),
                ("share", ShareData(data, recipient, commitment)),
            )
        )
        return method, encode(call)

    def feed(self, slot: OrgId, input: Input) -> None:
        """Give a member an input; one that does not run misses it."""
        self.members[slot].feed(input)

    def run(self, duration_ms: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, at most until the condition holds; whether it does (True without one)."""
        end_ms = self.time_ms + duration_ms
        events_max = self.events + EVENTS_PER_MINUTE_MAX * (1 + duration_ms // 60_000)
        while until is None or not until():
            if not self._queue or self._queue[0][0] > end_ms:
                self.time_ms = end_ms
                return until is None
            self.time_ms, _, action = heapq.heappop(self._queue)
            self.events += 1
            require(self.events < events_max, "a storm: more events than a minute may have")
            action()
        return True

    def must_reach(self, height: int, *slots: OrgId, within_ms: int = REACHED_MS_MAX) -> None:
        """Let time pass until these members (by default all honest ones) stand at the height. Raises `Broken`."""
        members = [self.members[slot] for slot in slots] or self.honest
        reached = self.run(within_ms, lambda: all(member.disk.height() >= height for member in members))
        require(reached, f"height {height} is not reached in {within_ms} ms: {self.heights()}")

    @property
    def honest(self) -> list[Member]:
        """The members that keep the rules, in order."""
        return [member for member in self.members.values() if member.org not in self.checkers.liars]

    def heights(self) -> list[int]:
        """The heights on the honest members' disks, in the order of the members."""
        return [member.disk.height() for member in self.honest]

    def reconnect(self, first: OrgId, second: OrgId) -> None:
        """A link breaks and comes up again."""
        if self.members[first].is_up and self.members[second].is_up:
            for slot, other in ((first, second), (second, first)):
                self.feed(slot, LinkChanged(self.members[other].org, False))
            self._link(first, second)

    def outcome(self) -> Outcome:
        """The state of the run."""
        best = max(self.honest, key=lambda member: member.disk.height()).tip
        return Outcome(
            seed=self.plan.seed,
            members=self.plan.members,
            height=best.height,
            head=best.head,
            trace=self._trace.digest(),
            events=self.events,
            crashes=self.crashes,
            rounds_max=self.rounds_max,
            virtual_ms=self.time_ms,
            progress_ms=self.progress_ms,
            liars=tuple(sorted(self.checkers.liars)),
            coverage=dict(self.checkers.coverage.counts),
        )

    # What members use

    def send(self, slot: OrgId, receiver: OrgId, message: bytes) -> None:
        """A member's message, or what a liar makes of it, goes on its way."""
        liar = self.liars.get(slot)
        for said in (message,) if liar is None else liar.says(receiver, message):
            self.post(slot, receiver, said)

    def report(self, slot: OrgId, first: Statement, second: Statement) -> None:
        """Hand in the evidence as this member's transaction, as its daemon does."""
        org = self.members[slot].org
        payload, until_ms = encode(Report(first, second)), START_MS + self.time_ms + 3_600_000
        transaction = self.founded.transaction(org, self._nonces[org], evidence.NAME, "report", payload, until_ms)
        self._nonces[org] += 1
        self.checkers.submitted[transaction.id] = transaction
        self.at(1, lambda: self.feed(slot, Submitted((transaction,))))

    def settled(self, slot: OrgId) -> None:
        """See to it that the member gets its next tick."""
        member = self.members[slot]
        if member.replica is not None:
            self.rounds_max = max(self.rounds_max, member.replica.round)
        wake_at = member.wake_at()
        if wake_at is None or self.time_ms < self._wakes.get(slot, -1) <= wake_at:
            return
        wake_at = max(wake_at, self.time_ms)
        self._wakes[slot] = wake_at
        self.at(wake_at - self.time_ms, lambda: self._wake(slot, wake_at))

    def crashed(self, slot: OrgId, done: str, next_: str) -> None:
        """The others notice in a while."""
        self.crashes += 1
        if (done, next_) != (END, END):
            self.checkers.coverage.note(name_pair((done, next_)))
        self._trace.update(f"{self.time_ms} {slot} crashed ".encode())
        for other in self._others(slot):
            self._unnoticed.add((slot, other))
            self.at(self.rng.randint(1, 50), lambda other=other: self._notice(slot, other))  # type: ignore[misc]

    def post(self, slot: OrgId, receiver: OrgId, message: bytes) -> None:
        """Put these bytes on their way to the organisation, wherever it stands."""
        self.checkers.posted(message)
        if receiver not in self._slots:
            return
        sender = self.members[slot].org
        for target in self._slots[receiver]:
            if self.drop(slot, target, message):
                continue
            for delay_ms in self.network.arrivals(sender, receiver, message):
                self.at(delay_ms, lambda target=target: self._arrive(sender, target, message))  # type: ignore[misc]

    # Inside

    def _others(self, slot: OrgId) -> list[OrgId]:
        return [other for other, member in self.members.items() if member.org != self.members[slot].org]

    def _arrive(self, sender: OrgId, slot: OrgId, message: bytes) -> None:
        if not self.members[slot].is_up:
            return
        self._trace.update(f"{self.time_ms} {sender} {slot} {len(message)} ".encode() + message)
        if slot in self.liars:
            self.liars[slot].hears(sender, message)
        self.feed(slot, PeerSent(sender, message))

    def _notice(self, slot: OrgId, other: OrgId) -> None:
        if (slot, other) in self._unnoticed:
            self._unnoticed.discard((slot, other))
            self.feed(other, LinkChanged(self.members[slot].org, False))

    def _link(self, first: OrgId, second: OrgId) -> None:
        for slot, other in ((first, second), (second, first)):
            event = LinkChanged(self.members[other].org, True)
            self.at(self.rng.randint(1, 20), lambda slot=slot, event=event: self.feed(slot, event))  # type: ignore[misc]

    def _wake(self, slot: OrgId, planned_ms: int) -> None:
        if self._wakes.get(slot) == planned_ms:
            del self._wakes[slot]
            self.members[slot].go_on()
