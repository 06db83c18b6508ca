"""Part `averaging`: one exchange of four members with 100 MB each, over the same butterfly on bare streams.

`averaging_over_stream`: four processes, each a production `TrainingEngine` on a production `GrpcTransport`, with a
learner that changes 25 million float32 values by fixed amounts. The clock starts when all four new vectors are there
and the learners may answer; it stops when the ledger has closed the training round and every member has the new
model's file on disk. So it holds: encoding to integers, the update's sealed copy on disk, salted leaves and
commitment, the exchange with every leaf checked, sums and their roots, the new model, its digest and its file. There
is no agreement in it: a transaction goes to the conductor, which sends it to all in one order, and each runs the real
contract on a state in memory.

The yardstick, in the same processes before: the same butterfly on bare grpc.aio streams under the same mutual TLS, in
chunks of 1 MiB, with float32 sums in memory; no commitments, no integers, no disk. From the word "go" until all have
the whole sum. Medians of both.
"""

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from node.testing.bench import exchange
from node.testing.bench.crew import Crew, Message
from node.testing.bench.figures import Figure, ratio
from node.testing.processes import ClusterError

ORGS = ("member-1", "member-2", "member-3", "member-4")
VALUES = 25_000_000
"""float32: 100 MB."""
BARE_ROUNDS = 5
ROUNDS = 3


@dataclass(slots=True)
class _Round:
    """One production exchange, in seconds of the machine's monotonic clock."""

    trained: int = 0
    went: float = 0.0
    candidates: float = 0.0
    """When the last commitment had been run by all."""
    held: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return max(self.held) - self.went


async def measure_averaging(root: Path, *, values: int = VALUES, rounds: int = ROUNDS) -> list[Figure]:
    """`averaging_over_stream`. Raises `ClusterError`."""
    arguments = [(org, str(values), str(rounds), str(root / org)) for org in ORGS]
    async with Crew(exchange.MODULE, arguments, root / "exchange.log") as crew:
        hellos = await crew.gather("hello")
        crew.tell({"members": [hello["hello"] for hello in hellos]})
        linked = await crew.gather("linked")
        crew.tell({"ports": {org: message["linked"] for org, message in zip(ORGS, linked, strict=True)}})
        bare = [await _bare(crew, number) for number in range(BARE_ROUNDS + 1)][1:]
        crew.tell({"train": True})
        exchanges = await _exchanges(crew, rounds)
    seconds, stream = statistics.median(one.seconds for one in exchanges), statistics.median(bare)
    raw = {
        "averaging_p50_s": seconds,
        "averaging_min_s": min(one.seconds for one in exchanges),
        "averaging_max_s": max(one.seconds for one in exchanges),
        "of_it_until_all_committed_s": statistics.median(one.candidates - one.went for one in exchanges),
        "bare_p50_s": stream,
        "bare_min_s": min(bare),
        "bare_max_s": max(bare),
        "megabytes_each": values * 4 / 1e6,
    }
    return [ratio("averaging_over_stream", seconds, stream, raw)]


async def _bare(crew: Crew, number: int) -> float:
    crew.tell({"offer": number})
    await crew.gather("offered")
    since = time.monotonic()
    crew.tell({"bare": number})
    return max(float(message["bare"]) for message in await crew.gather("bare")) - since


async def _exchanges(crew: Crew, count: int) -> list[_Round]:
    """Relay transactions in one order until all training rounds are over, and time each."""
    rounds = [_Round() for _ in range(count + 1)]
    while len(rounds[count].held) < len(ORGS):
        index, message = await crew.hear()
        match message:
            case {"submit": [str(method), str(payload)]}:
                crew.tell({"call": [ORGS[index], method, payload]})
            case {"trained": int(number)}:
                _trained(crew, rounds[number], number)
            case {"committed": int(number), "at": float(at)}:
                rounds[number].candidates = max(rounds[number].candidates, at)
            case {"held": int(number), "at": float(at)}:
                rounds[number].held.append(at)
            case {"trouble": str(trouble)}:
                raise ClusterError(f"{ORGS[index]} could not go on: {trouble}")
            case _:
                raise ClusterError(f"{ORGS[index]} said {_short(message)}")
    return rounds[1:]


def _trained(crew: Crew, one: _Round, number: int) -> None:
    one.trained += 1
    if one.trained == len(ORGS):
        one.went = time.monotonic()
        crew.tell({"go": number})


def _short(message: Message) -> str:
    return str(message)[:200]
