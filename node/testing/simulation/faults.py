"""Faults by chance, from the seed; then healing, progress in a stated time, and one head for all.

Which faults a run has, and how bad each is, is drawn once per run, so that some runs have one fault only, some many.
"""

from node.base.codec import encode
from node.base.types import OrgId
from node.ledger.contracts import membership
from node.ledger.contracts.membership.types import Motion, Present, Remove, Support
from node.testing.simulation.arrivals import end_halts, plan_arrivals
from node.testing.simulation.checkers import require
from node.testing.simulation.labels import CRASH_PAIRS
from node.testing.simulation.liars import draw_liar
from node.testing.simulation.member import Crashes, Member
from node.testing.simulation.network import CALM, Weather
from node.testing.simulation.plan import Outcome, Plan
from node.testing.simulation.rows import run_rows
from node.testing.simulation.simulation import Simulation
from node.testing.simulation.snapshots import run_snapshots

PROGRESS_TIMEOUTS = 3
"""Capped time-outs from healing to the next block: one in which the members come to one round, one for a proposer
that cannot propose yet, one to decide. Each liar may waste one more, as a proposer."""
HEALING_MS_MAX = 180_000
"""Until all members, also those that lack much, stand at one head."""
HEALED_HEIGHTS = 2
"""How much the chain must grow after healing."""
SKEW_MS_MAX = 3_000
"""How wrong a correct member's clock is: two of them differ by less than the tolerance of block times."""
SKEW_LARGE_MS = 3_600_000
"""How wrong the clock of at most f members is, liars counted, until it heals."""
LIAR_ACT_MS = 400
BEHIND_EVERY = 4
"""One seed of so many has a member far behind besides, that takes a snapshot, and another one that takes rows."""
STORM_MS_MAX = 4_000
"""How long a kind of message is kept from members."""


def run_seed(plan: Plan) -> Outcome:
    """Faults, healing, checks. Raises `Broken` with what does not hold."""
    simulation = Simulation(plan)
    _plan_liars(simulation)
    _plan_network(simulation)
    _plan_clocks_and_disks(simulation)
    _plan_crashes(simulation)
    _plan_transactions(simulation)
    _plan_membership(simulation)
    plan_arrivals(simulation)
    simulation.start()
    simulation.run(plan.faulty_ms)
    heal(simulation)
    check_progress(simulation)
    if plan.seed % BEHIND_EVERY == 0:
        for run_behind in (run_snapshots, run_rows):
            simulation.checkers.coverage.counts.update(run_behind(plan.seed).counts)
    return simulation.outcome()


def heal(simulation: Simulation) -> None:
    """No more faults, but for the liars, who go on lying."""
    simulation.network.weather = CALM
    for member in simulation.members.values():
        member.crashes = Crashes()
        member.disk_ms = 0
        if abs(member.skew_ms) > SKEW_MS_MAX:
            member.skew_ms = 0
    _unblock(simulation)
    end_halts(simulation)
    simulation.start()


def check_progress(simulation: Simulation) -> None:
    """After healing the chain grows in the stated time, and all correct members come to the same head and state."""
    start_ms, start_height = simulation.time_ms, max(simulation.heights())
    bound_ms = progress_ms_max(simulation)
    goal = start_height + HEALED_HEIGHTS
    for member in _voters(simulation):
        simulation.submit(member.slot)
    grown = simulation.run(bound_ms, lambda: max(simulation.heights()) > start_height)
    require(grown, f"no block in {bound_ms} ms after healing: heights {simulation.heights()}")
    simulation.progress_ms = simulation.time_ms - start_ms

    def submit_more() -> None:
        if min(simulation.heights()) < goal:
            simulation.submit(simulation.rng.choice(_voters(simulation)).slot)
            simulation.at(1_000, submit_more)

    submit_more()
    grown = simulation.run(HEALING_MS_MAX, lambda: min(simulation.heights()) >= goal)
    require(grown, f"after healing, heights {simulation.heights()} do not reach {goal}")
    require(simulation.run(HEALING_MS_MAX, lambda: _at_rest(simulation)), _restless(simulation))
    for member in simulation.honest:
        simulation.checkers.check_state(member.disk)


