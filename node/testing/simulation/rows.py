"""One member behind takes over rows of blocks and loses its power on the way, again and again.

The blocks of a row share one disk sync, so here a crash takes blocks that were committed. Chance alone seldom brings a
member so far behind while faults go on. Peers lose and delay what they serve, one may lie; the others go on making
blocks, so that the member is asked for votes, too. What must hold is what always must: the checkers watch.
"""

from random import Random

from node.testing.simulation.checkers import require
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
HEALING_MS_MAX = 180_000


def run_rows(seed: int) -> Coverage:
    """What the run came to. Raises `Broken` with what does not hold."""
    chance = Random(f"rows {seed}")
    simulation = Simulation(Plan(seed=seed))
    simulation.start()
    simulation.run(100)
    behind = simulation.members[chance.choice(simulation.founded.orgs)]
    others = [member for member in simulation.honest if member is not behind]
    _fall_behind(simulation, behind, others, chance)
    _begin_faults(simulation, others, chance)
    for _ in range(STARTS):
        between = chance.choice((None, ROW_CRASH, ROW_CRASH))
        behind.crashes = Crashes(chance.choice((0.0, 0.05)), between=between, after_times=chance.choice((0, 0, 1, 3)))
        behind.disk_ms = chance.choice((0, 0, 5, 40))
        simulation.start(behind.slot)
        simulation.at(chance.randint(0, UP_MS[1]), lambda: _submit(simulation, chance.choice(others)))
        simulation.run(chance.randint(*UP_MS))
        simulation.stop(behind.slot)
    _heal(simulation, behind)
    return simulation.checkers.coverage


def _fall_behind(simulation: Simulation, behind: Member, others: list[Member], chance: Random) -> None:
    simulation.stop(behind.slot)
    for height in range(1, 1 + chance.randint(*BEHIND)):
        _submit(simulation, chance.choice(others))
        made = simulation.run(BLOCK_MS_MAX, lambda height=height: min(m.disk.height() for m in others) >= height)  # type: ignore[misc]
        require(made, f"three of four made no block {height} in {BLOCK_MS_MAX} ms")


def _begin_faults(simulation: Simulation, others: list[Member], chance: Random) -> None:
    simulation.network.weather = Weather(loss=chance.choice((0.0, 0.05, 0.3)), delay_ms_max=chance.choice((5, 50, 400)))
    if chance.random() < 0.5:
        liar = chance.choice(others).org
        simulation.make_liar(liar, Liar(make_kit(liar, simulation), (FalseRowsServed,)))


def _submit(simulation: Simulation, member: Member) -> None:
    if member.is_up:
        simulation.submit(member.slot)


def _heal(simulation: Simulation, behind: Member) -> None:
    """No more faults, but for the liar: all correct members come to one head and one state, the one behind, too."""
    simulation.network.weather = CALM
    behind.crashes, behind.disk_ms = Crashes(), 0
    simulation.start()
    goal = max(simulation.heights()) + 1
    working = True

    def work() -> None:
        if working:
            _submit(simulation, behind)
            simulation.at(1_000, work)

    work()
    reached = simulation.run(HEALING_MS_MAX, lambda: min(simulation.heights()) >= goal)
    working = False
    require(reached, f"{behind.org} does not catch up to {goal}: heights {simulation.heights()}")
    for member in simulation.honest:
        simulation.checkers.check_state(member.disk)
