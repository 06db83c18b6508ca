"""N replicas in virtual time from one seed: faults, liars, twins; then healing, and checks.

`faults` runs one seed, `twins` one schedule of twins, `drills` the scripted scenarios, `campaign` many of them on all
cores; `bugs` runs all that against deliberate faults in the product. `simulation` holds the members and their events;
`member` is one replica with its crashes; `disk` what survives them; `network` what happens to messages; `liars` what
Byzantine members say; `checkers` what must always hold, by the word of `oracle`; `coverage` what a campaign must have
met. `plan` says what a run is to be; `arrivals` come by chance, `entrance` says who may; `snapshots` and `rows` one
member far behind; `labels` name effects; `reading` reads bytes once for all; `founding` networks for tests; `command`
the command line of `scripts/sim`.
"""

from node.testing.simulation.checkers import Broken
from node.testing.simulation.disk import Disk
from node.testing.simulation.faults import run_seed
from node.testing.simulation.founding import Founded, found
from node.testing.simulation.plan import Outcome, Plan
from node.testing.simulation.simulation import Simulation

__all__ = ["Broken", "Disk", "Founded", "Outcome", "Plan", "Simulation", "found", "run_seed"]
