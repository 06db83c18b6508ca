"""A link between two of four real daemons is cut without a word while they train: training goes on, nobody is lost."""

import asyncio
import json
from pathlib import Path

import pytest

from node.app.settings import read_settings
from node.base.codec import encode
from node.cli.job import terms_from_file
from node.testing.scenario.plan import deal_rows, member_names, read_scenario
from node.testing.soak.wires import Wires

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROUNDS = 6
DEADLINE_MS = 5_000
ROUNDS_S_MAX = 120
ONE, OTHER, WITNESS = "budapest", "cleveland", "long_beach"


async def test_a_link_cut_while_leaves_travel_holds_up_no_training_round(tmp_path, tools):
    scenario = read_scenario(tools.scenarios, "heart")
    members = member_names(scenario, None)
    site = tools.Site(tmp_path, [org for org, _ in members])
    async with Wires(site.orgs, lambda: {org: pid for org in site.orgs if (pid := site.pid(org))}) as wires:
        try:
            shares = deal_rows(scenario, members, tmp_path, seed=0)
            site.found("wires", addresses=wires.addresses)
            for org in site.orgs:
                wires.lead_to(org, read_settings(site.folder(org)).listen)
            await site.start()
            job = await start_job(site, scenario, shares, tmp_path / "job.json")
            await site.catch(ONE, lambda s: s["phase"] == "reducing", "leaves to travel", 90)

            wires.cut(ONE, OTHER)
            number = (await job_at(site, WITNESS, job))["training_round"]
            await until_round(site, job, number + 2)
            wires.heal()
            models = [await model_of(site, org, job) for org in site.orgs]
            statuses = await site.same_head()
        finally:
            site.stop()
    tools.assert_clean(site.logs())

    assert len({path.parts[: len(tmp_path.parts) + 1] for path in models}) == len(site.orgs)
    assert len({path.read_bytes() for path in models}) == 1
    assert len({status["state_root"] for status in statuses.values()}) == 1
    rounds = [site.training_round(WITNESS, job, at) for at in range(number, ROUNDS + 1)]
    assert all(record is not None and len(record.candidates) >= 3 for record in rounds)
    assert rounds[-1] is not None
    assert len({ONE, OTHER} & {str(org) for org in rounds[-1].candidates}) >= 1


async def start_job(site, scenario, shares, file):
    recipe = dict(scenario.recipe, model={"kind": "mlp", "hidden": [512, 256]})
    file.write_text(json.dumps({"name": "wires", "rounds": ROUNDS, "recipe": recipe}))
    terms = terms_from_file(file, rounds=ROUNDS, participants=[], minimum=None, count=4, deadline_ms=DEADLINE_MS)
    async with site.client(ONE) as client:
        proposed = await client.submit("training", "propose", encode(terms))
    assert proposed.accepted, proposed
    await site.until(lambda ss: all(s["height"] >= proposed.height for s in ss.values()), "the proposal", 60)
    await asyncio.gather(*(approve(site, share, proposed.transaction) for share in shares))
    return proposed.transaction


async def approve(site, share, job):
    async with site.client(share.org) as client:
        approved = await client.approve(job, str(share.train.relative_to(site.folder(share.org))))
    assert approved.accepted, approved


async def job_at(site, org, job):
    async with site.client(org) as client:
        return (await client.jobs(job))[0]


async def until_round(site, job, number):
    await site.catch(
        WITNESS,
        lambda s: s["job"] is None or (s["training_round"] or 0) >= min(number, ROUNDS),
        f"training round {number}",
        ROUNDS_S_MAX,
    )


async def model_of(site, org, job):
    """Wait until the member has the last model; its file."""
    for _ in range(ROUNDS_S_MAX * 10):
        found = await job_at(site, org, job)
        if found["state"] == "done" and found["model_path"]:
            return Path(found["model_path"])
        await asyncio.sleep(0.1)
    raise AssertionError(f"{org} did not finish: {found}")
