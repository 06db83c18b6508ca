"""`scripts/bench`: options, one part after the other, the table and the JSON file; everything started is ended."""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from node.base.errors import EXPLAINED
from node.testing.bench.figures import Figure, as_json, machine
from node.testing.bench.parts import PARTS, Place, chosen_parts, part_names
from node.testing.signals import until_signalled


def main(scenarios: Path, clusters: Path, description: str) -> None:
    """Parse the options and run; exit code 0 only when every part gave its figures."""
    options = _options(description)
    try:
        sys.exit(uvloop.run(until_signalled(_run(options, scenarios, clusters), "bench")))
    except TimeoutError:
        sys.exit("bench: a part took longer than it may; is something else running on this machine?")
    except EXPLAINED as error:
        sys.exit(f"bench: {error}")


def _options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "part", nargs="?", choices=part_names(), help="which one, with its own (default: all but memory)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine, figures and raw numbers")
    return parser.parse_args()


async def _run(options: argparse.Namespace, scenarios: Path, clusters: Path) -> int:
    console = Console()
    taken_on = machine()
    found: list[Figure] = []
    for name in chosen_parts(options.part):
        console.print(f"measuring {name}: {', '.join(PARTS[name].figures)}", highlight=False)
        root = clusters / f"bench-{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        root.mkdir(parents=True)
        try:
            async with asyncio.timeout(PARTS[name].seconds_max):
                found += await PARTS[name].measure(Place(root, scenarios))
        except asyncio.CancelledError:
            shutil.rmtree(root)
            raise
        # A part that failed leaves its folder behind, for the logs.
        shutil.rmtree(root)
    _show(console, found)
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(found, taken_on), indent=2) + "\n")
    return 0


def _show(console: Console, found: list[Figure]) -> None:
    table = Table("figure", "value", "raw number", "")
    table.columns[1].justify = table.columns[3].justify = "right"
    for figure in found:
        first = True
        for name, value in figure.raw.items() or {"": float("nan")}.items():
            shown = (figure.name, f"{figure.value:.4g}") if first else ("", "")
            table.add_row(*shown, name, f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}")
            first = False
        table.add_section()
    console.print(table)
