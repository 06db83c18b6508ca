"""Who comes into the member set: admitted by a quorum, and ready with a true state; and who halts where it was told."""

from node.base.types import Digest, Height, OrgId
from node.engine.replica import HaltAt
from node.ledger.contracts.membership.types import Admit, Ready, Remove, Support
from node.testing.simulation.checkers import require
from node.testing.simulation.drills.stage import call, more_blocks, stage
from node.testing.simulation.simulation import Simulation

BLOCKS_AFTER = 3


def _voting(simulation: Simulation) -> tuple[OrgId, ...]:
    return simulation.checkers.newest_set.orgs


def who_is_ready_comes_in_after_a_quorum_and_with_a_true_state() -> None:
    """Two of four admit nobody; a candidate that shows a false state, or one of no block, stays outside."""
    simulation = stage()
    first, second, third, _ = simulation.founded.orgs
    card = simulation.founded.applicant
    org = card.body.org
    for supporter in (first, second):
        call(simulation, supporter, "membership", "support", Support(Admit(card)))
    more_blocks(simulation, BLOCKS_AFTER, first)
    call(simulation, third, "membership", "support", Support(Admit(card)))
    more_blocks(simulation, BLOCKS_AFTER, first)
    simulation.join()
    more_blocks(simulation, BLOCKS_AFTER, first)
    require(org not in _voting(simulation), f"{org} votes and never said that it was ready")
    height = simulation.members[org].disk.height()
    for lie in (Ready(height, Digest(bytes(32))), Ready(Height(height + 100), Digest(bytes(32)))):
        call(simulation, org, "membership", "ready", lie)
        more_blocks(simulation, BLOCKS_AFTER, first)
        require(org not in _voting(simulation), f"{org} votes and showed a false state")
    replica = simulation.members[org].replica
    assert replica is not None, "it runs"
    call(simulation, org, "membership", "ready", Ready(replica.height, replica.state_root))
    more_blocks(simulation, BLOCKS_AFTER, first)
    require(org in _voting(simulation), f"{org} was admitted, is ready, and does not vote")


def who_was_removed_is_not_ready_again() -> None:
    """Its `ready` counts for nothing until it is admitted anew."""
    simulation = stage(members=5)
    *stay, victim = simulation.founded.orgs
    for org in stay:
        call(simulation, org, "membership", "support", Support(Remove(victim)))
    more_blocks(simulation, BLOCKS_AFTER, stay[0])
    require(victim not in _voting(simulation), "a quorum's decision to remove a member is not in force")
    replica = simulation.members[stay[0]].replica
    assert replica is not None, "it runs"
    call(simulation, victim, "membership", "ready", Ready(replica.height, replica.state_root))
    more_blocks(simulation, BLOCKS_AFTER, stay[0])
    require(victim not in _voting(simulation), f"{victim} was removed and votes")


def all_halt_at_one_block_and_go_on() -> None:
    """The checkers see that nobody commits above the halt; without it the chain goes on."""
    simulation = stage()
    for member in simulation.members.values():
        member.halt_at = Height(2)
        simulation.feed(member.slot, HaltAt(Height(2)))
    for _ in range(2):
        more_blocks(simulation, 1, simulation.founded.orgs[0])
    simulation.submit(simulation.founded.orgs[1])
    simulation.run(20_000)
    require(simulation.heights() == [2] * 4, f"halted at 2, heights {simulation.heights()}")
    for member in simulation.members.values():
        member.halt_at = None
        simulation.feed(member.slot, HaltAt(None))
    simulation.must_reach(3)


DRILLS = (
    who_is_ready_comes_in_after_a_quorum_and_with_a_true_state,
    who_was_removed_is_not_ready_again,
    all_halt_at_one_block_and_go_on,
)
