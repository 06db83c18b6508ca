"""What runs against one copy of the package: the drills, then seeds of every kind, until something breaks."""

import sys
from collections.abc import Callable, Iterator

from node.testing.simulation.drills import DRILLS
from node.testing.simulation.faults import run_seed
from node.testing.simulation.plan import Plan
from node.testing.simulation.twins import run_twins

MEMBERS = (4, 4, 5, 6, 4, 7)
"""Of the seeds in turn; at five and six, 2f + 1 is no quorum."""
TWINS_EVERY = 4


def main() -> None:
    """Exit code 0 when nothing breaks; else 1, and in the last line what broke."""
    for name, run in _runs(int(sys.argv[1])):
        try:
            run()
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            sys.exit(1)


def _runs(seeds: int) -> Iterator[tuple[str, Callable[[], object]]]:
    for drill in DRILLS:
        yield f"drill {drill.__name__}", drill
    for seed in range(seeds):
        members = MEMBERS[seed % len(MEMBERS)]
        if seed % TWINS_EVERY == TWINS_EVERY - 1:
            yield f"twins {seed}", lambda s=seed, n=members: run_twins(Plan(seed=s, members=n))  # type: ignore[misc]
        else:
            plan = Plan(seed=seed, members=members, liars=1 if seed % 3 else 0)
            yield f"seed {seed}", lambda plan=plan: run_seed(plan)  # type: ignore[misc]
