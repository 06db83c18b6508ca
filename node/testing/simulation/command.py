"""The command line of `scripts/sim`: many seeds, progress, a summary, and for each failure one line that replays it."""

import argparse
import sys
import time
from collections.abc import Sequence

from node.testing.simulation.checkers import Broken
from node.testing.simulation.simulation import Outcome, Plan, run_seed

TRANSACTIONS_PER_SECOND = 0.75


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds; 0 when every rule held in every one."""
    options = _parser().parse_args(arguments)
    faulty_ms = int(options.minutes * 60_000)
    started = time.monotonic()
    outcomes: list[Outcome] = []
    failed: list[int] = []
    for seed in range(options.seed, options.seed + options.seeds):
        plan = Plan(
            seed=seed,
            members=options.members,
            faulty_ms=faulty_ms,
            transactions=max(1, int(faulty_ms / 1000 * TRANSACTIONS_PER_SECOND)),
            real_signatures=options.ed25519,
            traitor=options.traitor,
        )
        try:
            outcome = run_seed(plan)
            if options.replay:
                _check_replay(outcome, run_seed(plan))
        except (Broken, AssertionError) as error:
            failed.append(seed)
            _progress(f"seed {seed} FAILED: {error}")
            _progress(f"  replay it with: {_replay_command(options, seed)}")
            continue
        outcomes.append(outcome)
        if options.seeds == 1 or (seed - options.seed + 1) % 50 == 0:
            _progress(f"seed {seed}: height {outcome.height}, head {outcome.head.hex()[:16]}")
    _summary(outcomes, failed, time.monotonic() - started)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/sim",
        description="Simulate members that agree under faults, in virtual time, from seeds.",
        epilog="example: scripts/sim --seed 1 --seeds 500 --members 4",
    )
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds, counting up (default 100)")
    parser.add_argument("--members", type=int, default=4, help="members of the network (default 4)")
    parser.add_argument("--minutes", type=float, default=0.13, help="virtual minutes of faults (default 0.13)")
    parser.add_argument("--replay", action="store_true", help="run each seed twice and compare")
    parser.add_argument("--ed25519", action="store_true", help="real signatures in place of keyed hashes")
    parser.add_argument("--traitor", action="store_true", help="the last member runs two replicas with one key")
    return parser


def _check_replay(first: Outcome, second: Outcome) -> None:
    if first != second:
        raise Broken(f"the same seed gave {first.head.hex()[:16]} and then {second.head.hex()[:16]}")


def _replay_command(options: argparse.Namespace, seed: int) -> str:
    flags = "".join(f" --{flag}" for flag in ("ed25519", "traitor") if getattr(options, flag))
    return f"scripts/sim --seed {seed} --seeds 1 --members {options.members} --minutes {options.minutes}{flags}"


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _summary(outcomes: list[Outcome], failed: list[int], seconds: float) -> None:
    print(f"{len(outcomes)} seeds passed, {len(failed)} failed, in {seconds:.1f} s")
    if outcomes:
        print(
            f"blocks {sum(o.height for o in outcomes)}, crashes {sum(o.crashes for o in outcomes)}, "
            f"highest round {max(o.rounds_max for o in outcomes)}, "
            f"virtual minutes {sum(o.virtual_ms for o in outcomes) / 60_000:.0f}"
        )
    if failed:
        print("failed seeds: " + " ".join(str(seed) for seed in failed))
