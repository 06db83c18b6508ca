"""Another version of CEL, adopted by commands on real daemons: who lacks it waits and says so, the others go on."""

import json
import os
import secrets

import pytest

from node.base.codec import encode
from node.base.types import Digest
from node.ledger.contracts.sharing import Register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ORGS = ("m1", "m2", "m3", "m4")
LATER = "9.9.9"
AHEAD = 12
WAIT_S = 60


def install(root):
    """What makes a process believe that the later version is installed; the code stays the same."""
    package = root / "later" / f"cel_expr_python-{LATER}.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text(f"Metadata-Version: 2.1\nName: cel-expr-python\nVersion: {LATER}\n")
    return {"PYTHONPATH": os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])}


async def test_who_lacks_the_adopted_cel_waits_and_says_so(tmp_path, tools):
    site = tools.Site(tmp_path, ORGS)
    site.found("four")
    later = install(tmp_path)

    def refused(org, *words):
        return tools.refused("--dir", site.folder(org), *words)

    def printed(org, *words):
        return tools.lepton("--dir", site.folder(org), *words, check=False).stdout

    async def write(org):
        async with site.client(org) as client:
            name = f"d{secrets.token_hex(4)}"
            outcome = await client.submit(
                "sharing", "register", encode(Register(name, Digest(bytes(32)))), wait_s=WAIT_S
            )
            assert outcome.accepted, outcome
            return outcome.height

    async def restart(org):
        assert site.end(org) == 0
        site.launch(org, later)

    try:
        await site.start()
        first = (await site.ask("m1"))["height"] + AHEAD
        adopt = ("network", "adopt", LATER, "--from-height")
        assert "no version of a package" in refused("m1", "network", "adopt", "9 9", "--from-height", first)
        assert "still to come" in refused("m1", *adopt, 1)
        opened = printed("m1", *adopt, first)
        (motion,) = json.loads(printed("m2", "network", "motions", "--json"))
        listed = printed("m2", "network", "motions")
        printed("m2", "network", "support", motion["id"][:12])
        passed = printed("m3", *adopt, first)
        announced = printed("m4", "doctor", "--json")
        while await write("m2") < first - 1:
            pass
        await site.until(lambda found: all(one["unfit_because"] for one in found.values()), "the height", WAIT_S)
        verified = json.loads(printed("m1", "chain", "verify", "--json"))
        for org in ORGS[:3]:
            await restart(org)
        await site.until(lambda found: len(found) == 3, "the three to run", WAIT_S, ORGS[:3])
        assert await write("m1") == first
        waiting = (await site.ask("m4"))["height"]
        shown = printed("m4", "status")
        status, doctor = printed("m4", "status", "--json"), printed("m4", "doctor", "--json")
        replayed = refused("m1", "chain", "verify")
        await restart("m4")
        await site.catch_up("m4", "m1")

        assert "1 of 3 votes; the others run: lepton network support" in opened
        assert f"adopt {LATER}" in listed
        assert f"from height {first} on contracts are decided by CEL {LATER}" in passed
        assert f"from height {first} on contracts are decided by CEL {LATER}" in announced
        assert waiting == verified["height"] == first - 1
        assert "does not vote" in shown
        for told in (status, doctor):
            assert f"decides contracts by CEL {LATER}" in told
            assert f"install cel-expr-python {LATER}" in told
        assert f"below height {first}; there contracts are decided by CEL {LATER}" in replayed
    finally:
        site.stop()
