"""Rare days on live daemons: a wiped folder, an operator who recovers a member, a halt, a member that runs twice."""

import asyncio
import contextlib
import re
import shutil

import pytest

from node.api import DaemonRefused
from node.base.codec import encode
from node.base.types import Digest, Parameters
from node.edge.transport import free_port
from node.ledger.contracts import evidence, membership
from node.ledger.contracts.contract import view
from node.ledger.contracts.evidence import faults
from node.ledger.contracts.sharing import Register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

QUICK = Parameters(round_timeout_ms=500, round_timeout_max_ms=4_000)
WAIT_S = 60.0


async def write(site, org, name, wait_s=WAIT_S):
    async with site.client(org) as client:
        return await client.submit("sharing", "register", encode(Register(name, Digest(bytes(32)))), wait_s=wait_s)


def wipe(folder):
    """All but settings, passphrase, keys, card and genesis."""
    for path in folder.iterdir():
        if path.name in ("node.toml", "passphrase", "keys", "card.json", "genesis.json"):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


async def test_a_wiped_folder_rejoins_by_itself_and_a_halt_stops_all_at_one_block(tmp_path, tools):
    site = tools.Site(tmp_path / "net", ["ada", "bob", "cid", "dot"])
    site.found("days", QUICK)
    try:
        await site.start()
        for number in range(4):
            assert (await write(site, "ada", f"before-{number}")).accepted
        await site.same_head()

        # More than a third falls, one of them loses everything but keys, card and genesis: only they are started.
        kept = {org: site.pid(org) for org in ("ada", "bob")}
        site.kill("cid")
        site.kill("dot")
        wipe(site.folder("dot"))
        refusal = tools.raised("--dir", site.folder("dot"), "network", "install", site.root / "genesis.json")
        for org in ("cid", "dot"):
            site.launch(org)
        silent = (await site.until(lambda ss: ss["dot"]["silent_until"], "dot to know its silence", WAIT_S))["dot"]
        refused = tools.refused("--dir", site.folder("ada"), "recover", "--yes")
        outcomes = [await write(site, org, f"after-{n}") for n, org in enumerate(("ada", "bob", "cid", "ada", "bob"))]
        await site.same_head()
        site.kill("ada")
        needed = await write(site, "dot", "needed")
        site.launch("ada")
        await site.same_head()

        head = (await site.statuses())["ada"]["height"]
        halts = [tools.lepton_json("--dir", site.folder("ada"), "halt-at", head + 2)["halt_at"]]
        for org in ("bob", "cid", "dot"):
            async with site.client(org) as client:
                halts.append((await client.halt(head + 2))["halt_at"])
        late = tools.refused("--dir", site.folder("ada"), "halt-at", head)
        for number in range(3):
            await write(site, "bob", f"halting-{number}", wait_s=None)
            await asyncio.sleep(0.3)
        stood = await site.until(lambda ss: all(s["halted"] for s in ss.values()), "all to halt", WAIT_S)
        site.kill("cid")
        site.launch("cid")
        still = await site.until(lambda ss: ss["cid"]["halted"], "cid to be halted again", WAIT_S, ["cid"])
        shown = tools.lepton("--dir", site.folder("cid"), "halt-at", "--show").stdout
        waiting = await write(site, "ada", "waits", wait_s=1.0)
        tools.lepton("--dir", site.folder("ada"), "halt-at", "--off")
        for org in ("bob", "cid", "dot"):
            async with site.client(org) as client:
                await client.halt(off=True)
        await site.until(lambda ss: all(s["height"] > head + 2 for s in ss.values()), "the chain to go on", WAIT_S)
        ended = await site.same_head()
    finally:
        site.stop()

    assert "belongs to a network already" in refusal
    assert "the vote log was lost" in silent["silent_because"]
    assert silent["silent_until"] == silent["height"] + 3
    assert "not silent" in refused
    assert all(outcome.accepted for outcome in outcomes)
    assert {org: pid for org, pid in kept.items() if pid is None} == {}
    assert needed.accepted
    assert halts == [head + 2] * 4
    assert "is over" in late
    assert {status["height"] for status in stood.values()} == {head + 2} == {still["cid"]["height"]}
    assert re.search(rf"halts at height {head + 2}; halted", shown)
    assert not waiting.final
    assert all(status["halt_at"] is None and status["silent_until"] is None for status in ended.values())
    tools.assert_clean(site.logs())


