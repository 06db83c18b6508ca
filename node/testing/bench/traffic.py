"""Part `consensus-traffic`: what members send for a block, on the production cores in virtual time.

`messages_over_ideal`: messages per block over (n - 1)(2n + 1), the proposal and two rounds of votes, while one
transaction after the other comes in; everything counts but the transactions' own gossip. The worst n counts. Up to 16
members it runs for longer than tips are apart; beyond, for a few blocks, because one block has 20,000 messages.

`bytes_over_ideal`: all bytes sent, the gossip of transactions included, over the blocks' bytes x (n - 1), with blocks
of up to 256 KiB: each body has to reach each member once. The worst n counts.

Signatures are keyed hashes of the same length as real ones; links are calm. Frames and TLS are not in it.
"""

from collections.abc import Callable
from typing import Any

from node.base.codec import encode
from node.base.crypto import digest
from node.base.types import Digest, Height, OrgId, Parameters, Transactions
from node.ledger.contracts.sharing import Register
from node.testing.bench.figures import Figure, ratio
from node.testing.simulation.founding import START_MS
from node.testing.simulation.labels import name_message
from node.testing.simulation.plan import Plan
from node.testing.simulation.simulation import Simulation

MESSAGES_MEMBERS = (4, 7, 10, 16, 31, 64, 100)
BYTES_MEMBERS = (4, 7, 10, 16)
BLOCK_BYTES = 256 << 10
FULL_BLOCKS = 3
STEADY_BLOCKS = 20
STEADY_MEMBERS_MAX = 16
FEW_BLOCKS = 2
SETTLE_MS = 3_000
BLOCK_MS_MAX = 20_000
NAME_LENGTH = 50


async def measure_traffic() -> list[Figure]:
    """`messages_over_ideal` and `bytes_over_ideal`."""
    messages = {members: _messages_per_block(members) for members in MESSAGES_MEMBERS}
    worst = max(messages, key=lambda members: messages[members] / ideal_messages(members))
    raw = {f"messages_n{members}": messages[members] for members in MESSAGES_MEMBERS}
    sent = {members: _bytes_over_blocks(members) for members in BYTES_MEMBERS}
    heaviest = max(sent, key=lambda members: sent[members][0] / sent[members][1])
    return [
        ratio("messages_over_ideal", messages[worst], ideal_messages(worst), raw),
        ratio(
            "bytes_over_ideal",
            *sent[heaviest],
            {f"bytes_over_ideal_n{n}": over / under for n, (over, under) in sent.items()},
        ),
    ]


def ideal_messages(members: int) -> float:
    """One proposal to each other member, one prepare and one commit from each to each."""
    return (members - 1) * (2 * members + 1)


class _Tap:
    """Counts what members post."""

    def __init__(self, simulation: Simulation) -> None:
        self.agreement = 0
        self.bytes = 0
        simulation.drop = self._count

    def _count(self, sender: OrgId, receiver: OrgId, message: bytes) -> bool:
        self.bytes += len(message)
        self.agreement += name_message(message) != Transactions.__name__
        return False


def _messages_per_block(members: int) -> float:
    simulation = _started(members, Parameters())
    # The first one after a long rest is told of at once.
    _submit(simulation, simulation.founded.orgs[0], 1_000)
    _until(simulation, lambda: min(simulation.heights()) > 0)
    tap = _Tap(simulation)
    first = max(simulation.heights())
    for number in range(STEADY_BLOCKS if members <= STEADY_MEMBERS_MAX else FEW_BLOCKS):
        height = max(simulation.heights())
        _submit(simulation, simulation.founded.orgs[number % members], number)
        _until(simulation, lambda height=height: min(simulation.heights()) > height)  # type: ignore[misc]
    return tap.agreement / (max(simulation.heights()) - first)


def _bytes_over_blocks(members: int) -> tuple[float, float]:
    """Bytes sent, and the least that had to be."""
    simulation = _started(members, Parameters(block_bytes_max=BLOCK_BYTES))
    tap = _Tap(simulation)
    first = max(simulation.heights())
    orgs = simulation.founded.orgs
    size = len(_transaction(simulation, orgs[0], 0).encoded)
    for number in range(FULL_BLOCKS * BLOCK_BYTES // size):
        _submit(simulation, orgs[number % members], number)
    replicas = [member.replica for member in simulation.honest if member.replica is not None]
    _until(simulation, lambda: all(replica.pending == 0 for replica in replicas))
    heights = [Height(height) for height in range(first + 1, max(simulation.heights()) + 1)]
    disk = simulation.members[orgs[0]].disk
    blocks = [disk.block(height) for height in heights]
    size = sum(len(encode(certified.block)) for certified in blocks if certified is not None)
    return float(tap.bytes), float(size * (members - 1))


def _started(members: int, parameters: Parameters) -> Simulation:
    simulation = Simulation(Plan(seed=1, members=members, parameters=parameters))
    simulation.start()
    simulation.run(SETTLE_MS)
    return simulation


def _transaction(simulation: Simulation, org: OrgId, number: int) -> Any:
    name = f"{number:09d}-".ljust(NAME_LENGTH, "x")
    call = encode(Register(name, Digest(digest("bench", name.encode()))))
    until_ms = START_MS + simulation.time_ms + 600_000
    return simulation.founded.transaction(org, number, "sharing", "register", call, until_ms)


def _submit(simulation: Simulation, org: OrgId, number: int) -> None:
    simulation.submit(org, _transaction(simulation, org, number))


def _until(simulation: Simulation, holds: Callable[[], bool]) -> None:
    if not simulation.run(BLOCK_MS_MAX, holds):
        raise ValueError("the simulated network made no block in time")
