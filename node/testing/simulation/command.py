"""The command line of `scripts/sim`: many seeds, progress, a summary, and for each failure one line that replays it."""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence

from node.testing import signals
from node.testing.options import count, count_or_none
from node.testing.simulation.bugs import CAUGHT_SHARE_MIN, Caught, hunt_all
from node.testing.simulation.campaign import Campaign, Failure, Report, run_campaign
from node.testing.simulation.coverage import SEEDS_MIN
from node.testing.simulation.plan import FAULTY_MS_MIN, Outcome
from node.testing.simulation.twins import MEMBERS as TWINS_MEMBERS

TRANSACTIONS_PER_SECOND = 0.3
PROGRESS_EVERY = 200
_EXAMPLES = """examples:
  scripts/sim --seed 1 --seeds 500                     four members, all faults, liars in some seeds
  scripts/sim --seeds 1000 --members 4-10 --jobs 2     each seed with 4 to 10 members
  scripts/sim --twins --seeds 2000 --members 4-7       schedules of twins
  scripts/sim --byzantine 1 --minutes 2                one liar in every seed, two virtual minutes of faults
  scripts/sim --bugs --seeds 60                        every seeded bug: caught or not
  scripts/sim --seed 290 --seeds 1 --replay            one seed, twice, compared
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds; 0 when every rule held in every one and the campaign met what it should."""
    options = _parser().parse_args(arguments)
    if options.bugs:
        return _hunt(options)
    campaign = _campaign(options)
    run = failed = 0

    def progress(done: int, last: Outcome | Failure) -> None:
        nonlocal run, failed
        run = done
        if isinstance(last, Failure):
            failed += 1
            _tell(f"seed {last.seed} FAILED: {last.words}\n  replay it with: {last.replay}")
        elif campaign.seeds == 1:
            _tell(f"seed {last.seed}: height {last.height}, head {last.head.hex()[:16]}, liars {list(last.liars)}")
        elif done % PROGRESS_EVERY == 0:
            _tell(f"{done} of {campaign.seeds} seeds")

    try:
        with signals.raised():
            report = run_campaign(campaign, options.jobs, progress)
    except KeyboardInterrupt:
        return signals.interrupted(
            "sim", f" after {run} of {campaign.seeds} seeds, {failed} failed; go on with --seed {campaign.seed + run}"
        )
    if options.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        _print(report)
    return 0 if report.good else 1


def _hunt(options: argparse.Namespace) -> int:
    """Each seeded bug in turn; 0 when enough of them are caught."""
    try:
        with signals.raised():
            results = hunt_all(options.seeds, options.jobs, tell=lambda caught: _tell(_of_bug(caught)))
    except KeyboardInterrupt:
        return signals.interrupted("sim")
    found = sum(caught.words is not None for caught in results)
    if options.json:
        bugs = [{"bug": c.bug.name, "file": f"node/{c.bug.path}", "caught_by": c.words} for c in results]
        print(json.dumps({"kind": "bugs", "bugs": bugs, "caught": found, "of": len(results)}, indent=1))
    else:
        print(f"{found} of {len(results)} seeded bugs caught; at least {CAUGHT_SHARE_MIN:.0%} must be")
    return 0 if found >= CAUGHT_SHARE_MIN * len(results) else 1


def _of_bug(caught: Caught) -> str:
    return (
        f"{'caught    ' if caught.words else 'NOT CAUGHT'} {caught.bug.name} ({caught.bug.path}): {caught.words or ''}"
    )


def _campaign(options: argparse.Namespace) -> Campaign:
    faulty_ms = round(options.minutes * 60_000)
    transactions = options.transactions
    if transactions is None:
        transactions = max(1, int(faulty_ms / 1000 * TRANSACTIONS_PER_SECOND))
    default = (TWINS_MEMBERS[0], TWINS_MEMBERS[-1]) if options.twins else (4, 4)
    return Campaign(
        seed=options.seed,
        seeds=options.seeds,
        members=options.members or default,
        faulty_ms=faulty_ms,
        transactions=transactions,
        liars=options.byzantine,
        twins=options.twins,
        real_signatures=options.ed25519,
        replay=options.replay,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/sim",
        description="Simulate members that agree under faults, in virtual time, from seeds. Each seed replays exactly. "
        f"From {SEEDS_MIN} seeds on, a campaign fails also when it met too little.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seeds", type=count, default=100, help="how many seeds, counting up (default 100)")
    parser.add_argument("--members", type=_members, help="members, as 4 or 4-10 (default 4; with --twins 4-7)")
    parser.add_argument("--minutes", type=_minutes, default=1 / 3, help="virtual minutes of faults (default 0.333)")
    parser.add_argument("--transactions", type=count_or_none, help="transactions in that time (default 0.3 a second)")
    parser.add_argument("--jobs", type=count, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument(
        "--byzantine",
        type=_liars,
        default=None,
        metavar="N",
        help="members that lie: a number (never more than f), or `drawn` from each seed (default)",
    )
    parser.add_argument("--twins", action="store_true", help="schedules of twins in place of faults")
    parser.add_argument(
        "--bugs", action="store_true", help="the list of seeded bugs: drills and --seeds seeds against each of them"
    )
    parser.add_argument("--replay", action="store_true", help="run each seed twice and compare")
    parser.add_argument("--ed25519", action="store_true", help="real signatures in every seed, not in one of a hundred")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    return parser


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not FAULTY_MS_MIN <= minutes * 60_000 < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes from {FAULTY_MS_MIN / 60_000:.3f} on")
    return minutes


def _members(text: str) -> tuple[int, int]:
    least, _, most = text.partition("-")
    found = (count(least), count(most or least))
    if found[0] > found[1]:
        raise argparse.ArgumentTypeError("a number of members, or a range such as 4-10")
    return found


def _liars(text: str) -> int | None:
    return None if text == "drawn" else count_or_none(text)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(report: Report) -> None:
    print(
        f"{report.passed} seeds passed, {len(report.failures)} failed, in {report.seconds:.1f} s ({report.jobs} jobs)"
    )
    print(
        f"{report.virtual_s:.0f} virtual seconds, {report.speed:.0f} per second; blocks {report.blocks}, "
        f"crashes {report.crashes}, seeds with liars {report.with_liars}, highest round {report.rounds_max}"
    )
    print(f"slowest progress after healing {report.progress_ms_max} ms; bound {report.progress_bound}")
    for name, seeds in report.coverage.items():
        print(f"  {seeds:6} seeds: {name}")
    for name in report.missed:
        print(f"  MISSED: {name}")
    if report.failures:
        print("failed seeds: " + " ".join(str(failure.seed) for failure in report.failures))
