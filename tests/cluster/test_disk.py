"""A disk that is full under a running daemon: it says so, ends, and goes on where it was when there is room again."""

import resource
import subprocess
import sys

import psutil
import pytest

from node.base.codec import decode, encode
from node.base.types import Digest, PeerMessage
from node.edge.storage import FileVoteLog
from node.ledger.contracts.sharing import Register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def test_full_disk_ends_the_daemon_and_nothing_is_lost_or_signed_twice(tmp_path, tools):
    site = tools.Site(tmp_path, ["ada", "bob", "cid", "dot"])
    site.found("disk")
    try:
        await site.start()
        async with site.client("ada") as client:
            first = await client.submit("sharing", "register", encode(Register("first", Digest(b"1" * 32))))
        assert first.accepted
        await site.same_head()

        fill(site.pid("dot"))
        async with site.client("ada") as client:
            second = await client.submit("sharing", "register", encode(Register("second", Digest(b"2" * 32))))
        assert second.accepted, "three of four go on"
        tools.wait_for(lambda: site.ended("dot") is not None, "the daemon with the full disk to end")

        assert site.ended("dot") == 1
        assert "space" in said_at_start_with_full_disk(site.folder("dot"))
        before = await signed(site, "dot")
        site.launch("dot")
        statuses = await site.same_head()
        async with site.client("dot") as client:
            third = await client.submit("sharing", "register", encode(Register("third", Digest(b"3" * 32))))
        assert third.accepted
        assert statuses["dot"]["height"] >= second.height
        assert len(before) == len(set(before)), "one statement of each kind, height and round"
    finally:
        site.stop()
    tools.assert_clean(site.logs())
    assert tools.lepton_json("--dir", site.folder("dot"), "chain", "verify")["height"] >= second.height


def fill(pid):
    """From now on no file of the process can grow, as on a full disk."""
    psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def said_at_start_with_full_disk(folder):
    """What the daemon says that is started while the disk is still full; its exit code is 1."""
    command = f"ulimit -f 0; exec {sys.executable} -P -m node.cli --dir {folder} run"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, timeout=60, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr.strip().splitlines()[-1]


async def signed(site, org):
    """Kind, height and round of everything in the vote log, which must be whole."""
    chain = Digest(site.blocks("ada", 0)[0].block.header.chain)
    log = FileVoteLog.open(site.folder(org) / "votes.log", chain)
    entries = log.entries()
    await log.close()
    return [
        (type(message).__name__, getattr(message, "kind", None), message.round)
        for message in (decode(PeerMessage, entry) for entry in entries)
        if hasattr(message, "round")
    ]
