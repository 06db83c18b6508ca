"""A local network of real daemons, one process per member, for scripts and for tests of whole processes.

It owns the members' folders and the processes it started, by process id; it conducts nothing. Addresses are on
loopback, ports are chosen by the system.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from node.api import OperatorClient, OperatorError
from node.app.member import create_member, draft_network, install_network, sign_network
from node.app.settings import Folder
from node.base.errors import ExplainedError
from node.base.types import OrgId, Parameters
from node.edge.storage import make_private_folder, write_atomically

START_S_MAX = 60.0
"""For up to four daemons; more take longer on the same machine."""
STOP_S_MAX = 15.0
POLL_S = 0.1
LOG = "daemon.log"


class ClusterError(ExplainedError):
    """A local network could not be made or did not do what was waited for; the text says where to look."""


class ProcessCluster:
    """The members of one local network and the daemons that were started for them."""

    def __init__(self, root: Path, orgs: Sequence[str], *, one_session: bool = False) -> None:
        """`one_session`: the daemons share this process's session, else each has one of its own.

        Where the kernel groups tasks by session, priorities count only within one: daemons of different sessions do
        not go before each other's training processes, as on machines of their own they need not.
        """
        self.root = root
        self._one_session = one_session
        self.orgs = tuple(OrgId(org) for org in sorted(orgs))
        self._processes: dict[OrgId, subprocess.Popen[bytes]] = {}

    def folder(self, org: str) -> Path:
        """The member's folder."""
        return self.root / org

    def client(self, org: str) -> OperatorClient:
        """A connection to the member's daemon."""
        return OperatorClient(self.folder(org))

    def pid(self, org: str) -> int | None:
        """The process id of the member's daemon, while this cluster has one running."""
        process = self._processes.get(OrgId(org))
        return process.pid if process is not None and process.poll() is None else None

    def found(
        self,
        name: str,
        parameters: Parameters | None = None,
        addresses: Mapping[OrgId, tuple[str, ...]] | None = None,
    ) -> None:
        """Make every member's folder with keys and passphrase, found the network, and install its genesis.

        Exactly what the operators would do with `lepton init` and `lepton network`. `addresses` are where the cards say
        that members are dialled, where that is not where they listen. Raises `FileError`, `OSError`.
        """
        for org in self.orgs:
            self._create(org, (addresses or {}).get(org, ()))
        genesis = self.root / "genesis.json"
        cards = [Folder(self.folder(org)).card for org in self.orgs]
        draft_network(name, cards, genesis, parameters or Parameters())
        for org in self.orgs:
            sign_network(self.folder(org), genesis, None)
        for org in self.orgs:
            install_network(self.folder(org), genesis)

    def enrol(self, org: str) -> None:
        """Make the folder of one that was no founder, with the network's genesis; a motion must admit its card.

        Raises `FileError`, `OSError`.
        """
        self._create(OrgId(org), ())
        install_network(self.folder(org), self.root / "genesis.json")
        self.orgs = tuple(sorted((*self.orgs, OrgId(org))))

    def _create(self, org: OrgId, addresses: Sequence[str]) -> None:
        folder = self.folder(org)
        make_private_folder(folder)
        passphrase = folder / "passphrase"
        write_atomically(passphrase, secrets.token_hex(16).encode(), mode=0o600)
        create_member(folder, org, listen="127.0.0.1:0", addresses=addresses, passphrase_file=passphrase, prompt=None)

    def launch(self, org: str, environment: Mapping[str, str] | None = None) -> int:
        """Start the member's daemon, out of Ctrl-C's reach; its log goes to its folder. Returns the process id."""
        log = (self.folder(org) / LOG).open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "node.cli", "--dir", str(self.folder(org)), "run", "--log-json"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=not self._one_session,
                process_group=0 if self._one_session else None,
                env={**os.environ, **(environment or {})},
            )
        self._processes[OrgId(org)] = process
        return process.pid

    async def start(self) -> None:
        """Start every daemon and wait until each is linked to all others. Raises `ClusterError`."""
        for org in self.orgs:
            self.launch(org)
        await self.until(
            lambda statuses: all(peer["connected"] for status in statuses.values() for peer in status["peers"]),
            "all members to be linked",
            START_S_MAX * max(1.0, len(self.orgs) / 4),
        )

    async def statuses(self, orgs: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """What each daemon says of itself. Raises `ClusterError` for a daemon that ended, `OperatorError`."""
        found = {}
        for org in orgs if orgs is not None else self.orgs:
            async with self.client(org) as client:
                try:
                    found[str(org)] = await client.status()
                except OperatorError as error:
                    self._raise_if_ended(OrgId(org), error)
        return found

    async def until(
        self,
        holds: Callable[[dict[str, dict[str, Any]]], bool],
        what: str,
        timeout_s: float,
        orgs: Sequence[str] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Poll the members' statuses until `holds` says yes of them. Raises `ClusterError` after `timeout_s`."""
        wanted = tuple(orgs if orgs is not None else self.orgs)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                statuses = await self.statuses(wanted)
            except OperatorError:
                statuses = {}
            if len(statuses) == len(wanted) and holds(statuses):
                return statuses
            if asyncio.get_running_loop().time() > deadline:
                raise ClusterError(f"waited {timeout_s:.0f} s for {what}; the daemons' logs are in {self.root}/*/{LOG}")
            await asyncio.sleep(POLL_S)

    def kill(self, org: str) -> None:
        """kill -9 the member's daemon and wait until it is gone."""
        process = self._processes.pop(OrgId(org))
        process.send_signal(signal.SIGKILL)
        process.wait()

    def pause(self, org: str) -> None:
        """SIGSTOP, and wait until every thread stands: the daemon keeps its connections and does nothing."""
        process = self._processes[OrgId(org)]
        process.send_signal(signal.SIGSTOP)
        if process.returncode is None:
            # The parent is told when the last thread has stopped. WNOWAIT leaves an exit code to `Popen`.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self, org: str) -> None:
        """SIGCONT."""
        self._processes[OrgId(org)].send_signal(signal.SIGCONT)

    def end(self, org: str) -> int:
        """End the member's daemon and wait for it; kill it if it does not end in time. Its exit code."""
        return ended_well([self._processes.pop(OrgId(org))])[0]

    def ended(self, org: str) -> int | None:
        """The exit code of the member's daemon, None while it runs. Raises `KeyError` for one that was not started."""
        return self._processes[OrgId(org)].poll()

    def release(self) -> None:
        """Leave the daemons running when this object goes."""
        self._processes.clear()

    def stop(self) -> dict[OrgId, int]:
        """End every daemon that was started, and wait for each; kill what does not end in time. Their exit codes."""
        codes = dict(zip(self._processes, ended_well(list(self._processes.values())), strict=True))
        self._processes.clear()
        return codes

    def log_tail(self, org: str, lines: int = 15) -> str:
        """The end of the member's log."""
        path = self.folder(org) / LOG
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _raise_if_ended(self, org: OrgId, error: OperatorError) -> None:
        process = self._processes.get(org)
        if process is not None and process.poll() is not None:
            raise ClusterError(
                f"the daemon of {org} ended with exit code {process.returncode}; its log ends:\n{self.log_tail(org)}"
            ) from error
        raise error


def ended_well(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Ask each once to end, a standing one too, and wait for it; kill what does not end in time. Their exit codes.

    Once: a second SIGTERM meets a process that has given back its handlers on its way out, and kills it there.
    """
    for process in processes:
        if process.poll() is None:
            process.terminate()
            process.send_signal(signal.SIGCONT)
    return [_waited(process) for process in processes]


def _waited(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def wipe(folder: Folder) -> None:
    """Delete what the member wrote: ledger and votes. Keys, card and genesis stay, as an operator restores them."""
    doomed: Iterable[str] = (
        folder.ledger.name,
        f"{folder.ledger.name}-wal",
        f"{folder.ledger.name}-shm",
        folder.votes.name,
    )
    for name in doomed:
        (folder.root / name).unlink(missing_ok=True)
