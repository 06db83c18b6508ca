"""Many seeds on all cores: what passed, what failed and how to replay it, how fast, and what was met.

Each seed is a run of its own and comes out the same whoever runs it, so that processes only share out ranges of seeds.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from node.testing.simulation import coverage
from node.testing.simulation.faults import PROGRESS_TIMEOUTS, run_seed
from node.testing.simulation.plan import TIMEOUT_MAX_MS, Outcome, Plan
from node.testing.simulation.twins import run_twins
from node.testing.workers import workers

CHUNK_SEEDS = 20
GARBAGE_OBJECTS = 500_000
"""New objects before the collector looks for cycles: a run makes few before its end, and looking costs a tenth."""
REAL_SIGNATURES_EVERY = 100
"""One seed in so many signs with Ed25519; the others with a keyed hash."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is to be run."""

    seed: int
    seeds: int
    members: tuple[int, int] = (4, 4)
    """Least and most; a seed's number of members follows from the seed."""
    faulty_ms: int = 20_000
    transactions: int = 6
    liars: int | None = None
    """At most so many, never more than f; None draws from each seed."""
    twins: bool = False
    real_signatures: bool = False
    replay: bool = False
    """Run each seed twice and compare."""

    def plan(self, seed: int) -> Plan:
        """One seed's run."""
        least, most = self.members
        return Plan(
            seed=seed,
            members=least + seed % (most - least + 1),
            faulty_ms=self.faulty_ms,
            transactions=self.transactions,
            liars=self.liars,
            real_signatures=self.real_signatures or seed % REAL_SIGNATURES_EVERY == 0,
        )

    def command(self, seed: int) -> str:
        """The line that replays one seed."""
        words = [f"scripts/sim --seed {seed} --seeds 1 --members {self.plan(seed).members}"]
        if self.twins:
            words.append("--twins")
        else:
            words.append(f"--minutes {self.faulty_ms / 60_000:.9g} --transactions {self.transactions}")
            words.append(f"--byzantine {'drawn' if self.liars is None else self.liars}")
        if self.real_signatures:
            words.append("--ed25519")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed in which a rule did not hold."""

    seed: int
    members: int
    words: str
    replay: str


@dataclass(frozen=True, slots=True)
class Report:
    """How a campaign ended."""

    kind: str
    seeds: int
    passed: int
    failures: tuple[Failure, ...]
    members: tuple[int, int]
    blocks: int
    events: int
    crashes: int
    with_liars: int
    rounds_max: int
    progress_ms_max: int
    progress_bound: str
    virtual_s: float
    seconds: float
    jobs: int
    coverage: dict[str, int]
    """In how many seeds each thing happened."""
    missed: tuple[str, ...]
    """What no seed came to and should have."""

    @property
    def good(self) -> bool:
        """Whether every rule held in every seed and everything was met."""
        return not self.failures and not self.missed

    @property
    def speed(self) -> float:
        """Virtual seconds per real second, all jobs together."""
        return self.virtual_s / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "virtual_seconds_per_second": round(self.speed, 1), "good": self.good}


def run_one(campaign: Campaign, seed: int) -> Outcome | Failure:
    """One seed; whatever goes wrong in it is a failure in words."""
    plan = campaign.plan(seed)
    run = run_twins if campaign.twins else run_seed
    threshold = gc.get_threshold()
    gc.set_threshold(GARBAGE_OBJECTS)
    try:
        outcome = run(plan)
        if campaign.replay and run(plan) != outcome:
            return Failure(seed, plan.members, "the same seed gave two different runs", campaign.command(seed))
    except Exception as error:
        return Failure(seed, plan.members, f"{type(error).__name__}: {error}", campaign.command(seed))
    finally:
        gc.set_threshold(*threshold)
        gc.collect(0)
    return outcome


def run_campaign(
    campaign: Campaign, jobs: int, progress: Callable[[int, Outcome | Failure], None] = lambda done, last: None
) -> Report:
    """All seeds; `progress` hears how many are done, with the last."""
    started = time.monotonic()
    outcomes: list[Outcome] = []
    failures: list[Failure] = []
    for done, result in enumerate(_results(campaign, jobs), start=1):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            outcomes.append(result)
        progress(done, result)
    return _sum_up(campaign, outcomes, failures, time.monotonic() - started, jobs)


def _results(campaign: Campaign, jobs: int) -> Iterator[Outcome | Failure]:
    seeds = range(campaign.seed, campaign.seed + campaign.seeds)
    if jobs == 1 or campaign.seeds <= CHUNK_SEEDS:
        yield from (run_one(campaign, seed) for seed in seeds)
        return
    chunks = [
        replace(campaign, seed=first, seeds=min(CHUNK_SEEDS, seeds.stop - first))
        for first in range(seeds.start, seeds.stop, CHUNK_SEEDS)
    ]
    with workers(jobs) as pool:
        for results in pool.map(_run_chunk, chunks):
            yield from results


def _run_chunk(campaign: Campaign) -> list[Outcome | Failure]:
    return [run_one(campaign, seed) for seed in range(campaign.seed, campaign.seed + campaign.seeds)]


def _sum_up(
    campaign: Campaign, outcomes: Sequence[Outcome], failures: Sequence[Failure], seconds: float, jobs: int
) -> Report:
    met = coverage.sum_up(outcome.coverage for outcome in outcomes)
    wanted = coverage.TWINS if campaign.twins else coverage.ALWAYS
    enough = campaign.seeds >= coverage.SEEDS_MIN
    return Report(
        kind="twins" if campaign.twins else "faults",
        seeds=campaign.seeds,
        passed=len(outcomes),
        failures=tuple(failures),
        members=campaign.members,
        blocks=sum(outcome.height for outcome in outcomes),
        events=sum(outcome.events for outcome in outcomes),
        crashes=sum(outcome.crashes for outcome in outcomes),
        with_liars=sum(bool(outcome.liars) for outcome in outcomes),
        rounds_max=max((outcome.rounds_max for outcome in outcomes), default=0),
        progress_ms_max=max((outcome.progress_ms for outcome in outcomes), default=0),
        progress_bound=f"({PROGRESS_TIMEOUTS} + liars + silent) x {TIMEOUT_MAX_MS} ms",
        virtual_s=sum(outcome.virtual_ms for outcome in outcomes) / 1000,
        seconds=seconds,
        jobs=jobs,
        coverage=dict(sorted(met.items())),
        missed=tuple(coverage.missed(met, wanted)) if enough else (),
    )
