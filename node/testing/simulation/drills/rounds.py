"""Members that are in different rounds come together; a lock that one member holds is found again."""

from node.testing.simulation.checkers import require
from node.testing.simulation.drills.stage import stage
from node.testing.simulation.labels import name_message

ALONE_MS = 120_000
TIMEOUT_MAX_MS = 8_000


def a_member_that_went_ahead_is_joined() -> None:
    """One of four is gone for good, one was alone for two minutes; then the three decide in three capped time-outs."""
    simulation = stage()
    alone, second, third, gone = simulation.founded.orgs
    simulation.stop(gone)
    simulation.drop = lambda sender, receiver, data: alone in (sender, receiver)
    simulation.submit(alone)
    simulation.run(ALONE_MS)
    simulation.submit(second)
    simulation.run(3_700)
    simulation.drop = lambda sender, receiver, data: False
    simulation.submit(third)
    simulation.must_reach(1, alone, second, third, within_ms=3 * TIMEOUT_MAX_MS)


def the_others_rounds_are_joined() -> None:
    """One member heard nothing for two minutes while two waited for it; then the three decide."""
    simulation = stage()
    alone, second, third, gone = simulation.founded.orgs
    simulation.stop(gone)
    simulation.drop = lambda sender, receiver, data: alone in (sender, receiver)
    simulation.submit(second)
    simulation.run(ALONE_MS)
    simulation.drop = lambda sender, receiver, data: False
    simulation.must_reach(1, alone, second, third, within_ms=3 * TIMEOUT_MAX_MS)


def one_members_lock_is_found_again() -> None:
    """Only one member heard a quorum of prepares; it restarts, and all come to the next block."""
    simulation = stage()
    locked = simulation.founded.orgs[2]
    simulation.drop = lambda sender, receiver, data: receiver != locked and name_message(data) == "Prepare"
    simulation.submit(simulation.founded.orgs[0])
    simulation.run(600)
    names = [name_message(entry) for entry in simulation.members[locked].disk.votes]
    require(names == ["Prepare", "PreparedBlock", "Commit"], f"{locked} has {names} in its vote log")
    simulation.stop(locked)
    simulation.drop = lambda sender, receiver, data: False
    simulation.start(locked)
    simulation.must_reach(1)


DRILLS = (a_member_that_went_ahead_is_joined, the_others_rounds_are_joined, one_members_lock_is_found_again)
