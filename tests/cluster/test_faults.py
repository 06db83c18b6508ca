"""`kill -9` at the moments that matter, while four real daemons train: the others finish, the killed one comes back.

One network and one long job serve all of them; each test stands on its own feet with both.
"""

import asyncio
import json
import shutil
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
import pytest_asyncio

from node.app.settings import Folder
from node.base.codec import decode, encode
from node.base.types import FIRST_HEIGHT, Digest, PeerMessage, Proposal
from node.cli.job import terms_from_file
from node.edge.storage import FileVoteLog, SqliteReader
from node.ledger.contracts.contract import view
from node.ledger.contracts.sharing import Register
from node.ledger.contracts.training import Phase, training_rounds
from node.testing.processes import wipe
from node.testing.scenario.plan import deal_rows, member_names, read_scenario

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

ROUNDS = 26
DEADLINE_MS = 5_000
SLACK_MS = 3_000
"""For one resend, and for a machine with other work."""
RECOVERY_S_MAX = 90
PROPOSAL_S_MAX = 60
JOB_S_MAX = 200
VOTES_AGAIN_BLOCKS_MAX = 60
"""Silence ends three blocks above the highest that the others told; then its commits must be in time once."""


class Trial:
    """The network and its job."""

    def __init__(self, site):
        self.site = site
        self.orgs = [str(org) for org in site.orgs]
        self.job = b""

    def others(self, *orgs):
        return [org for org in self.orgs if org not in orgs]

    async def start_job(self, scenario, shares, file):
        terms = terms_from_file(file, rounds=ROUNDS, participants=[], minimum=None, count=4, deadline_ms=DEADLINE_MS)
        async with self.site.client(self.orgs[0]) as client:
            proposed = await client.submit("training", "propose", encode(terms))
        assert proposed.accepted, proposed
        self.job = proposed.transaction
        await self.site.until(
            lambda statuses: all(s["height"] >= proposed.height for s in statuses.values()), "the proposal", 60
        )
        await asyncio.gather(*(self.approve(share) for share in shares))

    async def approve(self, share):
        async with self.site.client(share.org) as client:
            approved = await client.approve(self.job, str(share.train.relative_to(self.site.folder(share.org))))
        assert approved.accepted, approved

    async def job_at(self, org):
        async with self.site.client(org) as client:
            return (await client.jobs(self.job))[0]

    async def until_training_with_all(self, org):
        """Wait until the open training round's cohort is everybody, and return its number."""
        while True:
            found = await self.job_at(org)
            # "proposed" as long as this member has not yet seen the last approval.
            assert found["state"] in ("proposed", "preparing", "training"), (
                f"the job is over too early: {found['state']}"
            )
            if found["training_round"] >= 1 and found["cohort"] == self.orgs:
                return found["training_round"]
            await asyncio.sleep(0.02)

    async def until_absent(self, org, victim):
        """Wait until the ledger, as `org` has it, goes on without the victim."""
        deadline = time.monotonic() + RECOVERY_S_MAX
        while victim not in (await self.job_at(org))["absent"]:
            assert time.monotonic() < deadline, f"{victim} was not dropped"
            await asyncio.sleep(0.02)

    async def until_round(self, org, number):
        await self.site.catch(
            org, lambda s: s["training_round"] >= number or s["job"] is None, f"training round {number}", RECOVERY_S_MAX
        )

    def rounds(self, org):
        with self.site.reading(org) as reader:
            return list(training_rounds(view(reader, "training"), Digest(self.job)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trial(tmp_path_factory, tools):
    root = tmp_path_factory.mktemp("net")
    scenario = read_scenario(tools.scenarios, "heart")
    members = member_names(scenario, None)
    # A model large enough that its leaves are seen travelling, trained long enough to be killed in the middle.
    recipe = dict(scenario.recipe, model={"kind": "mlp", "hidden": [512, 256]})
    recipe["training"] = dict(recipe["training"], epochs=20)
    file = root / "job.json"
    file.write_text(json.dumps({"name": "faults", "rounds": ROUNDS, "recipe": recipe}))
    site = tools.Site(root, [org for org, _ in members])
    try:
        shares = deal_rows(scenario, members, root, seed=0)
        site.found("faults")
        await site.start()
        trial = Trial(site)
        await trial.start_job(scenario, shares, file)
        yield trial
    finally:
        processes = site.daemons()
        site.stop()
        tools.wait_for(lambda: not tools.alive(processes), "learners to end with their daemons")
    tools.assert_clean(site.logs())


async def test_killed_while_training(trial):
    victim, witness = "cleveland", "budapest"
    number = await trial.until_training_with_all(witness)
    await trial.site.catch(
        victim, lambda s: s["training_round"] > number and s["phase"] == "committing", "training to begin", 60
    )
    await killed_and_back(trial, victim, witness)


async def test_killed_while_leaves_travel(trial):
    victim, witness = "zurich_basel", "budapest"
    await trial.until_training_with_all(witness)
    await trial.site.catch(victim, lambda s: s["phase"] == "reducing", "leaves to travel", 60)
    await killed_and_back(trial, victim, witness)


async def test_killed_while_the_model_is_gathered(trial):
    victim, witness = "budapest", "long_beach"
    await trial.until_training_with_all(witness)
    await trial.site.catch(victim, lambda s: s["phase"] == "closing", "the training round to close", 60)
    await killed_and_back(trial, victim, witness)


async def test_proposer_killed_while_votes_are_out(trial):
    victim, witness = "long_beach", "cleveland"
    await trial.until_training_with_all(witness)
    height = await its_votes_are_out(trial, victim)
    killed_ms = now_ms()
    trial.site.kill(victim)

    assert height_of(trial.site, victim) == height
    assert await proposed(trial.site, victim) == [height + 1]
    await killed_and_back(trial, victim, witness, killed_ms=killed_ms)


async def test_the_job_ends_with_the_same_bytes_everywhere(trial, tools):
    async def ended():
        found = [await trial.job_at(org) for org in trial.orgs]
        assert all(job["state"] in ("training", "done") for job in found), found
        return all(job["state"] == "done" and job["model_path"] for job in found)

    for _ in range(JOB_S_MAX * 10):
        if await ended():
            break
        await asyncio.sleep(0.1)
    statuses = await trial.site.same_head()

    paths = [Path((await trial.job_at(org))["model_path"]) for org in trial.orgs]
    assert len({path.parts[: len(trial.site.root.parts) + 1] for path in paths}) == 4
    assert len({path.read_bytes() for path in paths}) == 1
    assert len({status["state_root"] for status in statuses.values()}) == 1
    found = tools.lepton_json("--dir", trial.site.folder("long_beach"), "chain", "verify")
    assert found["head_digest"] == statuses["budapest"]["head_digest"]
    assert found["state_root"] == statuses["budapest"]["state_root"]


async def test_with_two_of_four_killed_no_block_is_made_until_one_returns_and_the_wiped_one_votes_again(trial):
    site = trial.site
    up, down = ["budapest", "long_beach"], ["cleveland", "zurich_basel"]
    before = await site.same_head(JOB_S_MAX)
    pids = {org: site.pid(org) for org in up}
    for org in down:
        site.kill(org)
    async with site.client("budapest") as client:
        waiting = await client.submit("sharing", "register", encode(Register("halves", Digest(b"h" * 32))), wait_s=None)
    # They have asked for another round, and wait there together for a quorum.
    tried = await site.until(lambda ss: all(s["round"] == 1 for s in ss.values()), "a round to pass", 60, orgs=up)

    assert not waiting.final
    for org in up:
        assert (tried[org]["height"], tried[org]["head_digest"]) == (before[org]["height"], before[org]["head_digest"])
        assert tried[org]["pending"] == 1

    began = now_ms()
    site.launch("cleveland")
    height = before["budapest"]["height"]
    three = [*up, "cleveland"]
    await site.until(
        lambda ss: all(s["height"] > height and s["pending"] == 0 for s in ss.values()), "a block", 60, orgs=three
    )
    print(f"the chain goes on {now_ms() - began} ms after one was started again")
    # The member that came back may propose before it has heard of the transaction; then an empty block comes first.
    decided = [tx for block in site.blocks("budapest", height) for tx in block.block.transactions]
    assert [tx.id for tx in decided].count(waiting.transaction) == 1
    # The training goes on as well, and nobody is accused of anything.
    assert {tx.body.contract for tx in decided} <= {"sharing", "training"}
    assert {org: site.pid(org) for org in up} == pids, "nobody else was restarted"

    # The last one comes back with nothing but its keys, its card and the genesis (besu#8307).
    wipe(Folder(site.folder("zurich_basel")))
    site.launch("zurich_basel")
    await site.same_head()
    await until_it_votes(site, "zurich_basel", "budapest")
    assert {org: site.pid(org) for org in up} == pids, "still nobody else was restarted"
    await site.same_head()


async def until_it_votes(site, silent, witness):
    """Make blocks until the member's silence is over and its commit stands in a certificate."""
    for number in range(VOTES_AGAIN_BLOCKS_MAX):
        name = f"again-{number}"
        async with site.client(witness) as client:
            outcome = await client.submit("sharing", "register", encode(Register(name, Digest(b"a" * 32))))
        assert outcome.accepted
        status = await site.ask(silent)
        (block,) = site.blocks(witness, outcome.height - 1)[:1]
        signers = {entry.org for entry in block.certificate.signatures}
        if status is not None and status["silent_because"] is None and silent in signers:
            return
    raise AssertionError(f"{silent} did not vote again: {await site.ask(silent)}")


async def its_votes_are_out(trial, victim):
    """Stop `victim` where it has signed a proposal above its head, and return the height of that head.

    The log is looked at in its own turns only: a look stops the daemon, for ledger and log are to be of one moment.
    """
    site = trial.site
    votes = Folder(site.folder(victim)).votes
    index = trial.orgs.index(victim)
    written = votes.stat().st_mtime_ns
    deadline = time.monotonic() + PROPOSAL_S_MAX
    while time.monotonic() < deadline:
        await asyncio.sleep(0.0005)
        before, written = written, votes.stat().st_mtime_ns
        if written == before or (height_of(site, victim) + 1) % len(trial.orgs) != index:
            continue
        site.pause(victim)
        height = height_when_killed(site, victim)
        if height + 1 in await proposed(site, victim):
            return height
        site.resume(victim)
    raise AssertionError(f"{victim} proposed nothing")


def height_of(site, org):
    with site.reading(org) as reader:
        return reader.height()


def height_when_killed(site, org):
    """The height that a standing daemon would start from: a block that is whole in the log of writes is one.

    SQLite shows such a block to readers an instant later; who stands in that instant has decided it already.
    """
    ledger, copy = Folder(site.folder(org)).ledger, site.root / "ledger.copy"
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{ledger}{suffix}", f"{copy}{suffix}")
    Path(f"{copy}-shm").unlink(missing_ok=True)
    with closing(SqliteReader(copy)) as reader:
        return reader.height()


async def proposed(site, org):
    """The heights of the proposals that the vote log would give back to a daemon that starts now."""
    with site.reading(org) as reader:
        chain = reader.block(FIRST_HEIGHT).block.header.chain
    # A copy: the log of a running daemon is locked.
    copy = site.root / "votes.copy"
    shutil.copyfile(Folder(site.folder(org)).votes, copy)
    log = FileVoteLog.open(copy, chain)
    signed = [decode(PeerMessage, entry) for entry in log.entries()]
    await log.close()
    return [message.header.height for message in signed if isinstance(message, Proposal)]


async def killed_and_back(trial, victim, witness, *, killed_ms=None):
    """Kill; the others finish the training round in time; the killed one returns and joins the next one."""
    site = trial.site
    number = trial.rounds(witness)[-1].training_round
    with site.reading(witness) as reader:
        height = reader.height()
    if killed_ms is None:
        killed_ms = now_ms()
        site.kill(victim)

    await trial.until_absent(witness, victim)
    with site.reading(witness) as reader:
        restarted_at = reader.height()
    began = now_ms()
    site.launch(victim)
    await trial.until_round(witness, number + 2)
    assert_in_time(trial, victim, witness, number, height, killed_ms)
    await site.catch_up(victim, witness)
    print(f"{victim} caught up {now_ms() - began} ms after its start")
    await joined(trial, victim, witness, restarted_at)


def now_ms():
    return time.time_ns() // 1_000_000


def assert_in_time(trial, victim, witness, number, height, killed_ms):
    """One progress deadline, one resend, and one round change for each block that the victim would have proposed.

    Over two training rounds: killed late in one, the victim is missed in the next.
    """
    rounds = trial.rounds(witness)
    opened = [record.opened_ms for record in rounds]
    spans = [after - before for before, after in pairwise(opened[1 : number + 1])]
    usual_ms = int(median(spans or [0]))
    left_ms = max(0, usual_ms - (killed_ms - opened[number]))
    changes_ms = sum(1_000 * (2**block.certificate.round - 1) for block in trial.site.blocks(witness, height))
    longer_ms = opened[number + 2] - killed_ms - left_ms - usual_ms
    print(f"{victim} killed in training round {number}: {longer_ms} ms longer; usual {usual_ms}, changes {changes_ms}")
    assert longer_ms <= DEADLINE_MS + changes_ms + SLACK_MS
    assert any(victim in record.dropped for record in rounds[number : number + 2])


async def joined(trial, victim, witness, restarted_at):
    """The first training round opened after the victim said that it is present has it as a contributor."""
    deadline = asyncio.get_running_loop().time() + RECOVERY_S_MAX
    while asyncio.get_running_loop().time() < deadline:
        present = [
            block.block.header
            for block in trial.site.blocks(witness, restarted_at)
            for tx in block.block.transactions
            if (tx.body.org, tx.body.method) == (victim, "present")
        ]
        later = [r for r in trial.rounds(witness) if present and r.opened_ms > present[0].time_ms]
        if later and later[0].phase in (Phase.CLOSING, Phase.CLOSED):
            assert victim in later[0].candidates, later[0]
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{victim} did not join again")
