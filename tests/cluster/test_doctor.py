"""`lepton doctor` and `lepton status` on live daemons: whole, with half of the network down, with no daemon at all."""

import json

import pytest

from node.base.codec import encode
from node.base.types import Digest
from node.ledger.contracts.sharing import Register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

HEALTHY, PROBLEMS, CANNOT_RUN = 0, 1, 2


def doctor(tools, folder):
    done = tools.lepton("--dir", folder, "doctor", "--json", check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def said(report, area, severity):
    return [found["says"] for found in report["findings"] if (found["area"], found["severity"]) == (area, severity)]


async def test_the_doctor_says_who_blocks_the_quorum_and_what_to_do(tmp_path, tools):
    site = tools.Site(tmp_path / "net", ["ada", "bob", "cid", "dot"])
    site.found("doctor")
    code, before = doctor(tools, site.folder("ada"))
    assert (code, said(before, "daemon", "problem")) == (PROBLEMS, ["it does not run"])
    assert doctor(tools, tmp_path)[0] == CANNOT_RUN
    try:
        await site.start()
        async with site.client("ada") as client:
            first = await client.submit("sharing", "register", encode(Register("first", Digest(b"1" * 32))))
        assert first.accepted
        await site.same_head()
        code, whole = doctor(tools, site.folder("ada"))
        shown = tools.lepton("--dir", site.folder("ada"), "status").stdout

        site.kill("cid")
        site.kill("dot")
        async with site.client("ada") as client:
            await client.submit("sharing", "register", encode(Register("second", Digest(b"2" * 32))), wait_s=None)
        await site.until(lambda ss: ss["ada"]["round"] >= 1, "a round without quorum", 60, orgs=["ada"])
        blocked_code, blocked = doctor(tools, site.folder("ada"))
    finally:
        site.stop()

    assert (code, whole["healthy"]) == (HEALTHY, True), whole["findings"]
    assert all(words in shown for words in ("4; 3 must agree, 4 are linked", "bob", "dialled by us"))
    assert (blocked_code, blocked["healthy"]) == (PROBLEMS, False)
    (problem,) = [found for found in blocked["findings"] if found["severity"] == "problem"]
    assert problem["area"] == "quorum"
    assert problem["advice"] == "bring back 1 of: cid, dot"
    assert len(said(blocked, "links", "warning")) == 2
    clocks = [peer["clock_ahead_ms"] for peer in whole["readings"]["daemon"]["peers"]]
    assert all(ms is not None and abs(ms) < 1_000 for ms in clocks), "daemons of one machine share its clock"
