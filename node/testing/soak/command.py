"""`scripts/soak`: options, the order of things, what a person sees, and stopping what was started, whatever happens."""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import uvloop
from rich.console import Console

from node.base.errors import EXPLAINED
from node.testing.signals import until_signalled
from node.testing.soak.membership import grow_and_shrink
from node.testing.soak.plan import FaultKind
from node.testing.soak.run import soak
from node.testing.soak.screen import Screen, as_json, show_outcome

FILE_WIDTH = 120
MEMBERS_MIN = 4
MINUTES = 5.0
GROWN = 7
MEMBERSHIP_MIN = 2
MEMBERSHIP_MINUTES = 15.0
RATE_PER_S = 20.0
"""Submissions over all members, unless asked otherwise: as two cores carry beside everything else."""


def main(clusters: Path, description: str) -> None:
    """Parse the options and run; exit code 0 only when everything held."""
    options = _options(description)
    try:
        sys.exit(uvloop.run(until_signalled(_run(options, clusters), "soak")))
    except EXPLAINED as error:
        sys.exit(f"soak: {error}")


def _options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [kind.name.lower().replace("_", "-") for kind in FaultKind]
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="of load and faults (default: 5); what --membership may take (15)"
    )
    parser.add_argument("--members", type=int, default=4, metavar="N", help="daemons, 4 or more (default: 4)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="chooses the faults (default: 0)")
    parser.add_argument(
        "--rate", type=float, default=RATE_PER_S, metavar="R", help="submissions a second (default: 20)"
    )
    parser.add_argument(
        "--faults", nargs="*", choices=names, default=names, help="which (default: all; no word: only load)"
    )
    parser.add_argument(
        "--membership",
        type=int,
        nargs="?",
        const=GROWN,
        metavar="N",
        help=f"no faults: one daemon grows to N (default: {GROWN}) and shrinks to one, by commands",
    )
    parser.add_argument("--dir", type=Path, help="where the members' folders go (default: a new one in clusters/)")
    parser.add_argument("--keep", action="store_true", help="keep the folders; they are kept anyway when a check fails")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report for a program")
    options = parser.parse_args()
    if options.members < MEMBERS_MIN:
        parser.error(f"--members must be at least {MEMBERS_MIN}: fewer carry no fault")
    if options.membership is not None and options.membership < MEMBERSHIP_MIN:
        parser.error(f"--membership must be at least {MEMBERSHIP_MIN}")
    if options.minutes is None:
        options.minutes = MINUTES if options.membership is None else MEMBERSHIP_MINUTES
    if options.rate <= 0 or options.minutes <= 0:
        parser.error("--rate and --minutes must be above 0")
    options.faults = [FaultKind[name.upper().replace("-", "_")] for name in options.faults]
    return options


async def _run(options: argparse.Namespace, clusters: Path) -> int:
    console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
    name = f"soak-{options.members}" if options.membership is None else f"membership-{options.membership}"
    root = (options.dir or clusters / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}").resolve()
    root.mkdir(parents=True)
    members = options.members if options.membership is None else options.membership
    with Screen(console) as screen:
        if options.membership is None:
            outcome = await soak(
                root,
                members=members,
                seconds=options.minutes * 60,
                seed=options.seed,
                rate_per_s=options.rate,
                kinds=options.faults,
                screen=screen,
            )
        else:
            outcome = await grow_and_shrink(
                root,
                most=members,
                seconds=options.minutes * 60,
                seed=options.seed,
                rate_per_s=options.rate,
                screen=screen,
            )
    show_outcome(console, outcome)
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(members, options.seed, outcome), indent=2) + "\n")
    if outcome.holds and not options.keep:
        shutil.rmtree(root)
    else:
        console.print(f"the members' folders and logs are in {root}", highlight=False)
    return 0 if outcome.holds else 1
