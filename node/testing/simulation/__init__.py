"""N replicas in virtual time from one seed: a faulty network, crashes, skewed clocks; then healing, and checks.

`simulation` runs one seed; `member` is one replica with its disk and its crashes; `disk` what survives them;
`network` what happens to messages; `checkers` what must always hold; `founding` networks for tests; `command` the
command line of `scripts/sim`.
"""

from node.testing.simulation.checkers import Broken
from node.testing.simulation.disk import Disk
from node.testing.simulation.founding import Founded, found
from node.testing.simulation.simulation import Outcome, Plan, Simulation, run_seed

__all__ = ["Broken", "Disk", "Founded", "Outcome", "Plan", "Simulation", "found", "run_seed"]
