"""`scripts/spawn`: options, the order of things, and stopping what was started, whatever happens."""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from node.base.errors import EXPLAINED
from node.testing.processes import ClusterError, ProcessCluster
from node.testing.scenario.figures import Figures, measure
from node.testing.scenario.plan import Scenario, deal_rows, member_names, read_scenario, write_job
from node.testing.scenario.run import Ended, propose_and_approve, settle, watch
from node.testing.scenario.screen import Screen, show_figures
from node.testing.signals import until_signalled

FILE_WIDTH = 120


def main(scenarios: Path, clusters: Path, description: str) -> None:
    """Parse the options and run; exit code 0 only when the job is done."""
    options = _options(description)
    try:
        sys.exit(asyncio.run(until_signalled(_run(options, scenarios, clusters), "spawn")))
    except EXPLAINED as error:
        sys.exit(f"spawn: {error}")


def _options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/spawn", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", default="heart", help="which one (default: heart)")
    parser.add_argument("--members", type=int, metavar="N", help="members; more than files: rows are dealt further")
    parser.add_argument("--rounds", type=int, metavar="N", help="training rounds (default: the scenario's)")
    parser.add_argument(
        "--seed", type=int, default=0, help="chooses the held-out rows, and all chance in training (default: 0)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the network running and say how to talk to it")
    parser.add_argument("--dir", type=Path, help="where the members' folders go (default: a new one in clusters/)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures for a program")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.members is not None and options.members < 1:
        parser.error("--members must be at least 1")
    return options


async def _run(options: argparse.Namespace, scenarios: Path, clusters: Path) -> int:
    started = time.monotonic()
    scenario = read_scenario(scenarios, options.scenario)
    members = member_names(scenario, options.members)
    rounds = options.rounds or scenario.rounds
    root = root_of(options.dir, clusters, options.scenario)
    console = Console()
    if not console.is_terminal:
        # A file or a pipe has no width; the usual 80 would cut the tables.
        console = Console(width=FILE_WIDTH)
    cluster = ProcessCluster(root, [org for org, _ in members])
    approved = False
    try:
        with Screen(console) as screen:
            screen.say(f"{scenario.title}: founding a network of {len(members)} members in {root}")
            scenario, job_file = write_job(scenario, root, options.seed)
            shares = await asyncio.to_thread(deal_rows, scenario, members, root, options.seed)
            await asyncio.to_thread(cluster.found, scenario.name)
            await cluster.start()
            screen.say(f"{len(members)} daemons are up and linked")
            job = await propose_and_approve(cluster, job_file, shares, rounds, screen)
            approved = True
            if options.keep:
                say_how_to_talk(console, cluster)
            await watch(cluster, job, rounds, screen)
            ended = await settle(cluster, job)
        figures = await asyncio.to_thread(measure, scenario, shares, rounds, ended.model, screen.say)
        _report(console, options, scenario, rounds, cluster, ended, figures, time.monotonic() - started)
        return 0
    finally:
        if options.keep and approved:
            cluster.release()
            console.print(f"the network in {root} goes on; scripts/spawn has let go of it")
        else:
            cluster.stop()


def root_of(dir: Path | None, clusters: Path, name: str) -> Path:
    """The folder for the members' folders: `dir`, or a new one in `clusters`. Raises `ClusterError`."""
    root = (dir or clusters / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}").resolve()
    if root.exists() and any(root.iterdir()):
        raise ClusterError(f"{root} is not empty; name another folder with --dir")
    root.mkdir(parents=True, exist_ok=True)
    return root


def say_how_to_talk(console: Console, cluster: ProcessCluster) -> None:
    """What to type to the members of a network that goes on."""
    lepton = Path(sys.executable).with_name("lepton")
    console.print("Talk to each member, also when this script has ended:")
    for org in cluster.orgs:
        console.print(f"  {lepton} --dir {cluster.folder(org)} status", soft_wrap=True, highlight=False)
    console.print("Stop one with SIGTERM to its pid (in its status); start it again with:")
    console.print(f"  {lepton} --dir {cluster.folder(cluster.orgs[0])} run", soft_wrap=True, highlight=False)


def _report(
    console: Console,
    options: argparse.Namespace,
    scenario: Scenario,
    rounds: int,
    cluster: ProcessCluster,
    ended: Ended,
    figures: Figures,
    seconds: float,
) -> None:
    show_figures(console, f"{scenario.title}: {rounds} training rounds, {seconds:.0f} s", figures)
    head = next(iter(ended.statuses.values()))
    console.print(f"ledger: height {head['height']}, head {head['head_digest']}", soft_wrap=True, highlight=False)
    console.print(f"model:  {ended.job['model']}", soft_wrap=True, highlight=False)
    console.print(f"        {ended.model_path}", soft_wrap=True, highlight=False)
    if options.json is not None:
        content = as_json(scenario.name, options.seed, rounds, cluster, ended, figures, seconds)
        options.json.write_text(json.dumps(content, indent=2) + "\n")


def as_json(
    scenario: str, seed: int, rounds: int, cluster: ProcessCluster, ended: Ended, figures: Figures, seconds: float
) -> dict[str, Any]:
    """What `--json` writes."""
    aucs = figures.alone_aucs
    head = max(ended.statuses.values(), key=lambda status: int(status["height"]))
    members = []
    for member in figures.members:
        status = ended.statuses.get(member.org, {})
        members.append(
            {
                "org": member.org,
                "pid": status.get("pid"),
                "dir": str(cluster.folder(member.org)),
                "height": status.get("height"),
                "head_digest": status.get("head_digest"),
                "positives": member.together.positives,
                "negatives": member.together.negatives,
                "auc_alone": member.alone.auc if member.alone else None,
                "auc_together": member.together.auc,
                "accuracy_alone": member.alone.accuracy if member.alone else None,
                "accuracy_together": member.together.accuracy,
            }
        )
    return {
        "scenario": scenario,
        "seed": seed,
        "rounds": rounds,
        "height": head["height"],
        "head_digest": head["head_digest"],
        "model_digest": ended.job["model"],
        "model_path": ended.model_path,
        "seconds": round(seconds, 3),
        "members": members,
        "overall": {
            "auc_alone_mean": sum(aucs) / len(aucs) if aucs else None,
            "auc_alone_best": max(aucs) if aucs else None,
            "auc_together": figures.together.auc,
            "auc_pooled": figures.pooled.auc,
            "auc_macro": figures.auc_macro,
        },
    }
