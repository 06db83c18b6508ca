"""One member behind takes over rows of blocks and loses its power on the way, again and again.

The blocks of a row share one disk sync, so here a crash takes blocks that were committed. Chance alone seldom brings a
member so far behind while faults go on. Peers lose and delay what they serve, one may lie; the others go on making
blocks, so that the member is asked for votes, too. What must hold is what always must: the checkers watch.
"""

from random import Random

from node.base.types import OrgId
from node.testing.simulation.coverage import Coverage
from node.testing.simulation.labels import ROW_CRASH
from node.testing.simulation.liars.liar import Liar, make_kit
from node.testing.simulation.liars.syncing import FalseRowsServed
from node.testing.simulation.member import Crashes, Member
from node.testing.simulation.network import CALM, Weather
from node.testing.simulation.plan import Plan
from node.testing.simulation.simulation import Simulation

BEHIND = (3, 12)
"""How many blocks the member lacks when it starts again."""
BLOCK_MS_MAX = 10_000
STARTS = 6
UP_MS = (100, 1_500)
"""How long it runs at most after each start; then its power goes, if it has not gone already."""
WORK_MS = 1_000
"""How often the one behind has a transaction, once all is healed."""


def run_rows(seed: int) -> Coverage:
    """What the run came to. Raises `Broken` with what does not hold."""
    chance = Random(f"rows {seed}")
    simulation = Simulation(Plan(seed=seed))
    simulation.start()
    simulation.run(100)
    behind = simulation.members[chance.choice(simulation.founded.orgs)]
    others = [org for org in simulation.founded.orgs if org != behind.org]
    _fall_behind(simulation, behind.org, others, chance)
    _begin_faults(simulation, others, chance)
    for _ in range(STARTS):
        between = chance.choice((None, ROW_CRASH, ROW_CRASH))
        behind.crashes = Crashes(chance.choice((0.0, 0.05)), between=between, after_times=chance.choice((0, 0, 1, 3)))
        behind.disk_ms = chance.choice((0, 0, 5, 40))
        simulation.start(behind.slot)
        simulation.at(chance.randint(0, UP_MS[1]), lambda: simulation.submit_if_up(chance.choice(others)))
        simulation.run(chance.randint(*UP_MS))
        simulation.stop(behind.slot)
    _heal(simulation, behind)
    return simulation.checkers.coverage


def _fall_behind(simulation: Simulation, behind: OrgId, others: list[OrgId], chance: Random) -> None:
    simulation.stop(behind)
    for height in range(1, 1 + chance.randint(*BEHIND)):
        simulation.submit(chance.choice(others))
        simulation.must_reach(height, *others, within_ms=BLOCK_MS_MAX)


def _begin_faults(simulation: Simulation, others: list[OrgId], chance: Random) -> None:
    simulation.network.weather = Weather(loss=chance.choice((0.0, 0.05, 0.3)), delay_ms_max=chance.choice((5, 50, 400)))
    if chance.random() < 0.5:
        liar = chance.choice(others)
        simulation.make_liar(liar, Liar(make_kit(liar, simulation), (FalseRowsServed,)))


def _heal(simulation: Simulation, behind: Member) -> None:
    """No more faults, but for the liar: the one behind comes to where the others are, beyond that, and to its state."""
    simulation.network.weather = CALM
    behind.crashes, behind.disk_ms = Crashes(), 0
    simulation.start()
    _work_on(simulation, behind.slot)
    simulation.must_reach(max(simulation.heights()) + 1)
    for member in simulation.honest:
        simulation.checkers.check_state(member.disk)


def _work_on(simulation: Simulation, author: OrgId) -> None:
    simulation.submit_if_up(author)
    simulation.at(WORK_MS, lambda: _work_on(simulation, author))
