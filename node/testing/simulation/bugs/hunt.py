"""Hunts seeded bugs: each goes into a copy of the package, and the simulator runs against it in a process of its own.

The copy's own simulator judges it, checkers and all, until something breaks or the budget is used up. A run against the
unchanged package comes first: a simulator that finds fault with that proves nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import node
from node.testing.simulation.bugs.catalogue import BUGS, Bug

CAUGHT_SHARE_MIN = 0.95
HUNT_S_MAX = 600
"""A run that does not end by itself is broken too: an endless loop is caught."""
_PROGRAM = "from node.testing.simulation.bugs.probe import main; main()"


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of one bug."""

    bug: Bug
    words: str | None
    """What the simulator said of it; None when it noticed nothing."""


def hunt_all(
    seeds: int,
    jobs: int,
    bugs: Sequence[Bug] = BUGS,
    seconds_max: float = HUNT_S_MAX,
    tell: Callable[[Caught], None] | None = None,
) -> list[Caught]:
    """Hunt each bug with the drills and `seeds` seeds. Raises `AssertionError` where the unchanged package fails."""
    words = _probe(Path(node.__file__).parent.parent, seeds, seconds_max)
    assert words is None, f"the package without any seeded bug fails: {words}"
    results = []
    with ThreadPoolExecutor(jobs) as pool:
        for caught in pool.map(lambda bug: _hunt(bug, seeds, seconds_max), bugs):
            results.append(caught)
            if tell is not None:
                tell(caught)
    return results


def occurrences(bug: Bug) -> int:
    """How often the bug's text stands in the package's source; exactly once, or the list is out of date."""
    return (Path(node.__file__).parent / bug.path).read_text().count(bug.text)


def _hunt(bug: Bug, seeds: int, seconds_max: float) -> Caught:
    with tempfile.TemporaryDirectory(prefix="lepton-bug-") as folder:
        root = Path(folder)
        package = Path(node.__file__).parent
        # With the compiled files: all but the changed one stay valid, which saves most of a start.
        shutil.copytree(package, root / "node", copy_function=shutil.copy2)
        source = root / "node" / bug.path
        text = source.read_text()
        assert text.count(bug.text) == 1, (
            f"the text of '{bug.name}' is no longer in {bug.path}: bring the list up to date"
        )
        source.write_text(text.replace(bug.text, bug.instead))
        return Caught(bug, _probe(root, seeds, seconds_max))


def _probe(root: Path, seeds: int, seconds_max: float) -> str | None:
    """What the simulator of the package below `root` says; None when all is well."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(seeds)],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {seconds_max:.0f} s"
    if done.returncode == 0:
        return None
    return next(iter(_last_lines(done.stdout + done.stderr)), f"exit code {done.returncode}")


def _last_lines(text: str) -> Iterator[str]:
    return (line.strip() for line in reversed(text.splitlines()) if line.strip())
