"""Twins: one identity run twice or more, so that correct replicas make a Byzantine member (Bano et al., 2020).

A schedule draws how many identities have twins (at most f), how often each runs, and for every round of every height a
partition of all replicas: a message of that round arrives inside its partition only. From some round on all are
connected again, so that each height can end; what is of no round (tips, blocks) arrives, and transactions do now and
then. After the schedule all is connected, and the correct members must progress in the stated time.
"""

from random import Random
from typing import Any

from node.base.codec import decode
from node.base.types import OrgId, PeerMessage, PreparedBlock, Proposal, RoundChange, Transactions, Vote
from node.engine.replica import Submitted
from node.testing.simulation.faults import check_progress
from node.testing.simulation.plan import Outcome, Plan
from node.testing.simulation.simulation import Simulation

MEMBERS = (4, 5, 6, 7)
ROUNDS_PARTITIONED = 5
"""Rounds from this one on have all replicas connected."""
PARTITIONS_MAX = 3
SCHEDULE_MS = 12_000
HEIGHTS = 3
"""A schedule ends early at this height."""
TRANSACTIONS = 6
TRANSACTION_ARRIVES = 0.6
"""How often a replica gets a transaction, so that twins propose different blocks."""
_MESSAGE: Any = PeerMessage


class Schedule:
    """Who is with whom in which round."""

    def __init__(self, seed: int, slots: tuple[OrgId, ...]) -> None:
        self.over = False
        self._seed = seed
        self._slots = slots
        self._rng = Random(f"transactions {seed}")
        self._groups: dict[tuple[int, int], dict[OrgId, int]] = {}
        self._places: dict[bytes, tuple[int, int] | None] = {}

    def drops(self, slot: OrgId, target: OrgId, data: bytes) -> bool:
        """Whether the message does not arrive."""
        if self.over:
            return False
        if data not in self._places:
            self._places[data] = self._place(data)
        place = self._places[data]
        if place is None:
            return False
        if place == (0, 0):
            return self._rng.random() > TRANSACTION_ARRIVES
        groups = self._partition(*place)
        return groups[slot] != groups[target]

    def _place(self, data: bytes) -> tuple[int, int] | None:
        """Height and round that a message belongs to; (0, 0) for a transaction, None for what always arrives."""
        match decode(_MESSAGE, data):
            case Proposal() as message:
                return message.header.height, message.round
            case Vote() | RoundChange() as message:
                return message.height, message.round
            case PreparedBlock() as message:
                return message.certificate.height, message.certificate.round + 1
            case Transactions():
                return 0, 0
            case _:
                return None

    def _partition(self, height: int, round_: int) -> dict[OrgId, int]:
        if (height, round_) not in self._groups:
            rng = Random(f"{self._seed} {height} {round_}")
            count = 1 if round_ >= ROUNDS_PARTITIONED else rng.randint(1, PARTITIONS_MAX)
            self._groups[height, round_] = {slot: rng.randrange(count) for slot in self._slots}
        return self._groups[height, round_]


def run_twins(plan: Plan) -> Outcome:
    """One schedule. Raises `Broken` with what does not hold."""
    rng = Random(f"twins {plan.seed}")
    orgs = [OrgId(f"m{index:03}") for index in range(plan.members)]
    doubled = sorted(rng.sample(orgs, rng.randint(1, max(1, (plan.members - 1) // 3))))
    twins = tuple(
        (OrgId(f"{org}-twin{count}"), org) for org in doubled for count in range(1, 1 + rng.choice((1, 1, 1, 2)))
    )
    simulation = Simulation(plan, twins)
    schedule = Schedule(plan.seed, tuple(simulation.members))
    simulation.drop = schedule.drops
    for _ in range(TRANSACTIONS):
        slot = rng.choice(sorted(simulation.members))
        at_ms = rng.randint(30, SCHEDULE_MS // 2)
        simulation.at(at_ms, lambda slot=slot: _submit(simulation, slot))  # type: ignore[misc]
    simulation.start()
    simulation.run(SCHEDULE_MS, lambda: min(simulation.heights()) >= HEIGHTS)
    schedule.over = True
    check_progress(simulation)
    return simulation.outcome()


def _submit(simulation: Simulation, slot: OrgId) -> None:
    transaction = simulation.transaction(simulation.members[slot].org)
    simulation.checkers.submitted[transaction.id] = transaction
    simulation.feed(slot, Submitted((transaction,)))