def progress_ms_max(simulation: Simulation) -> int:
    """How long the first block after healing may take: who lies, or has lost its vote log, may be the next proposer."""
    silent = [member for member in _voters(simulation) if _is_silent(member)]
    timeouts = PROGRESS_TIMEOUTS + len(simulation.checkers.liars) + len(silent)
    return timeouts * simulation.plan.parameters.round_timeout_max_ms


def _is_silent(member: Member) -> bool:
    replica = member.replica
    return replica is not None and (replica.silence is None or replica.silent_until is not None)


def _voters(simulation: Simulation) -> list[Member]:
    """The correct members that are in force."""
    return [member for member in simulation.honest if member.org in simulation.checkers.newest_set.keys]


def _at_rest(simulation: Simulation) -> bool:
    members = simulation.honest
    if any(member.replica is None or member.replica.pending for member in members):
        return False
    if len({member.disk.height() for member in members}) > 1:
        return False
    return len({member.tip.head for member in members}) == 1


def _restless(simulation: Simulation) -> str:
    waiting = [None if member.replica is None else member.replica.pending for member in simulation.honest]
    return f"members do not come to one head: heights {simulation.heights()}, waiting transactions {waiting}"


# What is drawn


def _plan_liars(simulation: Simulation) -> None:
    rng, plan = simulation.rng, simulation.plan
    faults_max = (plan.members - 1) // 3
    count = rng.randint(0, faults_max) if plan.liars is None else min(plan.liars, faults_max)
    for org in sorted(rng.sample(simulation.founded.orgs, count)):
        simulation.make_liar(org, draw_liar(org, simulation))
        _act_again(simulation, org)


def _act_again(simulation: Simulation, org: OrgId) -> None:
    simulation.liars[org].acts()
    simulation.at(simulation.rng.randint(1, 2 * LIAR_ACT_MS), lambda: _act_again(simulation, org))


def _plan_network(simulation: Simulation) -> None:
    rng, plan, orgs = simulation.rng, simulation.plan, simulation.founded.orgs
    simulation.network.weather = Weather(
        loss=rng.choice((0.0, 0.02, 0.1, 0.3)),
        duplication=rng.choice((0.0, 0.05, 0.3)),
        delay_ms_max=rng.choice((5, 50, 400)),
        slow=rng.choice((0.0, 0.05, 0.3)),
    )
    for _ in range(rng.randint(0, 3)):
        simulation.at(rng.randint(0, plan.faulty_ms), lambda: simulation.network.cut(orgs))
        simulation.at(rng.randint(0, plan.faulty_ms), lambda: _unblock(simulation))
    if rng.random() < 0.5:
        for _ in range(3):
            kind = rng.choice(("Prepare", "Prepare", "Commit", "Proposal", "RoundChange", "Transactions"))
            start_ms = rng.randint(0, plan.faulty_ms)
            simulation.at(start_ms, lambda kind=kind: simulation.network.starve(kind, orgs))  # type: ignore[misc]
            simulation.at(start_ms + rng.randint(100, STORM_MS_MAX), simulation.network.starved.clear)


def _plan_clocks_and_disks(simulation: Simulation) -> None:
    rng, plan = simulation.rng, simulation.plan
    for member in simulation.members.values():
        member.skew_ms = rng.choice((0, 0, rng.randint(-SKEW_MS_MAX, SKEW_MS_MAX)))
        member.disk_ms = rng.choice((0, 0, 0, 5, 40, 600))
    spare = (plan.members - 1) // 3 - len(simulation.liars)
    draw = rng.random()
    if spare > 0 and draw < 0.3:
        simulation.weakened = spare
        for member in rng.sample(simulation.honest, spare):
            skew_ms = rng.choice((-SKEW_LARGE_MS, SKEW_LARGE_MS))
            simulation.at(rng.randint(0, plan.faulty_ms), lambda m=member, s=skew_ms: setattr(m, "skew_ms", s))  # type: ignore[misc]
    elif spare > 0 and draw < 0.6:
        simulation.weakened = spare
        for member in rng.sample(simulation.honest, spare):
            simulation.at(rng.randint(500, plan.faulty_ms), lambda m=member: _wipe(simulation, m))  # type: ignore[misc]


