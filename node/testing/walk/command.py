"""`scripts/walk`: options, founding the network, and stopping what was started, whatever happens."""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from node.base.errors import EXPLAINED
from node.testing import signals
from node.testing.processes import ProcessCluster
from node.testing.scenario.command import root_of, say_how_to_talk
from node.testing.scenario.plan import deal_rows, member_names, read_scenario, write_job
from node.testing.walk.network import FOUNDERS, NetworkStory
from node.testing.walk.sharing import SharingStory
from node.testing.walk.shell import Shell

SCENARIO = "heart"
SHARING, NETWORK = "sharing", "network"
WIDTH = 120


def main(scenarios: Path, clusters: Path, description: str) -> None:
    """Parse the options and walk; exit code 0 only when everything was as it must be."""
    options = _options(description)
    try:
        with signals.raised():
            _walk(options, scenarios, clusters)
    except KeyboardInterrupt:
        sys.exit(signals.interrupted("walk"))
    except (*EXPLAINED, subprocess.TimeoutExpired) as error:
        sys.exit(f"walk: {error}")


def _options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/walk", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("walk", nargs="?", choices=(SHARING, NETWORK), default=SHARING, help="which (default: sharing)")
    parser.add_argument("--keep", action="store_true", help="leave the network running and say how to talk to it")
    parser.add_argument("--dir", type=Path, help="where the members' folders go (default: a new one in clusters/)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every command and what it printed")
    return parser.parse_args()


def _walk(options: argparse.Namespace, scenarios: Path, clusters: Path) -> None:
    started = time.monotonic()
    root = root_of(options.dir, clusters, f"walk-{options.walk}")
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    shell = Shell(root, console)
    cluster = ProcessCluster(root, FOUNDERS)
    told = False
    try:
        shell.say(f"founding a network of {len(FOUNDERS)} hospitals in {root}; every command is typed there")
        job_file = _deal(scenarios, root)
        cluster.found(SCENARIO)
        asyncio.run(cluster.start())
        story = SharingStory(shell, cluster, job_file) if options.walk == SHARING else NetworkStory(shell, cluster)
        story.tell()
        told = True
        console.print(
            f"\nall {len(shell.typed)} commands did as they must, in {time.monotonic() - started:.0f} s",
            highlight=False,
        )
    finally:
        if options.json is not None:
            content = {"held": told, "commands": [asdict(typed) for typed in shell.typed]}
            options.json.write_text(json.dumps(content, indent=2) + "\n")
        if options.keep and told:
            say_how_to_talk(console, cluster)
            cluster.release()
        else:
            cluster.stop()


def _deal(scenarios: Path, root: Path) -> Path:
    """Give each hospital its patients; the file of the job that they can train."""
    scenario = read_scenario(scenarios, SCENARIO)
    scenario, job_file = write_job(scenario, root, seed=0)
    deal_rows(scenario, member_names(scenario, None), root, seed=0)
    return job_file
