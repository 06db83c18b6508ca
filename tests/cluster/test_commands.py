"""`lepton` as two operators use it: founding, daemon, data, a job, the chain, a model; and what it refuses, in words.

Every command is a process of its own. The two members are founded by the commands alone.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys

import numpy as np
import psutil
import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from node.cli.main import lepton as application
from node.edge.vault.chunks import CHUNK_BYTES, SEALED_BYTES_MAX

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

RECIPE = {
    "label": "ill",
    "columns": [{"kind": "numeric", "name": "age"}, {"kind": "categorical", "name": "sex", "categories": ["f", "m"]}],
    "model": {"kind": "logistic"},
    "training": {"epochs": 2, "batch_rows": 8, "optimiser": "sgd", "learning_rate": 0.1},
    "seed": 0,
}
REPLICA_BYTES = 2 * SEALED_BYTES_MAX
"""Room for a copy of two chunks: the description of the data and a small file."""
STATUS_KEYS = {"org", "height", "head_digest", "state_root", "training_round", "peers", "memory_mb", "version"}


class Pair:
    """Two members in `root`, founded by the commands."""

    def __init__(self, root, tools):
        self.root = root
        self.tools = tools
        self.daemons = {}

    def folder(self, org):
        return self.root / org

    def lepton(self, org, *words):
        return self.tools.lepton("--dir", self.folder(org), *words)

    def json(self, org, *words):
        return self.tools.lepton_json("--dir", self.folder(org), *words)

    def refused(self, org, *words):
        return self.tools.refused("--dir", self.folder(org), *words)

    def raised(self, org, *words):
        return self.tools.raised("--dir", self.folder(org), *words)

    def init(self, org):
        passphrase = self.root / f"{org}.passphrase"
        passphrase.write_text(f"the passphrase of {org}\n")
        passphrase.chmod(0o600)
        self.lepton(org, "init", "--org", org, "--passphrase-file", passphrase)

    def run(self, org):
        with (self.folder(org) / "daemon.log").open("ab") as log:
            self.daemons[org] = subprocess.Popen(
                [sys.executable, "-P", "-m", "node.cli", "--dir", str(self.folder(org)), "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def linked(self, org):
        site = self.tools.Site(self.root, ["east", "west"])
        asyncio.run(site.linked(org))

    def stop(self):
        for daemon in self.daemons.values():
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(20)
            finally:
                daemon.kill()


def rows(count, first):
    lines = [f"{30 + (first + i) % 50},{'fm'[(first + i) % 2]},{int((first + i) % 50 > 22)}" for i in range(count)]
    return "age,sex,ill\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory, tools):
    pair = Pair(tmp_path_factory.mktemp("pair"), tools)
    genesis = pair.root / "duo.json"
    try:
        for org in ("east", "west"):
            pair.init(org)
        cards = [pair.folder(org) / "card.json" for org in ("east", "west")]
        pair.lepton("east", "network", "found", "--name", "duo", *cards, "--out", genesis)
        assert "no network yet" in pair.refused("east", "run")
        half_signed = pair.raised("east", "network", "install", genesis)
        assert "west" in half_signed
        pair.lepton("west", "network", "sign", genesis)
        for org in ("east", "west"):
            pair.lepton(org, "network", "install", genesis)
            (pair.folder(org) / "data").mkdir()
            (pair.folder(org) / "data" / "rows.csv").write_text(rows(60, len(org) * ord(org[0])))
            with (pair.folder(org) / "node.toml").open("a") as settings:
                settings.write(f"\n[vault]\nreplica_bytes = {REPLICA_BYTES}\n")
            pair.run(org)
        pair.linked("east")
        yield pair
    finally:
        pair.stop()
    tools.assert_clean({org: (pair.folder(org) / "daemon.log").read_text() for org in ("east", "west")})


def test_cards_and_the_genesis_say_who_founded_the_network(pair):
    shown = pair.tools.lepton_json("network", "show", pair.root / "duo.json")
    cards = [pair.json(org, "card") for org in ("east", "west")]

    assert shown["name"] == "duo"
    assert [(m["org"], m["signed"]) for m in shown["members"]] == [("east", True), ("west", True)]
    assert [card["organisation_key"] for card in cards] == [m["organisation_key"] for m in shown["members"]]
    assert pair.json("east", "status")["chain"] == shown["chain"]
    assert "already" in pair.raised("east", "init", "--org", "east")
    assert "already" in pair.raised("east", "network", "install", pair.root / "duo.json")


def test_status_and_what_belongs_to_the_owner_alone(pair):
    status = pair.json("east", "status")
    folder = pair.folder("east")

    assert status.keys() >= STATUS_KEYS
    assert status["org"] == "east"
    assert [peer.keys() >= {"org", "connected", "height"} for peer in status["peers"]] == [True]
    assert (status["peers"][0]["org"], status["peers"][0]["connected"]) == ("west", True)
    assert status["pid"] == pair.daemons["east"].pid
    assert "west" in pair.lepton("east", "status").stdout
    # A call that was just answered may still be closing; it has the same address.
    (socket,) = {found.laddr for found in psutil.Process(status["pid"]).net_connections("unix") if found.laddr}
    for path, mode in ((folder, 0o700), (socket, 0o600)):
        assert stat.S_IMODE(folder.joinpath(path).stat().st_mode) == mode
    assert "a daemon runs" in pair.refused("east", "run")


def test_data_is_authorised_shared_and_refused_in_words(pair):
    data = pair.folder("east") / "data" / "rows.csv"
    added = ("data", "add", data, "--name", "rows", "--label", "Rows", "--purpose", "tests", "--yes")
    assert "nothing was published: say --yes" in pair.raised("east", *added[:-1])
    assert pair.json("east", "data", "list") == []
    pair.lepton("east", *added)
    assert "same data" in pair.raised("east", *added)
    early = pair.refused("east", "data", "share", "rows", data, "--to", "west", "--yes")
    pair.lepton("east", "data", "authorize", "rows", "--to", "west", "--yes")
    shared = pair.json("east", "data", "share", "rows", data, "--to", "west", "--yes")
    pair.lepton("east", "data", "unauthorize", "rows", "--to", "west")
    late = pair.raised("east", "data", "share", "rows", data, "--to", "west", "--yes")
    foreign = pair.raised("west", "data", "authorize", "east/rows", "--to", "west", "--yes")

    assert "not authorised" in early
    assert shared["accepted"]
    assert "withdrawn" in late
    assert "owner" in foreign
    (seen,) = pair.json("west", "data", "list")
    assert (seen["data"], seen["owner"], seen["authorized"], seen["revoked"]) == ("east/rows", "east", [], ["west"])
    assert [share["recipient"] for share in seen["shares"]] == ["west"]
    assert "no data set" in pair.raised("east", "data", "unauthorize", "other", "--to", "west").lower()
    nothing = ("nothing.csv", "--name", "n", "--label", "", "--purpose", "", "--yes")
    assert "cannot read" in pair.raised("east", "data", "add", *nothing)
    assert (seen["version"], seen["description"]["purpose"], seen["description"]["kind"]) == (1, "tests", "csv")
    found = pair.json("west", "chain", "tx", shared["transaction"])
    assert (found["accepted"], found["org"], found["method"]) == (True, "east", "share")


def test_an_agreement_a_request_and_a_revocation(pair):
    terms = ("--title", "Study", "--purpose", "tests", "--operation", "train", "--operation", "download")
    draft = ("agreement", "draft", *terms, "--party", "west", "--data", "rows", "--until")
    unasked = pair.raised("east", *draft, "2099-01-31")
    late = pair.raised("east", *draft, "2001-01-31", "--yes")
    agreement = pair.json("east", *draft, "2099-01-31", "--yes")["transaction"]
    ask = ("data", "request", "east/rows", "--operation", "train", "--yes", "--agreement", agreement[:8], "--purpose")
    unsigned = pair.raised("west", *ask, "tests")
    pair.lepton("west", "agreement", "sign", agreement[:8], "--yes")
    outside = pair.raised("west", *ask, "advertising")
    request = pair.json("west", *ask, "tests")["transaction"]
    foreign = pair.raised("west", "data", "grant", request, "--yes")
    pair.lepton("east", "data", "grant", request[:8], "--yes")
    revoked = pair.lepton("east", "data", "revoke", request[:8], "--why", "over").stdout

    assert "say --yes" in unasked
    assert "expiry" in late
    assert "west has yet to sign" in unsigned
    assert "does not name this purpose" in outside
    assert "Only the owner" in foreign
    assert "no recall" in revoked
    (shown,) = pair.json("east", "data", "requests")
    assert (shown["state"], shown["stands"], shown["why"]) == ("revoked", False, "over")
    assert shown["agreement"] == agreement


def copies(pair, name):
    return {copy["holder"]: (copy["state"], copy["why"]) for copy in pair.json("east", "data", "show", name)["copies"]}


def test_copies_are_asked_for_held_declined_and_released(pair):
    about = ("--label", "Rows", "--purpose", "tests", "--yes")
    small, large = pair.root / "small.csv", pair.root / "large.npz"
    small.write_text("a,b\n1,x\n")
    np.savez(large, a=np.frombuffer(os.urandom(CHUNK_BYTES + 1), np.uint8))
    at_west = pair.folder("west") / "vault" / "replicas"
    too_few = pair.raised("east", "data", "add", small, "--name", "small", *about, "--replicas", "2")
    added = pair.lepton("east", "data", "add", small, "--name", "small", *about, "--replicas", "1").stdout
    pair.tools.wait_for(lambda: copies(pair, "small") == {"west": ("held", "")}, "the copy to be whole")
    pair.lepton("east", "data", "add", large, "--name", "large", *about)
    unasked = pair.raised("east", "data", "replicate", "large", "--at", "west")
    asked = pair.lepton("east", "data", "replicate", "large", "--at", "west", "--yes").stdout
    pair.tools.wait_for(lambda: copies(pair, "large")["west"][0] == "dropped", "what does not fit to be declined")
    (listed,) = [found for found in pair.json("west", "data", "list") if found["data"] == "east/small"]

    assert "2 copies need 2 other members; there are 1" in too_few
    assert "west is asked to keep a copy" in added
    assert "nothing was published" in unasked
    assert "see what comes of it: lepton data show large" in asked
    limit = f"this member keeps {REPLICA_BYTES} bytes for others at most"
    assert copies(pair, "large") == {"west": ("dropped", limit)}
    assert limit in pair.lepton("east", "data", "show", "large").stdout
    assert [copy["state"] for copy in listed["history"][-1]["copies"]] == ["held"]
    for words, why in (
        (("nothing", "--at", "west"), "no data set east/nothing"),
        (("small", "--at", "nobody"), "not a member"),
        (("small", "--at", "N O"), "no organisation's name"),
        (("small", "--at", "east"), "another member than the owner"),
        (("small", "--at", "west"), "already"),
        (("small", "--at", "west", "--version", "9"), "no version of this number"),
    ):
        assert why in pair.raised("east", "data", "replicate", *words, "--yes")
    assert "Only the owner" in pair.raised("west", "data", "replicate", "east/small", "--at", "east", "--yes")
    assert "Nobody asked" in pair.raised("east", "data", "release", "large", "--at", "west")
    assert "no data set" in pair.raised("east", "data", "release", "nothing", "--at", "west")
    assert list(at_west.rglob("*.record"))
    released = pair.lepton("east", "data", "release", "small", "--at", "west").stdout
    assert "west deletes its copy of version 1 of east/small" in released
    pair.tools.wait_for(lambda: not [path for path in at_west.rglob("*") if path.is_file()], "the copy to be deleted")
    assert copies(pair, "small") == {}


def test_data_in_the_vault_is_found_damaged_by_chunk_and_written_back(pair):
    words = ("--name", "kept", "--label", "Kept", "--purpose", "tests", "--yes")
    data = pair.root / "kept.csv"
    data.write_text("a,b\n" + "1,x\n" * 400_000)
    pair.lepton("east", "data", "add", data, *words)
    first = pair.json("east", "data", "show", "kept")
    data.write_text("a,b\n2,y\n")
    pair.lepton("east", "data", "add", data, *words)
    chunks = [path for path in (pair.folder("east") / "vault" / "chunks").rglob("*") if path.is_file()]
    # A long piece of it: of three bytes, chance alone has some in megabytes.
    assert not any(b"1,x\n1,x\n" in path.read_bytes() for path in chunks)
    pair.lepton("east", "data", "extract", "kept", "--version", "1", "--to", pair.root / "back")

    def listed_at_west():
        (found,) = [found for found in pair.json("west", "data", "list") if found["data"] == "east/kept"]
        return found if found["version"] == 2 else None

    listed = pair.tools.wait_for(listed_at_west, "the other member to have the block of the second version")

    assert (pair.root / "back" / "kept.csv").read_text() == "a,b\n" + "1,x\n" * 400_000
    assert listed["history"][0]["commitment"] == first["fingerprint"]
    assert first["columns"] == [{"name": "a", "type": "int64"}, {"name": "b", "type": "string"}]
    pair.lepton("east", "data", "verify")
    sealed = chunks[0].read_bytes()
    chunks[0].write_bytes(sealed[:-1] + bytes((sealed[-1] ^ 1,)))
    chunks[1].unlink()
    assert "2 chunks" in pair.raised("east", "data", "verify")


def test_a_job_from_proposal_to_predictions(pair):
    file = pair.root / "job.json"
    file.write_text(json.dumps({"name": "illness", "rounds": 1, "recipe": RECIPE}))
    unwanted = pair.json("west", "job", "propose", file, "--rounds", "3")["transaction"]
    pair.lepton("east", "job", "refuse", unwanted[:20], "--why", "three are too many")
    assert "refused" in pair.raised("west", "job", "approve", unwanted, "--data", "data/rows.csv")
    job = pair.json("east", "job", "propose", file)["transaction"]
    assert "outside" in pair.raised("east", "job", "approve", job, "--data", "../duo.json")
    for org in ("east", "west"):
        pair.lepton(org, "job", "approve", job[:20], "--data", "data/rows.csv")
    pair.lepton("west", "job", "watch", job)

    listed = {found["id"]: (found["state"], found["reason"]) for found in pair.json("west", "job", "list")}
    assert listed[job] == ("done", "")
    assert listed[unwanted][0] == "refused"
    assert "three are too many" in listed[unwanted][1]
    done = pair.tools.wait_for(lambda: with_model(pair, job), "the model to be on disk")
    assert sorted(done["contributors"]) == ["east", "west"]
    asked, out = pair.root / "asked.csv", pair.root / "out.json"
    asked.write_text("sex,age\nf,31\nm,79\nx,\n")
    predicted = pair.tools.lepton("model", "predict", "--model", done["model_path"], "--data", asked, "--json", out)
    probabilities = json.loads(out.read_text())
    assert len(probabilities) == 3
    assert all(0 < probability < 1 for probability in probabilities)
    assert probabilities[0] < probabilities[1]
    assert "sex" in predicted.stderr, "an unknown category is told"
    assert pair.tools.lepton_json("model", "show", "--model", done["model_path"])["digest"] == done["model"]
    asked.write_text("age\n31\n")
    assert "sex" in pair.tools.raised("model", "predict", "--model", done["model_path"], "--data", asked)


def with_model(pair, job):
    # As a person would: by the first digits.
    found = pair.json("west", "job", "show", job[:12])
    return found if found["model_path"] else None


def test_a_flipped_byte_is_found_at_its_height(pair):
    mine = pair.folder("west") / "data" / "rows.csv"
    pair.lepton("west", "data", "add", mine, "--name", "mine", "--label", "Mine", "--purpose", "tests", "--yes")
    blocks = pair.json("west", "chain", "blocks", "--last", "1000")
    height = blocks[0]["height"]
    shown = pair.json("west", "chain", "block", height)
    verified = pair.json("west", "chain", "verify")
    copy = pair.root / "copy"
    shutil.copytree(pair.folder("west"), copy, ignore=shutil.ignore_patterns("*.sock", "ledger.*"))
    with (
        sqlite3.connect(pair.folder("west") / "ledger.sqlite") as source,
        sqlite3.connect(copy / "ledger.sqlite") as to,
    ):
        source.backup(to)
    with sqlite3.connect(copy / "ledger.sqlite") as tampered:
        (block,) = tampered.execute("SELECT block FROM blocks WHERE height = ?", (height,)).fetchone()
        flipped = bytearray(block)
        flipped[len(flipped) // 2] ^= 1
        tampered.execute("UPDATE blocks SET block = ? WHERE height = ?", (bytes(flipped), height))

    assert [block["height"] for block in blocks] == list(range(height, 0, -1))
    assert shown["digest"] == blocks[0]["digest"]
    assert shown["receipts"][0]["method"] == "register"
    assert verified["height"] >= height
    assert f"height {height}" in pair.tools.refused("--dir", copy, "chain", "verify")
    assert "no block" in pair.raised("west", "chain", "block", 100_000)
    assert "in no block" in pair.raised("west", "chain", "tx", "00" * 32)
    assert "64 hexadecimal digits" in pair.raised("west", "chain", "tx", "xyz")


def test_mistakes_are_answered_in_one_sentence(pair, tmp_path, tools):
    nobody = tmp_path / "nobody"
    for words in (("card",), ("chain", "blocks"), ("job", "list")):
        assert str(nobody) in tools.raised("--dir", nobody, *words)
    for words in (("status",), ("run",)):
        assert str(nobody) in tools.refused("--dir", nobody, *words)
    wrong = tmp_path / "wrong"
    wrong.write_text("something else\n")
    wrong.chmod(0o600)
    stranger = tmp_path / "stranger"
    tools.lepton("--dir", stranger, "init", "--org", "stranger", "--passphrase-file", pair.root / "east.passphrase")
    settings = stranger / "node.toml"
    settings.write_text(settings.read_text().replace(str(pair.root / "east.passphrase"), str(wrong)))
    out = tmp_path / "solo.json"
    alone = ("network", "found", "--name", "solo", stranger / "card.json", "--out", out)
    assert "passphrase" in tools.raised("--dir", stranger, *alone)
    assert tools.lepton("--dir", stranger, "status", "--nonsense", check=False).returncode == 2


def commands(command, path=()):
    """Every command and group of the command line, and whether it is a group."""
    inner = command.list_commands(None) if isinstance(command, TyperGroup) else []
    yield path, bool(inner)
    for name in inner:
        yield from commands(command.get_command(None, name), (*path, name))


@pytest.mark.parametrize(
    ("path", "is_group"),
    [pytest.param(*found, id=" ".join(found[0])) for found in commands(get_command(application))],
)
def test_every_command_explains_itself_with_an_example(path, is_group):
    helped = CliRunner().invoke(application, [*path, "--help"])

    assert helped.exit_code == 0
    assert " ".join(path[-1:]) in helped.output
    assert is_group or "lepton " in helped.output
    assert is_group or f"{' '.join(path)}" in helped.output.split("Example:")[1]