def _wipe(simulation: Simulation, member: Member) -> None:
    """The member dies and loses its vote log, all that it had, or its chain; it comes back as everybody does."""
    simulation.stop(member.slot)
    lost = simulation.rng.choice(("votes", "votes", "all", "ledger"))
    if lost == "ledger":
        member.disk.wipe_ledger()
        return
    if lost == "votes":
        member.disk.wipe_votes()
    else:
        member.disk.wipe()
    simulation.checkers.wiped.add(member.org)


def _plan_crashes(simulation: Simulation) -> None:
    rng, plan = simulation.rng, simulation.plan
    chance = rng.choice((0.0, 0.0, 0.002, 0.01, 0.05))
    for member in simulation.honest:
        between = rng.choice(CRASH_PAIRS) if rng.random() < 0.5 else None
        member.crashes = Crashes(chance=chance, between=between, after_times=rng.choice((0, 0, 1, 3)))
    for _ in range(rng.randint(0, 3)):
        slot = rng.choice(simulation.honest).slot
        simulation.at(rng.randint(0, plan.faulty_ms), lambda slot=slot: simulation.stop(slot))  # type: ignore[misc]
    if rng.random() < 0.1:
        simulation.at(rng.randint(0, plan.faulty_ms), lambda: _stop_all(simulation))
    for at_ms in range(1_000, plan.faulty_ms, 1_000):
        simulation.at(at_ms, lambda: _maybe_restart(simulation))


def _plan_transactions(simulation: Simulation) -> None:
    rng, plan = simulation.rng, simulation.plan
    for _ in range(plan.transactions):
        org = rng.choice(simulation.founded.orgs)
        simulation.at(rng.randint(50, plan.faulty_ms), lambda org=org: simulation.submit_if_up(org))  # type: ignore[misc]


def _plan_membership(simulation: Simulation) -> None:
    """In some runs the members remove one of them; in some, one of them gets a new node key."""
    rng, plan = simulation.rng, simulation.plan
    if rng.random() < 0.3 and _faulty(simulation) <= (plan.members - 2) // 3 and plan.members > 2:
        removed = rng.choice(simulation.founded.orgs)
        first_ms = rng.randint(500, plan.faulty_ms // 2)
        for again_ms in (0, plan.faulty_ms // 3):
            for org in simulation.founded.orgs:
                at_ms = first_ms + again_ms + rng.randint(0, 500)
                simulation.at(at_ms, lambda org=org: support(simulation, org, Remove(removed)))  # type: ignore[misc]
    if rng.random() < 0.3:
        org = rng.choice(simulation.honest).org
        simulation.at(rng.randint(500, plan.faulty_ms // 2), lambda: rotate(simulation, org))


def _faulty(simulation: Simulation) -> int:
    """How many members lie, have a clock that is an hour wrong, or lose their disks."""
    return len(simulation.liars) + simulation.weakened


def support(simulation: Simulation, org: OrgId, motion: Motion) -> None:
    """The member's operator is for the motion."""
    simulation.submit_if_up(org, membership.NAME, "support", encode(Support(motion)))


def rotate(simulation: Simulation, org: OrgId) -> None:
    """The member's operator presents a card with its next node key."""
    simulation.checkers.rotating = True
    simulation.submit_if_up(
        org, membership.NAME, "present", encode(Present(simulation.founded.rotated_card(org), None))
    )


def _stop_all(simulation: Simulation) -> None:
    for slot in simulation.members:
        simulation.stop(slot)


def _maybe_restart(simulation: Simulation) -> None:
    down = [slot for slot, member in simulation.members.items() if not member.is_up]
    if down and simulation.rng.random() < 0.5:
        simulation.start(simulation.rng.choice(down))


def _unblock(simulation: Simulation) -> None:
    for first, second in sorted({(min(pair), max(pair)) for pair in simulation.network.heal()}):
        # A connection that carried nothing for a while is sometimes noticed and made anew, sometimes just goes on.
        if simulation.rng.random() < 0.5:
            simulation.reconnect(first, second)
