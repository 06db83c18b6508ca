"""Twins: one identity run twice or more, so that correct replicas make a Byzantine member (Bano et al., 2020).

A schedule draws how many identities have twins (at most f), how often each runs, and for every round of every height a
partition of all replicas: a message of that round arrives inside its partition only. From some round on all are
connected again, so that each height can end; what is of no round (tips, blocks) arrives, and transactions do now and
then. Of two schedules one is drawn towards locks: in a locking round prepares reach a few only and commits nobody, and
in the round behind it those few are apart, so that the others may lock on another block. After the schedule all is
connected, and the correct members must progress in the stated time.
"""

from random import Random
from typing import Any, get_args

from node.base.codec import decode
from node.base.types import OrgId, PeerMessage, PreparedBlock, Proposal, RoundChange, Transactions, Vote, VoteKind
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
LOCKS_EVERY = 2
"""One schedule of so many is drawn towards locks."""
LOCKING = 0.75
"""How many of its rounds lock, as a share."""
_MESSAGE: Any = PeerMessage
_VOTE = bytes((get_args(PeerMessage).index(Vote),))
"""How a vote's message begins; its kind follows."""


class Schedule:
    """Who is with whom in which round."""

    def __init__(self, seed: int, slots: tuple[OrgId, ...], lockers: tuple[OrgId, ...] = ()) -> None:
        """`lockers` are the correct members' slots where the schedule is drawn towards locks."""
        self.over = False
        self._seed = seed
        self._slots = slots
        self._lockers = lockers
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
        if groups[slot] != groups[target]:
            return True
        locking = self._locking(*place)
        if not locking or data[:1] != _VOTE:
            return False
        return data[1] == VoteKind.COMMIT.value or (data[1] == VoteKind.PREPARE.value and target not in locking)

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
            apart = self._locking(height, round_ - 1)
            if apart and count > 1:
                self._groups[height, round_] = {slot: int(slot in apart) for slot in self._slots}
            else:
                count = 1 if self._locking(height, round_) else count
                self._groups[height, round_] = {slot: rng.randrange(count) for slot in self._slots}
        return self._groups[height, round_]

    def _locking(self, height: int, round_: int) -> frozenset[OrgId]:
        """Whom the prepares of this round reach, where nobody gets its commits; none of another round."""
        if not self._lockers or not 0 <= round_ < ROUNDS_PARTITIONED - 1:
            return frozenset()
        rng = Random(f"{self._seed} {height} {round_} locks")
        if rng.random() > LOCKING:
            return frozenset()
        return frozenset(rng.sample(self._lockers, rng.randint(1, max(1, len(self._lockers) // 3))))


def run_twins(plan: Plan) -> Outcome:
    """One schedule. Raises `Broken` with what does not hold."""
    rng = Random(f"twins {plan.seed}")
    orgs = [OrgId(f"m{index:03}") for index in range(plan.members)]
    doubled = sorted(rng.sample(orgs, rng.randint(1, max(1, (plan.members - 1) // 3))))
    twins = tuple(
        (OrgId(f"{org}-twin{count}"), org) for org in doubled for count in range(1, 1 + rng.choice((1, 1, 1, 2)))
    )
    simulation = Simulation(plan, twins)
    honest = tuple(member.slot for member in simulation.honest)
    schedule = Schedule(plan.seed, tuple(simulation.members), honest if plan.seed % LOCKS_EVERY == 0 else ())
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
