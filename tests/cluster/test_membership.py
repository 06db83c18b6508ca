"""Membership as operators use it, on real daemons: one grows to four and shrinks to one, under load, by commands.

To seven, in one process: `tests/members/test_membership.py`.
"""

import asyncio
import json
import threading

import pytest

from node.api import OperatorError
from node.base.codec import encode
from node.base.types import Digest
from node.ledger.contracts.sharing import Register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GROWN = 4
WAIT_S = 180
PACE_S = 0.2
"""Between two calls: one daemon alone would make thousands of blocks while operators type, and each newcomer would
have to take them all."""


class Load(threading.Thread):
    """Registers data sets through one member's socket, one after the other; remembers where each was final."""

    def __init__(self, site, org):
        super().__init__()
        self.final = {}
        self.error = None
        self._site = site
        self._org = org
        self._ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self.join()

    def run(self):
        try:
            asyncio.run(self._register())
        except (OperatorError, AssertionError) as error:
            self.error = error

    async def _register(self):
        async with self._site.client(self._org) as client:
            while not self._ending.is_set():
                call = encode(Register(f"d{len(self.final)}", Digest(bytes(32))))
                outcome = await client.submit("sharing", "register", call, wait_s=WAIT_S)
                assert outcome.final, "a transaction was not final in time"
                assert outcome.accepted, outcome
                assert outcome.transaction not in self.final
                self.final[outcome.transaction] = outcome.height
                await asyncio.sleep(PACE_S)


class Council:
    """The members' operators at their command lines."""

    def __init__(self, site, tools):
        self.site = site
        self.tools = tools

    def lepton(self, org, *words):
        return self.tools.lepton("--dir", self.site.folder(org), "network", *words)

    def seen(self, org="m1"):
        return self.tools.lepton_json("--dir", self.site.folder(org), "network", "members")

    def voting(self):
        return [member["org"] for member in self.seen()["members"] if member["votes"]]

    def decide(self, *motion):
        """One operator opens the motion, the others support it by its id, until it has passed."""
        voters = self.voting()
        self.lepton(voters[0], *motion)
        for org in voters[1:]:
            found = json.loads(self.lepton(org, "motions", "--json").stdout)
            if not found:
                return
            self.lepton(org, "support", found[0]["id"][:12])
            if not self.seen()["motions"]:
                return

    def until(self, holds, what):
        self.tools.wait_for(lambda: holds(self.seen()), what, WAIT_S)


def state_of(seen, org):
    return next((member["state"] for member in seen["members"] if member["org"] == org), None)


def test_one_grows_to_four_and_shrinks_to_one_under_load(tmp_path, tools):
    site = tools.Site(tmp_path, ["m1"])
    site.found("growing")
    council = Council(site, tools)
    try:
        asyncio.run(site.start())
        with Load(site, "m1") as load:
            for number in range(2, GROWN + 1):
                org = f"m{number}"
                site.enrol(org)
                card = tmp_path / f"{org}.json"
                assert "admit" in council.lepton(org, "apply", "--out", card).stdout
                site.launch(org)
                council.decide("admit", card)
                council.until(lambda seen, org=org: state_of(seen, org) == "member", f"{org} to be in force")
            assert council.voting() == [f"m{number}" for number in range(1, GROWN + 1)]
            grown = asyncio.run(site.ask("m1"))

            council.decide("remove", "m4")
            council.until(lambda seen: state_of(seen, "m4") == "removed", "m4 to be removed")
            tools.wait_for(lambda: no_links(site, "m4"), "the open streams of m4 to be cut", WAIT_S)
            council.decide("suspend", "m3")
            council.until(lambda seen: state_of(seen, "m3") == "suspended", "m3 to be suspended")
            council.lepton("m2", "leave", "--yes")
            council.until(lambda seen: state_of(seen, "m2") == "removed", "m2 to have left")
            assert council.voting() == ["m1"]
        assert load.error is None
        assert len(load.final) > 2 * GROWN
        assert max(load.final.values()) > grown["height"] > 0
        with site.reading("m1") as reader:
            for id_, height in load.final.items():
                record = reader.transaction(id_)
                assert record is not None
                assert (record.height, record.receipt.accepted) == (height, True)
        assert "last member" in tools.refused("--dir", site.folder("m1"), "network", "leave", "--yes")
        tools.assert_clean(site.logs())
    finally:
        codes = site.stop()
    assert set(codes.values()) == {0}


def no_links(site, org):
    status = asyncio.run(site.ask(org))
    return status is not None and not any(peer["connected"] for peer in status["peers"])


def test_what_the_commands_refuse(tmp_path, tools):
    site = tools.Site(tmp_path, ["north"])
    site.found("small")
    folder = site.folder("north")
    try:
        asyncio.run(site.start())
        site.enrol("south")

        def refused(*words):
            return tools.raised("--dir", folder, "network", *words)

        assert "no such organisation" in refused("remove", "nobody").lower()
        assert "last member" in refused("suspend", "north")
        assert "64 hexadecimal" in refused("revoke", "north", "beef")
        assert "never had such a key" in refused("revoke", "north", "00" * 32)
        assert "no open motion" in refused("support", "4f0c")
        assert "no open motion" in refused("withdraw", "4f0c")
        assert "no organisation's name" in refused("remove", "No Name")
        assert "in the network" in refused("admit", folder / "card.json")
        foreign = site.folder("south") / "card.json"
        content = json.loads(foreign.read_text())
        foreign.write_text(json.dumps({**content, "org": "north"}))
        assert "not what was signed" in refused("admit", foreign)
    finally:
        site.stop()
