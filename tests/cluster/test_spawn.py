"""`scripts/spawn` as a person starts it: figures for a program, and nothing left of it, however it ends."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
ORGS = ["budapest", "cleveland", "long_beach", "zurich_basel"]
MEMBER_KEYS = {
    "org", "pid", "dir", "height", "head_digest", "positives", "negatives", "auc_alone", "auc_together",
    "accuracy_alone", "accuracy_together",
}  # fmt: skip
KEYS = {
    "scenario", "seed", "rounds", "height", "head_digest", "model_digest", "model_path", "seconds", "members",
    "overall",
}  # fmt: skip
OVERALL_KEYS = {"auc_alone_mean", "auc_alone_best", "auc_together", "auc_pooled", "auc_macro"}


@pytest.fixture
def spawn(tmp_path, tools):
    """Starts `scripts/spawn` with its network in tmp_path/net; ends it and all that it left, also on failure."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        log = (tmp_path / "spawn.log").open("w")
        with log:
            process = subprocess.Popen(
                [*command(), "--dir", str(tmp_path / "net"), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                cwd=tmp_path,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    for left in tools.Site(tmp_path / "net", ORGS).daemons():
        left.kill()


def command() -> list[str]:
    """The script itself in the project's own environment; elsewhere what it calls, for it would make that first."""
    if Path(sys.prefix) == ROOT / ".venv":
        return [str(ROOT / "scripts" / "spawn")]
    run = (
        "import sys; from pathlib import Path; from node.testing.scenario import main; "
        f"sys.argv[0] = 'spawn'; main(Path({str(ROOT / 'scripts' / 'scenarios')!r}), Path('clusters'), '')"
    )
    return [sys.executable, "-P", "-c", run]


def said(tmp_path: Path) -> str:
    return (tmp_path / "spawn.log").read_text()


def until_training(site, spawned, tmp_path, tools) -> list[psutil.Process]:
    """Wait until the job's first training round is open; the network's processes then."""

    def training() -> bool:
        assert spawned.poll() is None, said(tmp_path)
        return "training round 1 of" in said(tmp_path)

    tools.wait_for(training, "training round 1 to open")
    return site.daemons()


def test_four_hospitals_train_together_and_nothing_is_left_running(spawn, tmp_path, tools):
    site = tools.Site(tmp_path / "net", ORGS)
    out = tmp_path / "out.json"
    spawned = spawn("--rounds", "2", "--seed", "1", "--json", str(out))
    processes = until_training(site, spawned, tmp_path, tools)

    assert spawned.wait(150) == 0, said(tmp_path)

    figures = json.loads(out.read_text())
    assert (figures.keys(), figures["overall"].keys()) == (KEYS, OVERALL_KEYS)
    assert [member["org"] for member in figures["members"]] == ORGS
    assert (figures["scenario"], figures["seed"], figures["rounds"]) == ("heart", 1, 2)
    assert {name for member in figures["members"] for name in member} == MEMBER_KEYS
    for member in figures["members"]:
        assert (member["height"], member["head_digest"]) == (figures["height"], figures["head_digest"])
        assert member["dir"] == str(site.folder(member["org"]))
    assert len({member["pid"] for member in figures["members"]}) == 4
    assert sum(m["positives"] + m["negatives"] for m in figures["members"]) == pytest.approx(0.25 * 720, rel=0.12)
    assert all(0.5 < value <= 1 for value in figures["overall"].values())
    models = [site.folder(org).glob("models/*/round-2.safetensors") for org in ORGS]
    contents = {path.read_bytes() for paths in models for path in paths}
    assert len(contents) == 1
    assert hashlib.sha256(contents.pop()).hexdigest() == figures["model_digest"]
    assert hashlib.sha256(Path(figures["model_path"]).read_bytes()).hexdigest() == figures["model_digest"]
    assert len(processes) > 4, "four daemons, and learners beside them"
    assert tools.alive(processes) == []
    assert site.daemons() == []
    verified = [tools.lepton_json("--dir", site.folder(org), "chain", "verify") for org in ORGS[:2]]
    assert [found["head_digest"] for found in verified] == [figures["head_digest"]] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "out.json", "spawn.log"]
    tools.assert_clean(site.logs())


def test_interrupted_in_mid_training_it_stops_everything(spawn, tmp_path, tools):
    site = tools.Site(tmp_path / "net", ORGS)
    spawned = spawn("--rounds", "50", "--json", str(tmp_path / "out.json"))
    processes = until_training(site, spawned, tmp_path, tools)

    spawned.send_signal(signal.SIGINT)

    assert spawned.wait(60) not in (0, None)
    assert "interrupted" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    assert len(processes) > 4
    assert tools.alive(processes) == []
    assert site.daemons() == []
    assert not (tmp_path / "out.json").exists()
    tools.assert_clean(site.logs())


def test_with_keep_the_figures_are_written_and_the_network_goes_on(spawn, tmp_path, tools):
    site = tools.Site(tmp_path / "net", ORGS)
    out = tmp_path / "out.json"
    spawned = spawn("--rounds", "1", "--keep", "--json", str(out))

    assert spawned.wait(150) == 0, said(tmp_path)

    figures = json.loads(out.read_text())
    assert figures.keys() == KEYS
    for member in figures["members"]:
        assert psutil.pid_exists(member["pid"])
        assert f"--dir {member['dir']} status" in said(tmp_path)
    status = tools.lepton_json("--dir", site.folder("cleveland"), "status")
    assert (status["head_digest"], status["height"]) == (figures["head_digest"], figures["height"])
    # Restarted by the plain command, as the script told the operator.
    pid = status["pid"]
    os.kill(pid, signal.SIGTERM)
    tools.wait_for(lambda: not psutil.pid_exists(pid), "the daemon to end on SIGTERM")
    site.launch("cleveland")
    again = asyncio.run(site.linked("cleveland"))
    assert again["head_digest"] == figures["head_digest"]
    tools.assert_clean(site.logs())
    site.stop()


def test_killed_in_mid_training_with_keep_the_job_ends_on_idle_daemons_without_torch(spawn, tmp_path, tools):
    site = tools.Site(tmp_path / "net", ORGS)
    spawned = spawn("--rounds", "3", "--keep", "--json", str(tmp_path / "out.json"))
    until_training(site, spawned, tmp_path, tools)
    spawned.kill()
    spawned.wait()

    def done():
        (job,) = asyncio.run(jobs(site, "budapest"))
        assert job["state"] in ("training", "done"), job
        return job if job["state"] == "done" and job["model_path"] else None

    assert "training round 3 of 3, closed" not in said(tmp_path), "killed before the end"
    job = tools.wait_for(done, "the job to end without the script")
    contents = tools.wait_for(lambda: models_of(site, 3), "all models to be on disk")
    assert {hashlib.sha256(content).hexdigest() for content in contents} == {job["model"]}
    daemons = tools.wait_for(site.idle_daemons, "the learners to end with their job")
    assert len(daemons) == 4
    for daemon in daemons:
        maps = Path(f"/proc/{daemon.pid}/maps").read_text()
        assert "libpython" in maps or "python" in maps
        assert "torch" not in maps
        assert daemon.memory_info().rss < 150 * 2**20
    status = tools.lepton_json("--dir", site.folder("budapest"), "status")
    print("idle after training:", status["memory_mb"], "MB")
    assert status["memory_mb"] < 150
    assert (status["job"], status["pending"]) == (None, 0)
    for daemon in daemons:
        daemon.terminate()
    tools.wait_for(lambda: not tools.alive(daemons), "the daemons to end on SIGTERM")
    tools.assert_clean(site.logs())


async def jobs(site, org):
    async with site.client(org) as client:
        return await client.jobs()


def models_of(site, number):
    paths = [path for org in ORGS for path in site.folder(org).glob(f"models/*/round-{number}.safetensors")]
    return [path.read_bytes() for path in paths] if len(paths) == len(ORGS) else None
