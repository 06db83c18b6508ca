"""Which member of a scenario gets which rows, and which of them are held out."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from node.edge.learning.split import deal, split, write_table
from node.edge.learning.table import read_table
from node.testing.processes import ClusterError

HELD_OUT = 1 / 4


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario's job and its members' files."""

    name: str
    title: str
    folder: Path
    rounds: int
    recipe: dict[str, Any]
    files: dict[str, str]

    @property
    def label(self) -> str:
        """The label column."""
        return str(self.recipe["label"])


@dataclass(frozen=True, slots=True)
class Share:
    """One member's rows: where they come from and where they are written."""

    org: str
    train: Path
    held_out: Path


def read_scenario(scenarios: Path, name: str) -> Scenario:
    """The scenario called `name`. Raises `ClusterError` with the names that there are."""
    path = scenarios / name / "job.json"
    if not path.is_file():
        known = sorted(found.parent.name for found in scenarios.glob("*/job.json"))
        raise ClusterError(f"there is no scenario {name!r}; there are {', '.join(known)}")
    job = json.loads(path.read_text())
    return Scenario(name, job["name"], path.parent, int(job["rounds"]), job["recipe"], dict(job["members"]))


def write_job(scenario: Scenario, root: Path, seed: int) -> tuple[Scenario, Path]:
    """The scenario with this seed, and the job file that its first member will propose."""
    seeded = replace(scenario, recipe={**scenario.recipe, "seed": seed})
    path = root / "job.json"
    path.write_text(json.dumps({"name": seeded.title, "rounds": seeded.rounds, "recipe": seeded.recipe}, indent=2))
    return seeded, path


def member_names(scenario: Scenario, count: int | None) -> list[tuple[str, str]]:
    """(organisation, file) of each member. More members than files: the files' rows are dealt further, in turn."""
    files = sorted(scenario.files.items())
    if count is None:
        count = len(files)
    if count < 1:
        raise ClusterError("a network needs at least one member")
    named = []
    for index in range(count):
        org, file = files[index % len(files)]
        turn = index // len(files)
        named.append((org if turn == 0 else f"{org}-{turn + 1}", file))
    return named


def deal_rows(scenario: Scenario, members: list[tuple[str, str]], root: Path, seed: int) -> list[Share]:
    """Write each member's training rows into its own folder and its held-out rows beside the folders."""
    sharers = Counter(file for _, file in members)
    hands: dict[str, list[pa.Table]] = {}
    for file, parts in sharers.items():
        hands[file] = deal(read_table(scenario.folder / file), scenario.label, parts, seed)
    shares = []
    for org, file in members:
        train, held_out = split(hands[file].pop(0), scenario.label, HELD_OUT, seed)
        suffix = Path(file).suffix
        share = Share(org, root / org / "data" / f"train{suffix}", root / "held_out" / f"{org}{suffix}")
        for table, path in ((train, share.train), (held_out, share.held_out)):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(table, path)
        shares.append(share)
    return sorted(shares, key=lambda share: share.org)
