"""Four hospitals and a fifth: what their people type from an application to a proof that a stranger checks."""

import asyncio
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from node.api import OperatorError, Outcome
from node.app.settings import Folder
from node.base.codec import encode
from node.base.types import Digest
from node.edge.transport import free_port
from node.ledger.contracts.sharing import Register
from node.testing.processes import LOG, ProcessCluster, wipe
from node.testing.walk.shell import PROGRESS_S_MAX, Shell, WalkFailed, bent

FIRST, SECOND, THIRD, FOURTH = FOUNDERS = ("budapest", "cleveland", "long_beach", "zurich_basel")
NEW = "lausanne"
KEYS = ("node", "tls", "data", "organisation")

Status = dict[str, Any]


class NetworkStory:
    """The walk, step by step; each raises `WalkFailed` when something is not as it must be."""

    def __init__(self, shell: Shell, cluster: ProcessCluster) -> None:
        self._shell = shell
        self._cluster = cluster
        self._root = cluster.root
        self._made = 0
        self._early = ""

    def tell(self) -> None:
        """All of it."""
        self._apply()
        self._rotate()
        self._lose_keys()
        self._go_and_come()
        self._run_twice()
        self._leave()
        self._look_after()
        self._halt()
        self._keep_chain()
        self._prove()

    # Who belongs

    def _apply(self) -> None:
        shell, cluster = self._shell, self._cluster
        shell.title("1. A fifth hospital applies, is voted in, catches up and votes: nobody restarts for it")
        self._early = self._write(FIRST)
        door = f"127.0.0.1:{free_port()}"
        shell.say(f'\nbudapest opens a door for cards: join_listen = "{door}" in its node.toml, and a restart')
        with Folder(cluster.folder(FIRST)).settings.open("a") as settings:
            settings.write(f'\njoin_listen = "{door}"\n')
        self._restart(FIRST)
        passphrase = self._root / f"{NEW}.passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text("a passphrase of many words\n")
        shell.run(NEW, "init", "--org", NEW, "--passphrase-file", passphrase.name)
        shell.run(NEW, "network", "install", "genesis.json", "--peer", f"{SECOND}/card.json")
        shell.run(NEW, "network", "apply", "--to", door, "--member", f"{FIRST}/card.json", prints=["admit"])
        shell.run(FIRST, "network", "applicants", prints=[NEW])
        self._launch(NEW)
        self._decide("admit", f"{NEW}/card.json")
        self._until_state(NEW, "member")
        shell.run(NEW, "status", prints=["5; 4 must agree"])
        shell.run(FIRST, "network", "members", prints=[NEW, "quorum 4"])

    def _rotate(self) -> None:
        shell = self._shell
        shell.title("2. All four keys of a member are renewed, and its address: no restart, no pause")
        before = self._status(NEW)["pid"]
        for key in KEYS:
            shell.run(NEW, "keys", "rotate", key, prints=["accepted"])
            self._write(SECOND)
        port = self._listens(NEW).rpartition(":")[2]
        shell.run(NEW, "keys", "address", f"localhost:{port}")
        shell.run(NEW, "keys", "show")
        shell.must("the daemon is the same process", self._status(NEW)["pid"] == before)

    def _lose_keys(self) -> None:
        shell = self._shell
        shell.title("3. A stolen node key, and a stolen organisation key: revoked and replaced by vote")
        stolen = shell.read(NEW, "card")["node_key"]
        self._decide("revoke", NEW, stolen)
        self._until_state(NEW, "suspended")
        shell.run(NEW, "keys", "rotate", "node", "--card-out", "renewed.json")
        self._decide("admit", "renewed.json")
        self._until_state(NEW, "member")
        organisation = shell.read(NEW, "card")["organisation_key"]
        shell.run(NEW, "keys", "rotate", "organisation", "--card-out", "replaced.json")
        self._decide("replace", "replaced.json")
        self._decide("revoke", NEW, organisation)
        renewed = self._member(NEW)["organisation_key"]
        shell.must("the ledger has another organisation key", renewed != organisation)

    def _go_and_come(self) -> None:
        shell = self._shell
        shell.title("4. Suspended by vote and admitted again; removed by vote and admitted again")
        for way, state in (("suspend", "suspended"), ("remove", "removed")):
            self._decide(way, NEW)
            self._until_state(NEW, state)
            self._until(NEW, lambda found: not _links(found), "its links to be cut")
            others = [peer for org in FOUNDERS for peer in _links(self._status(org))]
            shell.must(f"{NEW} is {state}, and nobody has a link to it", NEW not in others)
            self._decide("admit", "replaced.json")
            self._until_state(NEW, "member")

    def _run_twice(self) -> None:
        shell = self._shell
        shell.title("5. Somebody starts a copy of a member's folder: two votes of one member are proof, and suspend it")
        copy = ProcessCluster(self._root / "copy", [NEW])
        shutil.copytree(self._cluster.folder(NEW), copy.folder(NEW), ignore=shutil.ignore_patterns("*.sock", LOG))
        settings = Folder(copy.folder(NEW)).settings
        listens = f'listen = "127.0.0.1:{free_port()}"'
        settings.write_text(re.sub(r"(?m)^listen = .*$", listens, settings.read_text()))
        try:
            copy.launch(NEW)
            shell.say(f"a second daemon runs on copy/{NEW}; both get transactions")
            shell.wait(lambda: self._is_caught(copy), f"somebody to show two votes of {NEW}")
        finally:
            copy.stop()
        self._cluster.end(NEW)
        self._until_state(NEW, "suspended")
        shell.run(FIRST, "network", "members", prints=["proven contradictions", NEW])

    def _is_caught(self, copy: ProcessCluster) -> bool:
        """Give both work, unless the ledger names the member."""
        if self._shell.read(FIRST, "network", "members")["faults"]:
            return True
        for cluster, org in ((self._cluster, FIRST), (self._cluster, NEW), (copy, NEW)):
            # The copy may not have started yet; who has heard that it is suspended refuses.
            with suppress(OperatorError):
                self._hand_in(cluster, org, wait_s=None)
        return False

    def _leave(self) -> None:
        shell = self._shell
        shell.title("6. It is admitted once more, and leaves by its own wish")
        self._launch(NEW)
        self._decide("admit", "replaced.json")
        self._until_state(NEW, "member")
        shell.run(NEW, "network", "leave", "--yes")
        self._until_state(NEW, "removed")
        self._cluster.end(NEW)

    # Day two

    def _look_after(self) -> None:
        shell, cluster = self._shell, self._cluster
        shell.title("7. Two of four fail: the doctor says who is missing. One lost everything but its keys")
        shell.run(FIRST, "doctor")
        for org in (THIRD, FOURTH):
            cluster.kill(org)
        wipe(Folder(cluster.folder(FOURTH)))
        shell.say(f"\n{THIRD} and {FOURTH} are killed, and the ledger and the votes of {FOURTH} are deleted")
        self._hand_in(self._cluster, FIRST, wait_s=None)
        self._until(FIRST, lambda found: found["round"] >= 1, "a round without quorum")
        shell.run(FIRST, "doctor", refused=True, prints=[f"bring back 1 of: {THIRD}, {FOURTH}"])
        self._launch(THIRD)
        self._launch(FOURTH)
        self._until(FOURTH, lambda found: bool(found["silent_until"]), "it to know how long it is silent")
        shell.run(FOURTH, "status", prints=["the vote log was lost"])
        shell.run(FOURTH, "recover", refused=True, prints=["--yes"])
        for _ in range(4):
            self._write(SECOND)
        self._until(FOURTH, lambda found: not found["silent_until"], "it to vote again")
        self._same_head()
        shell.run(FOURTH, "doctor")

    def _halt(self) -> None:
        shell = self._shell
        shell.title("8. All halt after one block, for an upgrade, and go on")
        height = self._status(FIRST)["height"] + 2
        for org in FOUNDERS:
            shell.run(org, "halt-at", str(height))
        shell.wait(self._are_halted, "all to halt")
        shell.run(THIRD, "halt-at", "--show", prints=[f"halts at height {height}; halted"])
        heights = {self._status(org)["height"] for org in FOUNDERS}
        shell.must(f"all stand at height {height}", heights == {height})
        for org in FOUNDERS:
            shell.run(org, "halt-at", "--off")
        self._write(FIRST)
        shell.must("the chain goes on", self._status(FIRST)["height"] > height)

    def _are_halted(self) -> bool:
        """Give work, unless nobody takes any."""
        if all(self._status(org)["halted"] for org in FOUNDERS):
            return True
        self._hand_in(self._cluster, SECOND, wait_s=None)
        return False

    def _keep_chain(self) -> None:
        shell, cluster = self._shell, self._cluster
        shell.title("9. The chain on one file, checked; taken over by a member that lost its ledger; pruned")
        shell.run(FIRST, "chain", "export", "backup.chain")
        shell.run(None, "chain", "verify-backup", "backup.chain", "--genesis", "genesis.json")
        cluster.end(FOURTH)
        for path in cluster.folder(FOURTH).glob("ledger.sqlite*"):
            path.unlink()
        shell.say(f"\n{FOURTH} is stopped, and its ledger deleted")
        shell.run(FOURTH, "chain", "import", "backup.chain")
        self._launch(FOURTH)
        self._same_head()
        shell.run(FOURTH, "chain", "verify")
        cluster.end(THIRD)
        shell.run(THIRD, "chain", "prune", "--keep", "10")
        self._launch(THIRD)
        self._same_head()
        shell.run(THIRD, "chain", "blocks", "--last", "3")

    def _prove(self) -> None:
        shell = self._shell
        shell.title("10. Proofs for somebody who has the genesis file and nothing else, over every change of members")
        key = f"sharing/data/{FIRST}/{_name(0)}"
        for what, value in (("tx", self._early), ("state", key), ("state", "sharing/data/nobody/nothing")):
            shell.run(FIRST, "prove", what, value, "--out", "proof.json")
            shell.run(None, "verify", "proof.json", "--genesis", "genesis.json")
        (self._root / "bent.json").write_text(bent((self._root / "proof.json").read_text()))
        shell.say("\nsomebody changes one digit of the proof in bent.json")
        shell.run(None, "verify", "bent.json", "--genesis", "genesis.json", refused=True)

    # What people do besides typing

    def _launch(self, org: str) -> None:
        self._shell.say(f"\n{org} starts its daemon: lepton --dir {org} run")
        self._cluster.launch(org)
        self._until(org, lambda found: True, "its daemon to answer")

    def _restart(self, org: str) -> None:
        self._cluster.end(org)
        self._launch(org)
        self._until(org, lambda found: len(_links(found)) == len(found["peers"]), "its links")

    def _decide(self, *motion: str) -> None:
        """One operator opens the motion, the others support it until it has passed."""
        shell = self._shell
        shell.run(FIRST, "network", *motion)
        for org in (SECOND, THIRD, FOURTH):
            found = shell.read(FIRST, "network", "motions")
            if not found:
                return
            opened = str(found[0]["id"])
            self._until_motion(org, opened)
            shell.run(org, "network", "support", opened[:12])

    def _until_motion(self, org: str, motion: str) -> None:
        self._until_read(
            org, ("network", "motions"), lambda found: motion in {one["id"] for one in found}, "the motion"
        )

    def _write(self, org: str) -> str:
        """The id of a transaction that is final now."""
        outcome = self._hand_in(self._cluster, org, wait_s=PROGRESS_S_MAX)
        if not outcome.accepted:
            raise WalkFailed(f"{org} wrote nothing: {outcome.reason or 'no block in time'}")
        return outcome.transaction.hex()

    def _hand_in(self, cluster: ProcessCluster, org: str, *, wait_s: float | None) -> Outcome:
        number, self._made = self._made, self._made + 1
        call = encode(Register(_name(number), Digest(bytes(32))))

        async def submit() -> Outcome:
            async with cluster.client(org) as client:
                return await client.submit("sharing", "register", call, wait_s=wait_s)

        return asyncio.run(submit())

    # What they look at

    def _status(self, org: str) -> Status:
        found: Status = self._shell.read(org, "status")
        return found

    def _listens(self, org: str) -> str:
        found = re.search(r'(?m)^listen = "(.*)"$', Folder(self._cluster.folder(org)).settings.read_text())
        assert found is not None, "every member's settings say where it listens"
        return found.group(1)

    def _member(self, org: str) -> dict[str, Any]:
        members = self._shell.read(FIRST, "network", "members")["members"]
        return next((member for member in members if member["org"] == org), {"state": None})

    def _until_state(self, org: str, state: str) -> None:
        self._shell.wait(lambda: self._member(org)["state"] == state, f"{org} to be {state}")

    def _until(self, org: str, holds: Callable[[Status], bool], what: str) -> None:
        self._until_read(org, ("status",), holds, what)

    def _until_read(self, org: str, words: tuple[str, ...], holds: Callable[[Any], bool], what: str) -> None:
        def holds_there() -> bool:
            try:
                return holds(self._shell.read(org, *words))
            except WalkFailed:
                return False

        self._shell.wait(holds_there, f"{org}: {what}")

    def _same_head(self) -> None:
        def same() -> bool:
            return len({(found["height"], found["head_digest"]) for found in map(self._status, FOUNDERS)}) == 1

        self._shell.wait(same, "all to have the same head")
        self._shell.say("\nall four have the same head")


def _name(number: int) -> str:
    return f"set-{number}"


def _links(status: Status) -> list[str]:
    return [peer["org"] for peer in status["peers"] if peer["connected"]]
