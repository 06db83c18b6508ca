"""Networks of real daemons, and what these tests ask of their processes, folders and ledgers.

Every process that a test starts is ended by its id, also when the test fails. Nothing sleeps for a fixed time: a test
polls until a condition holds, up to a time-out.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from typer.testing import CliRunner

from node.api import OperatorError
from node.base.errors import EXPLAINED
from node.base.types import CertifiedBlock, Digest
from node.cli.main import lepton as application
from node.edge.storage import SqliteReader
from node.ledger.contracts.contract import view
from node.ledger.contracts.training import TrainingRound, training_round
from node.testing.processes import LOG, ProcessCluster

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "scripts" / "scenarios"
COMMAND_S_MAX = 60
WAIT_S_MAX = 60.0
"""For what takes a second or two on a machine at rest."""


class Site(ProcessCluster):
    """A local network of daemons, watched closely: through their sockets, their folders, their processes."""

    async def ask(self, org: str) -> dict[str, Any] | None:
        """The status of one daemon, None while it does not answer."""
        async with self.client(org) as client:
            try:
                return await client.status()
            except OperatorError:
                return None

    async def catch(self, org: str, moment: Callable[[dict[str, Any]], bool], what: str, timeout_s: float) -> Any:
        """Poll one daemon as fast as it answers until `moment` is true of its status; returns the status."""
        deadline = time.monotonic() + timeout_s
        async with self.client(org) as client:
            while not moment(status := await client.status()):
                assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}; last: {status}"
                await asyncio.sleep(0.003)
        return status

    async def same_head(self, timeout_s: float = WAIT_S_MAX) -> dict[str, dict[str, Any]]:
        """Wait until every daemon runs, nothing is pending, and all stand at one height with one head and state."""

        def agree(statuses: Mapping[str, dict[str, Any]]) -> bool:
            heads = {(s["height"], s["head_digest"], s["state_root"], s["pending"]) for s in statuses.values()}
            return len(heads) == 1 and next(iter(heads))[3] == 0

        return await self.until(agree, "one head at all members", timeout_s)

    async def catch_up(self, org: str, witness: str) -> None:
        """Wait until `org` holds the block and the state that `witness` has now."""
        goal = await self.ask(witness)
        assert goal is not None
        await self.until(lambda ss: ss[org]["height"] >= goal["height"], f"{org} to catch up", WAIT_S_MAX, orgs=[org])
        with self.reading(org) as reader:
            block = reader.block(goal["height"])
        assert block is not None
        assert block.block.digest.hex() == goal["head_digest"]
        assert block.block.header.state_root.hex() == goal["state_root"]

    async def linked(self, org: str) -> dict[str, Any]:
        """Wait until a member, started again, is linked to all others; its status."""
        statuses = await self.until(
            lambda ss: all(peer["connected"] for peer in ss[org]["peers"]), f"{org} to be linked", WAIT_S_MAX, [org]
        )
        return statuses[org]

    @contextmanager
    def reading(self, org: str) -> Iterator[SqliteReader]:
        """A member's ledger as of now, read beside its daemon."""
        reader = SqliteReader(self.folder(org) / "ledger.sqlite", frozen=True)
        try:
            yield reader
        finally:
            reader.close()

    def training_round(self, org: str, job: bytes, number: int) -> TrainingRound | None:
        """A training round as a member's ledger has it."""
        with self.reading(org) as reader:
            return training_round(view(reader, "training"), Digest(job), number)

    def blocks(self, org: str, above: int) -> list[CertifiedBlock]:
        """A member's blocks above a height, ascending."""
        with self.reading(org) as reader:
            found = [reader.block(height) for height in range(above + 1, reader.height() + 1)]  # type: ignore[arg-type]
        return [block for block in found if block is not None]

    def daemons(self) -> list[psutil.Process]:
        """Every running process of this network: daemons by their folder on the command line, and their children."""
        return alive(family(found for found in psutil.process_iter() if str(self.root) in _words(found)))

    def idle_daemons(self) -> list[psutil.Process]:
        """The daemons, once no learner runs beside them."""
        found = self.daemons()
        return found if all("node.cli" in _words(process) for process in found) else []

    def logs(self) -> dict[str, str]:
        """What each daemon wrote to its log."""
        paths = {org: self.folder(org) / LOG for org in self.orgs}
        return {org: path.read_text() for org, path in paths.items() if path.exists()}


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def family(processes: Iterator[psutil.Process]) -> list[psutil.Process]:
    """The processes with all that descends from them."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        try:
            for one in (process, *process.children(recursive=True)):
                found.setdefault(one.pid, one)
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = WAIT_S_MAX) -> T:
    """Poll until `condition` returns something true; returns it."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.05)
    return found


def assert_clean(logs: Mapping[str, str]) -> None:
    """No daemon met an error that it did not expect."""
    for org, text in logs.items():
        for sign in ("Traceback", "Task exception", "never awaited", '"level": "error"', "AssertionError"):
            at = text.find(sign)
            assert at < 0, f"the daemon of {org} logged:\n{text[max(0, at - 500) : at + 3_000]}"


def lepton(*words: object, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own; with `check` it must succeed."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "node.cli", *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    if check:
        assert done.returncode == 0, f"lepton {words} ended with {done.returncode}: {done.stderr}{done.stdout}"
    return done


def lepton_json(*words: object) -> Any:
    """What a command prints with `--json`."""
    return json.loads(lepton(*words, "--json").stdout)


def refused(*words: object) -> str:
    """The one sentence with which a command refuses; its exit code is 1."""
    done = lepton(*words, check=False)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1, f"lepton {words} ended with {done.returncode}: {done.stderr}{done.stdout}"
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("lepton: ")
    return lines[0].removeprefix("lepton: ")


def raised(*words: object) -> str:
    """What `refused` returns, without a process of its own: half a second each is saved where there are many."""
    done = CliRunner().invoke(application, [str(word) for word in words])
    assert isinstance(done.exception, EXPLAINED), f"lepton {words}: {done.exception!r} {done.output}"
    assert "\n" not in str(done.exception)
    return str(done.exception)


class Tools:
    """The functions of this file for the tests beside it."""

    Site = Site
    root = ROOT
    scenarios = SCENARIOS
    alive = staticmethod(alive)
    assert_clean = staticmethod(assert_clean)
    family = staticmethod(family)
    lepton = staticmethod(lepton)
    lepton_json = staticmethod(lepton_json)
    raised = staticmethod(raised)
    refused = staticmethod(refused)
    wait_for = staticmethod(wait_for)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools
