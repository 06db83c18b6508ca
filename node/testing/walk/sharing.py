"""Four hospitals: what their people type, from a schema to an audit, and what must come of it."""

import asyncio
import datetime
import filecmp
import time
from pathlib import Path
from typing import Any

from node.api import OperatorError
from node.testing.noise import write_noise
from node.testing.processes import ProcessCluster
from node.testing.walk.shell import PROGRESS_S_MAX, Shell, Typed, WalkFailed, bent

OWNER, PARTNER, STRANGER, CARER = "cleveland", "budapest", "long_beach", "zurich_basel"
TERM_DAYS = 90
ROUNDS = 300
QUICK_S = 0.02
SCANS_BYTES = 512 << 20
SOME_CHUNKS = 64
CHUNK_NAME_CHARACTERS = 64
"""A chunk's file is named by its digest."""

RULES = """\
# Who may have Cleveland's patients, and for what.

name = "patients-access"
data = ["patients"]

[[rule]]
when = 'operation == "download"'
then = "refuse"
words = "Nobody gets a copy to read: ask for train."

[[rule]]
when = 'agreement.present && agreement.title == "Heart study" && purpose in agreement.purposes'
then = "allow"
words = "A party of the Heart study."

[otherwise]
then = "refuse"
words = "Only parties of the Heart study: draft an agreement with us first."

[[case]]
name = "a party trains"
requester = "budapest"
purpose = "heart research"
operation = "train"
agreement = { title = "Heart study", parties = ["budapest", "cleveland"], purposes = ["heart research"], operations = ["train"] }
expect = "allow"
line = 2

[[case]]
name = "a party wants a copy"
requester = "budapest"
purpose = "heart research"
operation = "download"
agreement = { title = "Heart study", parties = ["budapest", "cleveland"], purposes = ["heart research"], operations = ["train"] }
expect = "refuse"
line = 1

[[case]]
name = "a member without an agreement"
requester = "long_beach"
purpose = "heart research"
operation = "train"
expect = "refuse"
line = 0
"""  # noqa: E501 - a line of TOML


class SharingStory:
    """The walk, step by step; each raises `WalkFailed` when something is not as it must be."""

    def __init__(self, shell: Shell, cluster: ProcessCluster, job_file: Path) -> None:
        """The members' folders hold their rows in `data/train.csv`."""
        self._shell = shell
        self._cluster = cluster
        self._root = cluster.root
        self._job_file = job_file
        self._agreement = ""
        self._granted = ""
        self._job = ""

    def tell(self) -> None:
        """All of it."""
        self._add()
        self._agree()
        self._rule()
        self._request()
        self._fetch()
        self._break_off()
        self._train()
        self._revoke()
        self._audit()

    def _add(self) -> None:
        shell = self._shell
        shell.title("1. Say what the columns mean, and add the data: encrypted at home, described on the ledger")
        shell.run(OWNER, "schema", "new", f"{OWNER}/data/train.csv", "--out", "heart.toml", "--name", "heart")
        self._edit_schema()
        shell.run(OWNER, "schema", "register", "heart.toml", "--yes")
        shell.run(OWNER, *self._added(OWNER), "--schema", f"{OWNER}/heart", "--yes")
        for org in (PARTNER, CARER):
            shell.run(org, *self._added(org), "--yes")
        shell.run(STRANGER, "data", "list", prints=[f"{OWNER}/patients", f"{CARER}/patients"])
        rows = (self._root / OWNER / "data" / "train.csv").read_bytes()
        shell.must("no row of the file is in the vault in the clear", not self._is_in_vault(OWNER, rows[200:260]))

    def _edit_schema(self) -> None:
        """What the owner's person does to the draft, which leaves out what few rows have."""
        path = self._root / "heart.toml"
        drafted, edited = '["lv hypertrophy", "normal"]', '["lv hypertrophy", "normal", "st-t abnormality"]'
        text = path.read_text()
        self._shell.must("the draft leaves out a category that only two patients have", drafted in text)
        path.write_text(text.replace(drafted, edited))
        self._shell.say(f"\nsomebody edits heart.toml, as the category is no secret: categories = {edited}")

    def _added(self, org: str) -> tuple[str, ...]:
        words = ("--label", "Patients with chest pain", "--purpose", "heart research")
        return ("data", "add", f"{org}/data/train.csv", "--name", "patients", *words)

    def _is_in_vault(self, org: str, content: bytes) -> bool:
        files = (path for path in (self._root / org / "vault").rglob("*") if path.is_file())
        return any(content in path.read_bytes() for path in files)

    def _agree(self) -> None:
        shell = self._shell
        shell.title("2. An agreement: drafted by one, signed by the other, in force")
        until = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=TERM_DAYS)).date().isoformat()
        terms = ("--party", PARTNER, "--data", "patients", "--purpose", "heart research", "--operation", "train")
        drafted = shell.run(OWNER, "agreement", "draft", "--title", "Heart study", *terms, "--until", until, "--yes")
        self._agreement = self._at(drafted, PARTNER)
        shell.run(PARTNER, "agreement", "show", self._agreement[:16], prints=["Heart study", PARTNER])
        shell.run(PARTNER, "agreement", "sign", self._agreement[:16], "--yes", prints=["the agreement is in force"])

    def _rule(self) -> None:
        shell = self._shell
        shell.title("3. The owner's own contract decides over requests: checked and tried at home, then deployed")
        (self._root / "patients-access.toml").write_text(RULES)
        shell.run(OWNER, "contract", "check", "patients-access.toml")
        shell.run(OWNER, "contract", "test", "patients-access.toml")
        shell.run(OWNER, "contract", "deploy", "patients-access.toml", "--yes")

    def _request(self) -> None:
        shell = self._shell
        shell.title("4. Requests: one granted by a rule, one refused by a rule, one granted by a person")
        asked = ("data", "request", f"{OWNER}/patients", "--purpose", "heart research", "--operation", "train", "--yes")
        granted = shell.run(
            PARTNER, *asked, "--agreement", self._agreement[:16], prints=["the request is granted", "line 2"]
        )
        self._granted = granted.transaction
        shell.run(STRANGER, *asked, prints=["the request is refused", "Only parties of the Heart study"])
        outside = ("--purpose", "marketing", "--operation", "train", "--agreement", self._agreement[:16], "--yes")
        shell.run(PARTNER, "data", "request", f"{OWNER}/patients", *outside, refused=True, prints=["purpose-outside"])
        wanted = ("--purpose", "heart research", "--operation", "download", "--words", "for our registry", "--yes")
        waiting = shell.run(CARER, "data", "request", f"{PARTNER}/patients", *wanted, prints=["the request is waiting"])
        request = self._at(waiting, PARTNER)
        shell.run(STRANGER, "data", "grant", request[:16], "--yes", refused=True, prints=["not-owner"])
        shell.run(PARTNER, "data", "grant", request[:16], "--yes")
        shell.run(PARTNER, "data", "requests", prints=["granted", CARER])

    def _fetch(self) -> None:
        shell = self._shell
        shell.title("5. Fetch: sealed chunks, served against the ledger alone")
        shell.run(PARTNER, "data", "fetch", f"{OWNER}/patients", "--yes", prints=["is in your vault"])
        shell.run(PARTNER, "data", "verify", f"{OWNER}/patients", prints=["whole"])
        shell.run(
            PARTNER, "data", "extract", f"{OWNER}/patients", "--to", "leak",
            refused=True, prints=["fetched for the operation train"],
        )  # fmt: skip
        shell.run(CARER, "data", "fetch", f"{PARTNER}/patients", "--yes", prints=["is in your vault"])
        shell.run(CARER, "data", "extract", f"{PARTNER}/patients", "--to", "registry")
        written = [path for path in (self._root / "registry").rglob("*") if path.is_file()]
        same = len(written) == 1 and filecmp.cmp(written[0], self._root / PARTNER / "data" / "train.csv", shallow=False)
        shell.must("what the carer wrote out is, byte for byte, what the partner added", same)
        shell.run(STRANGER, "data", "fetch", f"{OWNER}/patients", "--yes", refused=True, prints=["nothing lets"])

    def _break_off(self) -> None:
        shell, cluster = self._shell, self._cluster
        shell.title("6. Half a gigabyte: kill -9 of who fetches, then of the owner, in the middle; it goes on")
        write_noise(self._root / "scans.npz", SCANS_BYTES)
        words = ("--name", "scans", "--label", "Scans", "--purpose", "heart research", "--yes")
        shell.run(OWNER, "data", "add", "scans.npz", *words)
        authorised = shell.run(OWNER, "data", "authorize", "scans", "--to", PARTNER, "--yes")
        self._at(authorised, PARTNER)
        first = asyncio.run(self._begun_and_killed())
        kept = {path: path.stat().st_mtime_ns for path in self._received()}
        cluster.launch(PARTNER)
        second = asyncio.run(self._killed(OWNER, above=first))
        cluster.launch(OWNER)
        shell.run(PARTNER, "data", "fetch", f"{OWNER}/scans", "--yes", prints=["is in your vault"])
        shell.run(PARTNER, "data", "verify", f"{OWNER}/scans", prints=["whole"])
        same = all(path.stat().st_mtime_ns == written for path, written in kept.items())
        shell.must(
            f"none of the {len(kept)} chunks that were here was fetched again", same and first <= len(kept) < second
        )

    async def _begun_and_killed(self) -> int:
        """The command is typed while somebody looks at how far it is: it ends at once, the transfer soon after."""
        words = ("data", "fetch", f"{OWNER}/scans", "--yes", "--background")
        typed = asyncio.ensure_future(asyncio.to_thread(self._shell.run, PARTNER, *words))
        done = await self._killed(PARTNER, above=0)
        await typed
        return done

    async def _killed(self, org: str, *, above: int) -> int:
        """How many chunks the partner said it had when this daemon was killed: more than `above`, and not all."""
        until = time.monotonic() + PROGRESS_S_MAX
        while time.monotonic() < until:
            try:
                async with self._cluster.client(PARTNER) as client:
                    found = next((one for one in await client.arrivals() if one["data"] == f"{OWNER}/scans"), None)
            except OperatorError:
                found = None
            if found is not None and found["done"] > above + SOME_CHUNKS:
                self._cluster.kill(org)
                self._shell.say(f"\n{org} is killed at {found['done']} of {found['chunks']} chunks, and starts again")
                return int(found["done"])
            await asyncio.sleep(QUICK_S)
        raise WalkFailed(f"the transfer does not come beyond {above} chunks")

    def _received(self) -> list[Path]:
        """The partner's chunks of it."""
        folder = self._root / PARTNER / "vault" / "received"
        return [path for path in folder.rglob("*") if len(path.name) == CHUNK_NAME_CHARACTERS and path.is_file()]

    def _train(self) -> None:
        shell = self._shell
        shell.title("7. Train together: on fetched data, on a data set of the own vault, on a file")
        orgs = [word for org in (PARTNER, STRANGER, CARER) for word in ("--participant", org)]
        proposed = shell.run(PARTNER, "job", "propose", self._job_file.name, "--rounds", str(ROUNDS), *orgs)
        for org in (STRANGER, CARER):
            self._at(proposed, org)
        self._job = job = proposed.transaction
        shell.run(PARTNER, "job", "approve", job[:16], "--dataset", f"{OWNER}/patients")
        shell.run(CARER, "job", "approve", job[:16], "--dataset", "patients")
        shell.run(STRANGER, "job", "approve", job[:16], "--data", "data/train.csv")
        shell.wait(lambda: self._shown()["training_round"] >= 3, "training round 3")
        shell.must("the training rounds run with all three", self._shown()["training_round"] >= 3)

    def _revoke(self) -> None:
        shell = self._shell
        shell.title("8. Revoke: nothing more is served, the next training round leaves the data out")
        why = "the study is over"
        shell.run(OWNER, "data", "revoke", self._granted[:16], "--why", why, prints=["no recall"])
        shell.run(OWNER, "data", "requests", prints=["revoked", why])
        version = ("--label", "Patients with chest pain", "--purpose", "heart research", "--yes")
        shell.run(OWNER, "data", "add", "held_out/cleveland.csv", "--name", "patients", *version)
        shell.run(
            PARTNER, "data", "fetch", f"{OWNER}/patients", "--version", "2", "--yes",
            refused=True, prints=["nothing lets"],
        )  # fmt: skip
        shell.run(STRANGER, "job", "watch", self._job[:16], prints=["done"])
        shell.run(STRANGER, "job", "show", self._job[:16], prints=["revoked"])
        left = list(self._shown()["left_out"])
        shell.must(f"{PARTNER}, whose grant ended, was left out; the others went on to the end", left == [PARTNER])

    def _audit(self) -> None:
        shell = self._shell
        shell.title("9. The audit: exported, checked by somebody who has the genesis file and nothing else")
        shell.run(
            OWNER, "audit", "--data", "patients", "--out", "audit.json",
            prints=[PARTNER, "granted", "refused", "revoked", "fetched"],
        )  # fmt: skip
        shell.run(None, "verify", "audit.json", "--genesis", "genesis.json", prints=["The audit holds"])
        content = (self._root / "audit.json").read_text()
        (self._root / "bent.json").write_text(bent(content))
        shell.say("\nsomebody changes one digit of the proof in bent.json")
        shell.run(None, "verify", "bent.json", "--genesis", "genesis.json", refused=True)

    def _at(self, typed: Typed, org: str) -> str:
        """The transaction's id, once this member has its block too. Raises `WalkFailed`."""
        shell = self._shell
        shell.wait(lambda: shell.read(org, "status")["height"] >= typed.height, f"{org} to have height {typed.height}")
        return typed.transaction

    def _shown(self) -> dict[str, Any]:
        found: dict[str, Any] = self._shell.read(STRANGER, "job", "show", self._job)
        return found
