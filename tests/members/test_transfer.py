"""Data sets from vault to vault among members in one process: fetched, stopped, resumed, carried, copied, restored."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.api import OperatorRefusal
from node.app.vaults import registration, vault_of
from node.base.codec import encode
from node.base.ports import LinkError
from node.base.types import Digest, OrgId
from node.edge.storage import KeyName
from node.edge.vault import Vault, Version, open_source
from node.edge.vault.chunks import CHUNK_BYTES, SEALED_BYTES_MAX
from node.engine.transfer.requests import ChunksRequest, Fetching, KeyRequest, encode_request
from node.ledger.contracts.access import Ask, Fetch, Grant, store
from node.ledger.contracts.agreements import Operation, Sign, Terms, Withdraw
from node.ledger.contracts.contract import view
from node.ledger.contracts.replicas import NAME, Release, Replicate, replica
from node.ledger.contracts.sharing import Authorize, Unauthorize
from node.testing.cluster import Cluster, ClusterMember

DATA = "m1/rows"
WORDS = {"label": "Rows", "purpose": "tests", "now_ms": 1_000}
CHUNKS = 24
TERM_MS = 3_600_000
M1, M2 = OrgId("m1"), OrgId("m2")


def vault(member: ClusterMember) -> Vault:
    return vault_of(member.folder, member.org, [key for key in member.keys.held if key.name is KeyName.DATA])


async def add(cluster: Cluster, folder: Path, chunks: int = CHUNKS) -> Version:
    """A data set of m1 that does not compress."""
    path = folder / "rows.npz"
    np.savez(path, a=np.frombuffer(os.urandom((chunks - 2) * CHUNK_BYTES + 1), np.uint8))
    version = await asyncio.to_thread(vault(cluster["m1"]).add, open_source(path), "rows", **WORDS)
    await say(cluster, "m1", "sharing", "register", registration(version))
    return version


async def say(cluster: Cluster, org: str, contract: str, method: str, call: Any) -> Digest:
    """A transaction that every member has executed."""
    record = await cluster[org].submit(contract, method, encode(call))
    assert record.receipt.accepted, record.receipt.reason
    await cluster.until_height(record.height)
    return record.receipt.transaction


async def granted(cluster: Cluster) -> tuple[Digest, Digest]:
    """An agreement of m1 and m2, and what m2 was granted under it."""
    expires_ms = cluster.clock.now().wall_ms + TERM_MS
    terms = Terms("Study", (M1, M2), (DATA,), ("tests",), (Operation.DOWNLOAD,), expires_ms, "")
    agreement = await say(cluster, "m1", "agreements", "draft", terms)
    await say(cluster, "m2", "agreements", "sign", Sign(agreement))
    request = await say(cluster, "m2", "access", "request", Ask(DATA, "tests", Operation.DOWNLOAD, agreement, ""))
    await say(cluster, "m1", "access", "grant", Grant(request))
    return agreement, request


async def state(member: ClusterMember) -> dict[str, Any]:
    (found,) = await member.up.backend.arrivals()
    return found


async def until(cluster: Cluster, org: str, wanted: str, done: int = 0) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found = await state(cluster[org])
            if found["state"] == wanted and found["done"] >= done:
                return found
            await asyncio.sleep(0.01)


class Wires:
    """Bulk traffic that is cut: everything that a member asks for, from a number of pieces on; or between two."""

    def __init__(self) -> None:
        self.after: dict[str, int] = {}
        self.between: set[frozenset[str]] = set()

    def refuses(self, source: OrgId, target: OrgId, bulk: bool) -> bool:
        if not bulk:
            return False
        if source in self.after:
            self.after[source] -= 1
        return self.after.get(source, 1) <= 0 or frozenset((source, target)) in self.between


def received(member: ClusterMember) -> Version:
    return vault(member).received(OrgId("m1")).version("rows")


def received_chunks(member: ClusterMember) -> list[Path]:
    return [path for path in Path(vault(member).received_place).rglob("*") if path.is_file()]


def sealed_keys(member: ClusterMember) -> list[Path]:
    """Those that others sealed to it."""
    folder = Path(vault(member).received_place).parent / "envelopes"
    return list(folder.iterdir()) if folder.is_dir() else []


def bulk_bytes(cluster: Cluster, source: str, target: str) -> int:
    assert cluster.memory is not None
    return cluster.memory.moved(OrgId(source), OrgId(target)).bulk


async def test_broken_resumed_after_a_restart_of_both_and_stopped_when_it_is_revoked(tmp_path: Path) -> None:
    wires = Wires()
    async with Cluster(3, network="memory", refuses=wires.refuses) as cluster:
        version = await add(cluster, tmp_path)
        with pytest.raises(OperatorRefusal, match="nothing lets m2 have m1/rows now"):
            await cluster["m2"].up.backend.fetch_data(DATA, b"", 0)
        for org in ("m2", "m3"):
            await say(cluster, "m1", "sharing", "authorize", Authorize(DATA, OrgId(org)))
            wires.after[org] = 15
            await cluster[org].up.backend.fetch_data(DATA, b"", 0)
            broken = await until(cluster, org, "fetching", done=5)
            assert broken["done"] < CHUNKS

        await cluster.kill("m2")
        await cluster.kill("m1")
        kept = {path: path.stat().st_mtime_ns for path in received_chunks(cluster["m2"])}
        before = bulk_bytes(cluster, "m1", "m2")
        del wires.after["m2"]
        await cluster.restart("m1")
        await cluster.restart("m2")
        await until(cluster, "m2", "here")
        assert vault(cluster["m2"]).verify(received(cluster["m2"])) == []
        assert received(cluster["m2"]).root == version.root
        assert len(kept) >= 5
        assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
        assert bulk_bytes(cluster, "m1", "m2") - before <= (CHUNKS - len(kept) + 1) * SEALED_BYTES_MAX

        await say(cluster, "m1", "sharing", "unauthorize", Unauthorize(DATA, OrgId("m3")))
        del wires.after["m3"]
        stopped = await until(cluster, "m3", "stopped")
        assert "withdrawn" in stopped["why"]
        await cluster.until(lambda: received_chunks(cluster["m3"]) == [])
        # A modified client asks all the same.
        asked = encode_request(ChunksRequest(Fetching(Digest(bytes.fromhex(stopped["fetch"]))), 1, 2))
        with pytest.raises(LinkError, match=r"refused: .*withdrawn"):
            await anext(cluster["m3"].up.transport.fetch(OrgId("m1"), asked))


@pytest.mark.parametrize(
    ("ended", "words"),
    [("by its expiry", "has expired"), ("by the owner", "m1 withdrew"), ("by another", "m2 withdrew")],
)
async def test_the_end_of_an_agreement_stops_what_is_under_way_at_owner_and_holder(
    ended: str, words: str, tmp_path: Path
) -> None:
    wires = Wires()
    async with Cluster(3, network="memory", refuses=wires.refuses) as cluster:
        await add(cluster, tmp_path)
        await say(cluster, "m1", "replicas", "replicate", Replicate(DATA, 1, OrgId("m3")))
        await cluster.until(lambda: held(cluster, "m3"))
        agreement, request = await granted(cluster)
        fetch = await say(cluster, "m2", "access", "fetch", Fetch(request, 1))
        asked = encode_request(ChunksRequest(Fetching(fetch), 0, 8))
        answers = [cluster["m2"].up.transport.fetch(OrgId(org), asked) for org in ("m1", "m3")]
        for answer in answers:
            assert await anext(answer)
        wires.after["m2"] = 15
        await cluster["m2"].up.backend.fetch_data(DATA, b"", 0)
        broken = await until(cluster, "m2", "fetching", done=5)

        match ended:
            case "by its expiry":
                cluster.clock.ahead_ms += TERM_MS
            case "by the owner":
                await say(cluster, "m1", "agreements", "withdraw", Withdraw(agreement, "over"))
            case "by another":
                await say(cluster, "m2", "agreements", "withdraw", Withdraw(agreement, "over"))
        del wires.after["m2"]

        stopped = await until(cluster, "m2", "stopped")
        assert broken["done"] < CHUNKS
        assert words in stopped["why"]
        await cluster.until(lambda: received_chunks(cluster["m2"]) == [])
        # A modified client does not stop by itself: its answers end between two chunks.
        for answer in answers:
            with pytest.raises(LinkError, match=f"refused: .*{words}"):
                await anext(answer)
        with pytest.raises(OperatorRefusal, match=r"nothing lets m2 have m1/rows now|has expired"):
            await cluster["m2"].up.backend.fetch_data(DATA, b"", 0)


async def test_without_a_direct_link_another_member_carries_what_it_cannot_read(tmp_path: Path) -> None:
    wires = Wires()
    wires.between.add(frozenset(("m1", "m2")))
    async with Cluster(3, network="memory", refuses=wires.refuses) as cluster:
        await add(cluster, tmp_path, chunks=6)
        await say(cluster, "m1", "sharing", "authorize", Authorize(DATA, OrgId("m2")))
        await cluster["m2"].up.backend.fetch_data(DATA, b"", 0)
        await until(cluster, "m2", "here")
        assert vault(cluster["m2"]).verify(received(cluster["m2"])) == []
        assert bulk_bytes(cluster, "m1", "m2") == 0
        assert bulk_bytes(cluster, "m3", "m2") > 4 * CHUNK_BYTES


async def test_what_was_sealed_before_its_owner_left_is_fetched_from_copies(tmp_path: Path) -> None:
    async with Cluster(4, network="memory") as cluster:
        await add(cluster, tmp_path, chunks=6)
        await say(cluster, "m1", "replicas", "replicate", Replicate(DATA, 1, OrgId("m3")))
        await cluster.until(lambda: held(cluster, "m3"))
        _, request = await granted(cluster)
        await say(cluster, "m1", "sharing", "authorize", Authorize(DATA, OrgId("m4")))
        await cluster["m4"].up.backend.fetch_data(DATA, b"", 0)
        await until(cluster, "m4", "here")
        await cluster.until(lambda: len(sealed_keys(cluster["m2"])) == 1)
        # Neither who keeps the chunks, nor who is not meant, gets a key without a fetch.
        own = await say(cluster, "m3", "access", "request", Ask(DATA, "tests", Operation.DOWNLOAD, None, ""))
        await say(cluster, "m1", "access", "grant", Grant(own))
        await cluster.until(lambda: store.sealed(view(cluster["m3"].up.store.state, "access"), own, 1) is not None)
        for org, basis, why in (("m3", own, "keeps a copy"), ("m4", request, "sealed nothing to m4")):
            with pytest.raises(LinkError, match=f"refused: .*{why}"):
                await anext(cluster[org].up.transport.fetch(M1, encode_request(KeyRequest(basis, 1))))

        await cluster.kill("m1")
        await cluster["m2"].up.backend.fetch_data(DATA, b"", 0)
        await until(cluster, "m2", "here")

        assert vault(cluster["m2"]).verify(received(cluster["m2"])) == []
        assert sealed_keys(cluster["m3"]) == []
        assert bulk_bytes(cluster, "m3", "m2") > 4 * CHUNK_BYTES


async def test_a_sealed_key_is_not_given_once_the_grant_is_revoked(tmp_path: Path) -> None:
    async with Cluster(2, network="memory") as cluster:
        await add(cluster, tmp_path, chunks=3)
        agreement, request = await granted(cluster)
        await cluster.until(lambda: len(sealed_keys(cluster["m2"])) == 1)
        await say(cluster, "m2", "agreements", "withdraw", Withdraw(agreement, "over"))
        with pytest.raises(LinkError, match=r"refused: .*m2 withdrew"):
            await anext(cluster["m2"].up.transport.fetch(M1, encode_request(KeyRequest(request, 1))))


async def test_copies_bring_a_lost_vault_back_and_serve_and_a_holder_that_lies_is_found_out(tmp_path: Path) -> None:
    async with Cluster(4, network="memory") as cluster:
        version = await add(cluster, tmp_path)
        for org in ("m2", "m3"):
            await say(cluster, "m1", "replicas", "replicate", Replicate(DATA, 1, OrgId(org)))
        await cluster.until(lambda: all(held(cluster, org) for org in ("m2", "m3")))

        shutil.rmtree(cluster["m1"].folder.vault)
        told = [told async for told in cluster["m1"].up.backend.restore_data("rows", 0)]
        assert told[-1]["done"] == CHUNKS
        restored = vault(cluster["m1"]).records.version("rows")
        assert (restored.root, restored.columns) == (version.root, version.columns)
        (back,) = vault(cluster["m1"]).extract(restored, tmp_path / "back")
        assert back.read_bytes() == (tmp_path / "rows.npz").read_bytes()

        # Every chunk at m3 is another one; m2 and the owner serve side by side.
        for path in (cluster["m3"].folder.vault / "replicas" / "chunks").rglob("*/*"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        await say(cluster, "m1", "sharing", "authorize", Authorize(DATA, OrgId("m4")))
        await cluster["m4"].up.backend.fetch_data(DATA, b"", 0)
        await until(cluster, "m4", "here")
        assert vault(cluster["m4"]).verify(received(cluster["m4"])) == []
        assert min(bulk_bytes(cluster, org, "m4") for org in ("m1", "m2")) > SEALED_BYTES_MAX
        assert cluster["m4"].up.engine.conduct(OrgId("m3")) is not None
        assert cluster["m4"].up.engine.conduct(OrgId("m2")) is None

        await say(cluster, "m1", "replicas", "release", Release(DATA, 1, OrgId("m2")))
        await cluster.until(lambda: not list((cluster["m2"].folder.vault / "replicas").rglob("*.record")))


def held(cluster: Cluster, org: str) -> bool:
    found = replica(view(cluster["m1"].up.store.state, NAME), DATA, 1, OrgId(org))
    return found is not None and found.held_ms is not None
