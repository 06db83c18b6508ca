"""Scripted scenarios: situations that chance meets too seldom, each with what must come of it.

`accusations` what a member must say of a lie; `fetching` what a member must not take from others; `rounds` members that
come to one round; `memberships` the member set's changes; `entering` who comes into it; `snapshots` who lies about
states. `stage` is what they share. Each drill is a function without arguments that raises `Broken`; tests run all of
them, and so does the list of seeded bugs.
"""

from collections.abc import Callable

from node.testing.simulation.drills.accusations import DRILLS as ACCUSATIONS
from node.testing.simulation.drills.entering import DRILLS as ENTERING
from node.testing.simulation.drills.fetching import DRILLS as FETCHING
from node.testing.simulation.drills.memberships import DRILLS as MEMBERSHIPS
from node.testing.simulation.drills.rounds import DRILLS as ROUNDS
from node.testing.simulation.drills.snapshots import DRILLS as SNAPSHOTS

DRILLS: tuple[Callable[[], None], ...] = (*ACCUSATIONS, *FETCHING, *ROUNDS, *MEMBERSHIPS, *ENTERING, *SNAPSHOTS)

__all__ = ["DRILLS"]
