"""Keys that rotate under load, with real daemons and commands: nothing is lost, nothing waits, nobody restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node.base.codec import encode
from node.base.types import Digest
from node.ledger.contracts.sharing import Register

KINDS = ("node", "tls", "data", "organisation")
ROTATED = "b"
FIELDS = {"node": "node_key", "tls": "certificate_sha256", "data": "data_key", "organisation": "organisation_key"}


@asynccontextmanager
async def load(site, orgs) -> AsyncIterator[dict[str, list]]:
    """One transaction after the other through each of these members, until the block ends; what became of them."""
    outcomes: dict[str, list] = {org: [] for org in orgs}
    over = asyncio.Event()

    async def submit(org: str) -> None:
        async with site.client(org) as client:
            while not over.is_set():
                name = f"set-{len(outcomes[org])}"
                call = encode(Register(name, Digest(name.encode().ljust(32, b"\0"))))
                outcomes[org].append(await client.submit("sharing", "register", call))

    async with asyncio.TaskGroup() as group:
        for org in orgs:
            group.create_task(submit(org))
        try:
            yield outcomes
        finally:
            over.set()


@pytest.mark.timeout(300)
async def test_all_four_keys_of_a_member_rotate_under_load(tmp_path, tools):
    site = tools.Site(tmp_path, ["a", "b", "c", "d"])
    site.found("rotation")
    folder = site.folder(ROTATED)
    try:
        await site.start()
        pids = {org: site.pid(org) for org in site.orgs}
        first = tools.lepton_json("--dir", folder, "card")
        cards = [first]

        async with load(site, ("a", ROTATED)) as outcomes:
            for kind in KINDS:
                done = await asyncio.to_thread(tools.lepton_json, "--dir", folder, "keys", "rotate", kind)
                assert done["accepted"]
                cards.append(tools.lepton_json("--dir", folder, "card"))
                count = {org: len(found) for org, found in outcomes.items()}
                await site.until(
                    lambda _, count=count: all(len(outcomes[org]) > count[org] + 2 for org in outcomes),
                    f"transactions after the {kind} key",
                    60,
                )

        # Each rotation changed one key, and card.json follows the ledger.
        for before, after, kind in zip(cards, cards[1:], KINDS, strict=False):
            assert after["sequence"] == before["sequence"] + 1
            assert [k for k in FIELDS if before[FIELDS[k]] != after[FIELDS[k]]] == [kind]
        # Nothing was lost, no daemon restarted, all agree and are linked.
        assert all(outcome.final and outcome.accepted for found in outcomes.values() for outcome in found)
        statuses = await site.same_head()
        assert {org: status["pid"] for org, status in statuses.items()} == pids
        assert all(peer["connected"] for status in statuses.values() for peer in status["peers"])
        assert all(status["warnings"] == [] for status in statuses.values())
        shown = tools.lepton_json("--dir", folder, "keys", "show")
        held = {(row["key"], row["state"]): row["held"] for row in shown["keys"]}
        assert [held[kind, "on the ledger"] for kind in KINDS] == [True, True, True, False]
        tools.assert_clean(site.logs())

        # The chain that both keys signed still verifies, and a restart finds the new keys.
        site.stop()
        tools.lepton("--dir", folder, "chain", "verify")
        await site.start()
        async with site.client(ROTATED) as client:
            call = encode(Register("after", Digest(bytes(32))))
            assert (await client.submit("sharing", "register", call)).accepted
        await site.same_head()
        tools.assert_clean(site.logs())
    finally:
        site.stop()