async def test_where_three_need_each_other_the_operator_recovers_and_the_ledger_says_so(tmp_path, tools):
    site = tools.Site(tmp_path / "net", ["ada", "bob", "cid"])
    site.found("three", QUICK)
    try:
        await site.start()
        assert (await write(site, "ada", "before")).accepted
        await site.same_head()
        site.kill("cid")
        (site.folder("cid") / "votes.log").unlink()
        site.launch("cid")
        told = await site.until(lambda ss: ss["cid"]["silent_because"], "cid to be silent", WAIT_S, ["cid"])
        await site.until(lambda ss: ss["cid"]["silent_until"], "the others to answer", WAIT_S, ["cid"])
        waiting = await write(site, "ada", "waits", wait_s=2.0)
        unread = tools.raised("--dir", site.folder("cid"), "recover")
        done = tools.lepton_json("--dir", site.folder("cid"), "recover", "--yes")
        after = await write(site, "bob", "after")

        def recorded():
            with site.reading("ada") as reader:
                key = f"recovered/cid/{done['recovered_at']:020d}"
                return view(reader, membership.NAME).get(key)

        tools.wait_for(recorded, "the recovery on the ledger")
        # A restart later neither forgets nor repeats it.
        site.kill("cid")
        site.launch("cid")
        await site.linked("cid")
        again = await write(site, "cid", "again")
    finally:
        site.stop()

    assert "lepton recover" in told["cid"]["silent_because"]
    assert not waiting.final
    assert "--yes" in unread
    assert done["votes_from"] == done["recovered_at"] + 1
    assert after.accepted
    assert again.accepted
    tools.assert_clean(site.logs())


async def test_a_member_that_runs_twice_is_named_on_the_ledger_and_suspended(tmp_path, tools):
    orgs = ["ada", "bob", "cid", "dot"]
    site = tools.Site(tmp_path / "net", orgs)
    site.found("twice", QUICK)
    # The error of operators who keep a second machine ready: one folder, copied, and both are started.
    copy = tools.Site(tmp_path / "copy", ["dot"])
    shutil.copytree(site.folder("dot"), copy.folder("dot"))
    settings = copy.folder("dot") / "node.toml"
    settings.write_text(re.sub(r"(?m)^listen = .*$", f'listen = "127.0.0.1:{free_port()}"', settings.read_text()))

    def named():
        with site.reading("ada") as reader:
            return {fault.first.org for fault in faults(view(reader, evidence.NAME))}

    try:
        copy.launch("dot")
        await site.start()
        names = iter(range(10_000))
        deadline = asyncio.get_running_loop().time() + 120
        while not named() and asyncio.get_running_loop().time() < deadline:
            await asyncio.gather(*(write(site, org, f"{org}-{next(names)}", wait_s=None) for org in ("ada", "bob")))
            for doubled in (site, copy):
                # It may have heard meanwhile that it is suspended.
                with contextlib.suppress(DaemonRefused):
                    await write(doubled, "dot", f"dot-{next(names)}", wait_s=None)
            await asyncio.sleep(0.2)
        found = named()
        suspended = await site.until(
            lambda ss: "dot" not in ss["ada"]["agreement"]["members"], "dot to be suspended", WAIT_S, ["ada"]
        )
        after = await write(site, "cid", "after")
    finally:
        copy.stop()
        site.stop()

    assert found == {"dot"}
    assert suspended["ada"]["agreement"]["members"] == ["ada", "bob", "cid"]
    assert after.accepted
