"""One run from one seed: faults for a while, then healing; the checkers watch all the way.

Replays exactly: everything comes from the seed, one queue orders all events, and the trace's digest covers every
message that arrives.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from node.base.codec import encode
from node.base.types import Digest, OrgId, Parameters, Transaction
from node.engine.replica import Input, LinkChanged, PeerSent, Submitted
from node.ledger.contracts.sharing import Authorize, Register, ShareData, Unauthorize
from node.testing.simulation.checkers import Broken, Checkers, require
from node.testing.simulation.founding import START_MS, found
from node.testing.simulation.member import Member
from node.testing.simulation.network import CALM, Network, Weather

EVENTS_PER_MINUTE_MAX = 400_000
"""More than this is a storm, and a failure."""
HEALING_MS_MAX = 180_000
HEALED_HEIGHTS = 2
"""How much the chain must grow after healing."""
SKEW_MS_MAX = 3_000
TWIN = OrgId("twin")
"""Where a traitor's second replica stands among the members."""
TWIN_HEARS = 0.75
"""How often each of a traitor's replicas gets a message: so that they come to differ."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be."""

    seed: int
    members: int = 4
    faulty_ms: int = 8_000
    """How long faults go on; then everything heals and the chain must grow."""
    transactions: int = 6
    real_signatures: bool = False
    traitor: bool = False
    """Whether the last member runs two replicas with one key, and so says different things to different members.

    After "Twins: BFT Systems Made Robust" (Bano et al., 2020). It counts as the one faulty member of four.
    """
    parameters: Parameters = field(
        default_factory=lambda: Parameters(round_timeout_ms=400, round_timeout_max_ms=3_200, heartbeat_ms=60_000)
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    seed: int
    height: int
    head: Digest
    trace: bytes
    events: int
    crashes: int
    rounds_max: int
    virtual_ms: int


class Simulation:
    """N members and the events between them. Scenarios drive it by hand; `run_seed` by chance."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = Random(plan.seed)
        self.founded = found(plan.members, plan.parameters, real_signatures=plan.real_signatures)
        self.checkers = Checkers(self.founded.chain, self.founded.genesis, self.founded.verify)
        self.network = Network(self.rng)
        self.time_ms = 0
        self.events = 0
        self.crashes = 0
        self.rounds_max = 0
        self.members = {org: self._member(org) for org in self.founded.orgs}
        if plan.traitor:
            self.checkers.traitor = self.founded.orgs[-1]
            self.members[TWIN] = self._member(self.founded.orgs[-1])
        self.drop: Callable[[OrgId, OrgId, bytes], bool] = lambda sender, receiver, message: False
        """Scenarios say which messages do not arrive."""
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._wakes: dict[OrgId, int] = {}
        self._trace = blake2b(digest_size=32)
        self._nonces = dict.fromkeys(self.founded.orgs, 0)

    # What scenarios use

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something after so many ms."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.time_ms + delay_ms, self._sequence, action))

    def start(self, *orgs: OrgId) -> None:
        """Start members that do not run (by default all) and link them with those that do."""
        for org in orgs or tuple(self.members):
            member = self.members[org]
            if member.is_up:
                continue
            if not member.start(self.time_ms):
                self._crashed(org)
                continue
            self._schedule_wake(org)
            for other in self._others(org):
                if self.members[other].is_up:
                    self._link(org, other)

    def stop(self, org: OrgId) -> None:
        """Crash a member between two inputs."""
        if self.members[org].is_up:
            self.members[org].stop()
            self._crashed(org)

    def submit(self, org: OrgId, transaction: Transaction | None = None) -> Transaction:
        """An operator hands in a transaction, by default one of the sharing contract."""
        if transaction is None:
            transaction = self._sharing_transaction(org)
        self.checkers.submitted[transaction.id] = transaction
        self.feed(org, Submitted(transaction))
        return transaction

    def feed(self, org: OrgId, input: Input) -> None:
        """Give a running member an input."""
        member = self.members[org]
        if not member.is_up:
            return
        up = member.feed(input, self.time_ms) and member.tick(self.time_ms)
        if not up:
            self._crashed(org)
            return
        assert member.replica is not None, "it is up"
        self.rounds_max = max(self.rounds_max, member.replica.round)
        self._schedule_wake(org)

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

    @property
    def honest(self) -> list[Member]:
        """The members that are not the traitor, in order."""
        return [member for member in self.members.values() if member.org != self.checkers.traitor]

    def heights(self) -> list[int]:
        """The heights on the honest members' disks, in the order of the members."""
        return [member.disk.height() for member in self.honest]

    def reconnect(self, first: OrgId, second: OrgId) -> None:
        """A link breaks and comes up again."""
        if self.members[first].is_up and self.members[second].is_up:
            for org, other in ((first, second), (second, first)):
                self.feed(org, LinkChanged(self.members[other].org, False))
            self._link(first, second)

    def outcome(self) -> Outcome:
        """The state of the run."""
        best = max(self.honest, key=lambda member: member.disk.height()).tip
        return Outcome(
            self.plan.seed,
            best.height,
            best.head,
            self._trace.digest(),
            self.events,
            self.crashes,
            self.rounds_max,
            self.time_ms,
        )

    # Inside

    def _member(self, org: OrgId) -> Member:
        return Member(org, self.founded, self.checkers, self.rng, self._post)

    def _others(self, slot: OrgId) -> list[OrgId]:
        return [other for other, member in self.members.items() if member.org != self.members[slot].org]

    def _post(self, sender: OrgId, receiver: OrgId, message: bytes) -> None:
        if self.drop(sender, receiver, message):
            return
        for delay_ms in self.network.arrivals(sender, receiver):
            if receiver != self.checkers.traitor:
                self.at(delay_ms, lambda: self._arrive(sender, receiver, message))
                continue
            for slot in (receiver, TWIN):
                if self.rng.random() < TWIN_HEARS:
                    self.at(delay_ms, lambda slot=slot: self._arrive(sender, slot, message))  # type: ignore[misc]

    def _arrive(self, sender: OrgId, receiver: OrgId, message: bytes) -> None:
        if self.members[receiver].is_up:
            self._trace.update(f"{self.time_ms} {sender} {receiver} {len(message)} ".encode() + message)
            self.feed(receiver, PeerSent(sender, message))

    def _link(self, first: OrgId, second: OrgId) -> None:
        for slot, other in ((first, second), (second, first)):
            event = LinkChanged(self.members[other].org, True)
            self.at(self.rng.randint(1, 20), lambda slot=slot, event=event: self.feed(slot, event))  # type: ignore[misc]

    def _crashed(self, org: OrgId) -> None:
        self.crashes += 1
        self._trace.update(f"{self.time_ms} {org} crashed ".encode())
        event = LinkChanged(self.members[org].org, False)
        for other in self._others(org):
            self.at(self.rng.randint(1, 50), lambda other=other: self.feed(other, event))  # type: ignore[misc]

    def _schedule_wake(self, slot: OrgId) -> None:
        wake_at = self.members[slot].wake_at()
        if wake_at is None or self.time_ms < self._wakes.get(slot, -1) <= wake_at:
            return
        wake_at = max(wake_at, self.time_ms)
        self._wakes[slot] = wake_at
        self.at(wake_at - self.time_ms, lambda: self._wake(slot, wake_at))

    def _wake(self, slot: OrgId, planned_ms: int) -> None:
        if self._wakes.get(slot) != planned_ms:
            return
        del self._wakes[slot]
        member = self.members[slot]
        if not member.is_up:
            return
        if not member.tick(self.time_ms):
            self._crashed(slot)
            return
        self._schedule_wake(slot)

    def _sharing_transaction(self, org: OrgId) -> Transaction:
        rng = self.rng
        nonce = self._nonces[org]
        self._nonces[org] += 1
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
        until_ms = START_MS + self.time_ms + 3_600_000
        return self.founded.transaction(org, nonce, "sharing", method, encode(call), until_ms)


def run_seed(plan: Plan) -> Outcome:
    """Faults by chance, healing, checks. Raises `Broken` with what does not hold."""
    simulation = Simulation(plan)
    _plan_faults(simulation)
    simulation.start()
    simulation.run(plan.faulty_ms)
    _heal(simulation)
    _check_growth(simulation)
    return simulation.outcome()


def _plan_faults(simulation: Simulation) -> None:
    rng, plan, orgs = simulation.rng, simulation.plan, simulation.founded.orgs
    simulation.network.weather = Weather(
        loss=rng.choice((0.0, 0.02, 0.1, 0.3)),
        duplication=rng.choice((0.0, 0.05, 0.3)),
        delay_ms_max=rng.choice((5, 30, 200)),
        slow=rng.choice((0.0, 0.05, 0.3)),
    )
    crash_chance = rng.choice((0.0, 0.0, 0.002, 0.01, 0.05))
    for member in simulation.members.values():
        member.skew_ms = rng.choice((0, 0, rng.randint(-SKEW_MS_MAX, SKEW_MS_MAX)))
    for member in simulation.honest:
        member.crash_chance = crash_chance
    for _ in range(rng.randint(0, 3)):
        simulation.at(rng.randint(0, plan.faulty_ms), lambda: simulation.network.cut(orgs))
        simulation.at(rng.randint(0, plan.faulty_ms), lambda: _unblock(simulation))
    for _ in range(rng.randint(0, 3)):
        org = rng.choice(simulation.honest).org
        simulation.at(rng.randint(0, plan.faulty_ms), lambda org=org: simulation.stop(org))  # type: ignore[misc]
    for _ in range(plan.transactions):
        org = rng.choice(orgs)
        simulation.at(rng.randint(50, plan.faulty_ms), lambda org=org: _submit_if_up(simulation, org))  # type: ignore[misc]
    for at_ms in range(500, plan.faulty_ms, 500):
        simulation.at(at_ms, lambda: _maybe_restart(simulation))


def _submit_if_up(simulation: Simulation, org: OrgId) -> None:
    if simulation.members[org].is_up:
        simulation.submit(org)


def _maybe_restart(simulation: Simulation) -> None:
    down = [org for org, member in simulation.members.items() if not member.is_up]
    if down and simulation.rng.random() < 0.5:
        simulation.start(simulation.rng.choice(down))


def _unblock(simulation: Simulation) -> None:
    for first, second in sorted({(min(pair), max(pair)) for pair in simulation.network.heal()}):
        # A connection that carried nothing for a while is sometimes noticed and made anew, sometimes just goes on.
        if simulation.rng.random() < 0.5:
            simulation.reconnect(first, second)


def _heal(simulation: Simulation) -> None:
    simulation.network.weather = CALM
    for member in simulation.members.values():
        member.crash_chance = 0.0
    _unblock(simulation)
    simulation.start()


def _check_growth(simulation: Simulation) -> None:
    """After healing the chain grows, and all members come to the same head."""
    goal = max(simulation.heights()) + HEALED_HEIGHTS
    members = simulation.honest

    def submit_more() -> None:
        if min(simulation.heights()) < goal:
            simulation.submit(simulation.rng.choice(simulation.founded.orgs))
            simulation.at(1_000, submit_more)

    submit_more()
    grown = simulation.run(HEALING_MS_MAX, lambda: min(simulation.heights()) >= goal)
    require(grown, f"after healing, heights {simulation.heights()} do not reach {goal}")

    def at_rest() -> bool:
        pending = any(member.replica is None or member.replica.pending for member in members)
        return not pending and len({member.tip for member in members}) == 1

    require(simulation.run(HEALING_MS_MAX, at_rest), f"members do not come to one head: {simulation.heights()}")
    roots = {member.replica.state_root for member in members if member.replica is not None}
    require(len(roots) == 1, "members at the same head have different state roots")


__all__ = ["Broken", "Outcome", "Plan", "Simulation", "run_seed"]
