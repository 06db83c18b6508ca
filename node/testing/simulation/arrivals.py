"""Drawn for some runs: the members admit an organisation that was no founder; operators halt members at a height.

Draws come from a chance of their own, so that the other runs of a seed stay what they were.
"""

from random import Random

from node.base.codec import encode
from node.base.types import Height, OrgId
from node.engine.joining import ready_now
from node.engine.replica import HaltAt
from node.ledger.contracts import membership
from node.ledger.contracts.contract import view
from node.ledger.contracts.membership.types import Admit, Ready, State, Support
from node.testing.simulation import coverage
from node.testing.simulation.member import Member
from node.testing.simulation.simulation import Simulation

ADMISSIONS = 0.25
"""Of runs, as a share."""
HALTS = 0.2
LOOK_MS = 300
"""How often the applicant's daemon looks where it stands, as the product's does after each block."""
HALT_BLOCKS_MAX = 1
HALT_MS = (4_000, 10_000)
WORK_MS = 700
"""Between transactions that make the blocks up to the halt."""


def plan_arrivals(simulation: Simulation) -> None:
    """Draw both."""
    chance = Random(f"arrivals {simulation.plan.seed}")
    if chance.random() < ADMISSIONS:
        _plan_admission(simulation, chance)
    if chance.random() < HALTS:
        _plan_halt(simulation, chance)


def end_halts(simulation: Simulation) -> None:
    """The operators end every halt."""
    for member in simulation.members.values():
        if member.halt_at is None:
            continue
        if member.disk.height() == member.halt_at:
            simulation.checkers.coverage.note(coverage.HALT)
        member.halt_at = None
        simulation.feed(member.slot, HaltAt(None))


# Admission


def _plan_admission(simulation: Simulation, chance: Random) -> None:
    """All operators are for it, and say so again later: what was said to a member that was down is lost."""
    motion = encode(Support(Admit(simulation.founded.applicant)))
    first_ms = chance.randint(200, simulation.plan.faulty_ms // 3)
    for again_ms in (0, simulation.plan.faulty_ms // 4, simulation.plan.faulty_ms // 2):
        for org in simulation.founded.orgs:
            at_ms = first_ms + again_ms + chance.randint(0, 500)
            simulation.at(at_ms, lambda org=org: simulation.submit_if_up(org, membership.NAME, "support", motion))  # type: ignore[misc]
    simulation.at(first_ms, lambda: _wait_for_admission(simulation))


def _wait_for_admission(simulation: Simulation) -> None:
    """The applicant's operator starts the daemon when any member's ledger has admitted it."""
    org = simulation.founded.applicant.body.org
    if any(_is_candidate(member, org) for member in simulation.honest):
        _look(simulation, simulation.join(), None, frozenset())
    else:
        simulation.at(LOOK_MS, lambda: _wait_for_admission(simulation))


def _is_candidate(member: Member, org: OrgId) -> bool:
    standing = membership.standing_of(view(member.disk.state, membership.NAME), org)
    return standing is not None and standing.state is State.CANDIDATE


def _look(simulation: Simulation, member: Member, said: Height | None, linked: frozenset[OrgId]) -> None:
    """What `engine.joining.Joiner` does; and links come up where a ledger admits it at last."""
    knowing = frozenset(other.slot for other in simulation.honest if _is_candidate(other, member.org))
    for slot in sorted(knowing - linked):
        simulation.reconnect(slot, member.slot)
    replica = member.replica
    if replica is not None:
        behind = not replica.tips or any(tip.height > replica.height for tip in replica.tips.values())
        ready = Ready(replica.height, replica.state_root)
        if ready_now(member.disk.state, member.org, ready, behind=behind, said=said):
            simulation.submit_if_up(member.org, membership.NAME, "ready", encode(ready))
            said = ready.height
    simulation.at(LOOK_MS, lambda: _look(simulation, member, said, linked | knowing))


# Halts


def _plan_halt(simulation: Simulation, chance: Random) -> None:
    """All members, or some, halt a little above the highest block; a while later their operators end it."""
    begins_ms = chance.randint(200, simulation.plan.faulty_ms // 2)
    share, above = chance.choice((0.3, 1.0)), chance.randint(0, HALT_BLOCKS_MAX)

    def halt() -> None:
        # The highest may have one block more than its disk, and no member halts below where it stands.
        height = Height(max(simulation.heights()) + 2 + above)
        for member in simulation.honest:
            if chance.random() < share:
                member.halt_at = height
                simulation.feed(member.slot, HaltAt(height))

    simulation.at(begins_ms, halt)
    for number in range(1, above + 4):
        org = chance.choice(simulation.founded.orgs)
        simulation.at(begins_ms + number * WORK_MS, lambda org=org: simulation.submit_if_up(org))  # type: ignore[misc]
    simulation.at(begins_ms + chance.randint(*HALT_MS), lambda: end_halts(simulation))
