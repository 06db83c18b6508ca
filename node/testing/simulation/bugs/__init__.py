"""Seeded bugs: deliberate faults in the product, each of which the simulator must catch.

`catalogue` the list; `hunt` puts each into a copy of the package and has `probe` run the simulator against it.
"""

from node.testing.simulation.bugs.catalogue import BUGS, Bug
from node.testing.simulation.bugs.hunt import CAUGHT_SHARE_MIN, Caught, hunt_all

__all__ = ["BUGS", "CAUGHT_SHARE_MIN", "Bug", "Caught", "hunt_all"]
