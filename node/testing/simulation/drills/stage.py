"""What drills share: a network that stands, a liar whose hands a drill moves, calls and blocks."""

from node.base.codec import encode
from node.base.types import Digest, OrgId, Parameters, PeerMessage
from node.engine.replica import PeerSent
from node.testing.simulation.checkers import require
from node.testing.simulation.liars.kit import Kit, to_bytes
from node.testing.simulation.liars.liar import make_kit
from node.testing.simulation.plan import Plan
from node.testing.simulation.simulation import Simulation


def stage(members: int = 4, seed: int = 7, *, heartbeat_ms: int = 600_000) -> Simulation:
    """A calm network, up and linked."""
    parameters = Parameters(round_timeout_ms=1_000, round_timeout_max_ms=8_000, heartbeat_ms=heartbeat_ms)
    simulation = Simulation(Plan(seed=seed, members=members, parameters=parameters))
    simulation.start()
    simulation.run(100)
    return simulation


def liar_of(simulation: Simulation, org: OrgId) -> Kit:
    """From now on the member may say anything; the drill says it."""
    simulation.checkers.liars |= {org}
    return make_kit(org, simulation)


def say(simulation: Simulation, kit: Kit, to: OrgId, message: PeerMessage | bytes) -> None:
    """The liar's message arrives, and is seen by the checkers."""
    simulation.checkers.posted(to_bytes(message))
    simulation.feed(to, PeerSent(kit.org, to_bytes(message)))


def must_accuse(simulation: Simulation, kit: Kit, judge: OrgId, what: str, lie: PeerMessage | bytes) -> None:
    """The lie makes the judge name the liar, and nobody else."""
    before = len(simulation.members[judge].faults_seen)
    say(simulation, kit, judge, lie)
    accused = {fault.peer for fault in simulation.members[judge].faults_seen[before:]}
    require(accused == {kit.org}, f"{judge} names {sorted(accused)} and not {kit.org}, who {what}")


def call(simulation: Simulation, org: OrgId, contract: str, method: str, payload: object) -> Digest:
    """The organisation's own transaction, handed in at its member; returns its id."""
    transaction = simulation.transaction(org, contract, method, encode(payload))
    simulation.submit(org, transaction)
    return transaction.id


def more_blocks(simulation: Simulation, count: int, author: OrgId) -> None:
    """So many blocks, one after the other, of transactions of this member."""
    for _ in range(count):
        height = simulation.members[author].disk.height()
        simulation.submit(author)
        simulation.must_reach(height + 1, author)
