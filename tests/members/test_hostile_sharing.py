"""What a member with a modified client tries at others' data: each attempt is refused, and says why.

It holds a valid certificate and node key and writes frames of its own: transactions that no honest client would sign,
bulk requests that no honest daemon would send.
"""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from node._proto.link_pb2 import Frame, Messages
from node._proto.link_pb2 import Request as Asked
from node.app.vaults import registration, vault_of
from node.base.codec import encode
from node.base.types import Digest, OrgId, PeerMessage, Signature, Transaction, TransactionBody, Transactions
from node.base.types import transaction_signing_bytes as signing_bytes
from node.base.types.envelopes import Binding, VersionKey, envelope_digest, seal_version_key
from node.edge.storage import KeyName
from node.edge.transport.report import Purpose
from node.edge.vault import Envelopes, open_source
from node.edge.vault.vault import Vault
from node.engine.transfer.requests import (
    CarriedRequest,
    ChunksRequest,
    DigestsRequest,
    EnvelopeRequest,
    Fetching,
    Keeping,
    RecordRequest,
    encode_request,
)
from node.ledger.contracts.access import Ask, Cancel, Fetch, Grant, Revoke, Seal, Sealed
from node.ledger.contracts.access import store as access_store
from node.ledger.contracts.agreements import Operation, Sign, Terms, Withdraw
from node.ledger.contracts.contract import view
from node.ledger.contracts.rules import Deploy, Line, Otherwise, Outcome, RuleSet
from node.ledger.contracts.sharing import Authorize, ShareData, Unauthorize
from node.testing.cluster import Cluster, ClusterMember
from node.testing.hostile import HostileClient

OWNER, FRIEND, HOSTILE = "m1", "m2", "m4"
DATA = "m1/rows"
WORDS = {"label": "Rows", "purpose": "tests", "now_ms": 1_000}
NOTHING = Digest(bytes(32))
TERM_MS = 600_000
LATER_MS = 4_000_000_000_000
AGREED_MS = 10_000
"""Of an agreement that expires meanwhile."""


class Attacker:
    """The member's keys in the hands of another program; its daemon is down."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._nonces = itertools.count(500)

    def _client(self, purpose: Purpose) -> HostileClient:
        keys, target = self._cluster[HOSTILE].keys, self._cluster[OWNER]
        tls = keys.tls[0]
        certificate = target.keys.tls[0].certificate
        shown = (OrgId(HOSTILE), target.up.chain, tls.key_pem, tls.certificate)
        return HostileClient(*shown, address=target.listen, certificate=certificate, purpose=purpose)

    def transaction(self, contract: str, method: str, call: Any) -> Transaction:
        """Signed with the member's own node key."""
        member, chain = self._cluster[HOSTILE], self._cluster[OWNER].up.chain
        until_ms = time.time_ns() // 1_000_000 + TERM_MS
        body = TransactionBody(chain, member.org, next(self._nonces), until_ms, contract, method, encode(call))
        return Transaction(body, Signature(member.keys.signer(member.card.body.node_key).sign(signing_bytes(body))))

    async def receipts(self, transactions: list[Transaction]) -> list[tuple[bool, str, str]]:
        """Write them to a member as frames; (accepted, code, reason) of each."""
        message = encode(Transactions(tuple(one.encoded for one in transactions)), PeerMessage)
        async with self._client(Purpose.CONTROL) as client:
            await client.greet()
            await client.write(Frame(messages=Messages(bodies=[message])).SerializeToString())
            async with asyncio.timeout(60):
                records = [await self._cluster[OWNER].up.engine.final(one.id) for one in transactions]
        return [(r.receipt.accepted, r.receipt.code, r.receipt.reason) for r in records]

    async def ask(self, request: bytes) -> str | None:
        """Write a bulk request; the refusal's words, None when something was served."""
        async with self._client(Purpose.BULK) as client, asyncio.timeout(30):
            await client.greet()
            await client.write(Frame(request=Asked(number=1, body=request)).SerializeToString())
            while True:
                frame = Frame.FromString(await client.read())
                if frame.WhichOneof("kind") in ("chunk", "end"):
                    return None
                if frame.WhichOneof("kind") == "refusal":
                    return str(frame.refusal.reason)


def vault(member: ClusterMember) -> Vault:
    return vault_of(member.folder, member.org, [key for key in member.keys.held if key.name is KeyName.DATA])


async def say(cluster: Cluster, org: str, contract: str, method: str, call: Any) -> Digest:
    """An accepted transaction that every member has executed."""
    node = cluster[org].up
    async with asyncio.timeout(60):
        id_ = await node.submitter.submit(contract, method, encode(call))
        record = await node.engine.final(id_)
    assert record.receipt.accepted, record.receipt.reason
    await cluster.until_height(record.height)
    return id_


async def add(cluster: Cluster, org: str, folder: Path) -> None:
    path = folder / f"{org}.csv"
    path.write_text("age,ill\n" + "".join(f"{at},{at % 2}\n" for at in range(200)))
    version = await asyncio.to_thread(vault(cluster[org]).add, open_source(path), "rows", **WORDS)
    await say(cluster, org, "sharing", "register", registration(version))


def the_same(cluster: Cluster, id_: Digest) -> Transaction:
    """A transaction as it stands in its block."""
    chain = cluster[OWNER].up.store.chain
    record = chain.transaction(id_)
    assert record is not None, "final"
    block = chain.block(record.height)
    assert block is not None, "kept"
    return block.block.transactions[record.index]


def rules(*conditions: str) -> RuleSet:
    """Lines that allow."""
    lines = tuple(Line(condition, Outcome.ALLOW, "") for condition in conditions)
    return RuleSet("mine", ("rows",), (), lines, Otherwise(Outcome.REFUSE, ""))


def sealed(cluster: Cluster, basis: Digest) -> Sealed | None:
    """What the ledger has of the key sealed for version 1."""
    return access_store.sealed(view(cluster[OWNER].up.store.state, "access"), basis, 1)


async def stopped(member: ClusterMember) -> dict[str, Any]:
    """The one arrival of the member, once it has stopped."""
    async with asyncio.timeout(30):
        while True:
            found = await member.up.backend.arrivals()
            if found and found[0]["state"] == "stopped":
                return found[0]
            await asyncio.sleep(0.01)


def ask(operation: Operation, purpose: str = "research", agreement: Digest | None = None, data: str = DATA) -> Ask:
    return Ask(data, purpose, operation, agreement, "")


async def test_a_sealed_key_for_another_data_set_does_not_open_and_says_so(tmp_path):
    async with Cluster(4) as cluster:
        await add(cluster, HOSTILE, tmp_path)
        request = await say(cluster, FRIEND, "access", "request", ask(Operation.DOWNLOAD, data="m4/rows"))
        await say(cluster, HOSTILE, "access", "grant", Grant(request))
        await cluster.until(lambda: sealed(cluster, request) is not None)
        # The owner's modified daemon puts a key for something else on the ledger and serves it.
        key = cluster[FRIEND].card.body.data_key
        binding = Binding(cluster[OWNER].up.chain, None, "m4/other", 1, request, OrgId(FRIEND))
        wrong = seal_version_key(key, VersionKey(bytes(32), bytes(16), "csv", 1, ()), binding)
        shelf = Envelopes(cluster[HOSTILE].folder.vault, lambda path, content: path.write_bytes(content) and None)
        await asyncio.to_thread(shelf.keep, request, 1, encode(wrong))
        await say(cluster, HOSTILE, "access", "seal", Seal(request, 1, envelope_digest(wrong)))

        await cluster[FRIEND].up.backend.fetch_data("m4/rows", b"", 0)

        found = await stopped(cluster[FRIEND])
        assert "the envelope was sealed for data set m4/other, not for m4/rows" in found["why"]


async def test_what_a_modified_client_tries_is_refused_with_its_reason(tmp_path):
    async with Cluster(4) as cluster:
        await add(cluster, OWNER, tmp_path)
        terms = Terms("Study", (OrgId("m1"), OrgId("m4")), (DATA,), ("research",), (Operation.TRAIN,), LATER_MS, "")
        agreed = await say(cluster, OWNER, "agreements", "draft", terms)
        await say(cluster, HOSTILE, "agreements", "sign", Sign(agreed))
        private = await say(
            cluster, OWNER, "agreements", "draft",
            Terms("Ours", (OrgId("m1"), OrgId("m2")), (DATA,), ("research",), (Operation.TRAIN,), LATER_MS, ""),
        )  # fmt: skip
        await say(cluster, FRIEND, "agreements", "sign", Sign(private))
        friends = await say(cluster, FRIEND, "access", "request", ask(Operation.TRAIN))
        await say(cluster, OWNER, "access", "grant", Grant(friends))
        friends_fetch = await say(cluster, FRIEND, "access", "fetch", Fetch(friends, 1))
        waiting = await say(cluster, HOSTILE, "access", "request", ask(Operation.TRAIN))
        revoked = await say(cluster, HOSTILE, "access", "request", ask(Operation.TRAIN))
        grant = await say(cluster, OWNER, "access", "grant", Grant(revoked))
        revoked_fetch = await say(cluster, HOSTILE, "access", "fetch", Fetch(revoked, 1))
        await say(cluster, OWNER, "access", "revoke", Revoke(revoked, "over"))
        ends_ms = time.time_ns() // 1_000_000 + AGREED_MS
        short = Terms("Short", (OrgId("m1"), OrgId("m4")), (DATA,), ("research",), (Operation.TRAIN,), ends_ms, "")
        expiring = await say(cluster, OWNER, "agreements", "draft", short)
        await say(cluster, HOSTILE, "agreements", "sign", Sign(expiring))
        expired = await say(cluster, HOSTILE, "access", "request", ask(Operation.TRAIN, agreement=expiring))
        await say(cluster, OWNER, "access", "grant", Grant(expired))
        expired_fetch = await say(cluster, HOSTILE, "access", "fetch", Fetch(expired, 1))
        standing = await say(cluster, HOSTILE, "access", "request", ask(Operation.TRAIN, agreement=agreed))
        await say(cluster, OWNER, "access", "grant", Grant(standing))
        standing_fetch = await say(cluster, HOSTILE, "access", "fetch", Fetch(standing, 1))
        await cluster.kill(HOSTILE)
        attacker = Attacker(cluster)
        await cluster.until(lambda: time.time_ns() // 1_000_000 > ends_ms)

        may = encode_request(ChunksRequest(Fetching(standing_fetch), 0, 1))
        assert await attacker.ask(may) is None, "what the ledger allows is served, so the program itself is let in"
        # Over the bulk stream: the serving member's own words.
        bulk = {
            "chunks without any fetch": (ChunksRequest(Fetching(NOTHING), 0, 1), "No fetch of this id"),
            "a request's id for a fetch's": (ChunksRequest(Fetching(standing), 0, 1), "No fetch of this id"),
            "chunks on another's fetch": (ChunksRequest(Fetching(friends_fetch), 0, 1), "is m2's and serves nobody"),
            "the key on another's fetch": (EnvelopeRequest(friends_fetch), "is m2's and serves nobody"),
            "chunks after the revocation": (ChunksRequest(Fetching(revoked_fetch), 0, 1), "has revoked the grant"),
            "the key after the revocation": (EnvelopeRequest(revoked_fetch), "has revoked the grant"),
            "chunks after the expiry": (ChunksRequest(Fetching(expired_fetch), 0, 1), "expired"),
            "a chunk that is none": (ChunksRequest(Fetching(standing_fetch), 2, 3), "the version has 2 chunks"),
            "chunks without end": (ChunksRequest(Fetching(standing_fetch), 0, 1 << 40), "the version has 2 chunks"),
            "digests beyond the last": (DigestsRequest(Fetching(standing_fetch), 1 << 40), "the version has 2 chunks"),
            "a holder that is none": (ChunksRequest(Keeping(DATA, 1), 0, 1), "neither owns"),
            "the owner's record": (RecordRequest(DATA, 1), "neither owns"),
            "in another's name, by the carrier": (
                CarriedRequest(OrgId(FRIEND), ChunksRequest(Fetching(revoked_fetch), 0, 1)), "serves nobody"
            ),
        }  # fmt: skip
        for name, (request, words) in bulk.items():
            said = await attacker.ask(encode_request(request))
            print(f"{name:40} | {said}")
            assert said, name
            assert words in said, name

        endless = rules("purpose.matches('(a+)+b')")
        dear = rules(*[" || ".join(f'purpose.contains("{at:02}")' for at in range(14))] * 16)
        calls = {
            "fetch on another's grant": ("access", "fetch", Fetch(friends, 1), "not-recipient"),
            "fetch after the revocation": ("access", "fetch", Fetch(revoked, 1), "revoked"),
            "fetch after the expiry": ("access", "fetch", Fetch(expired, 1), "agreement-expired"),
            "fetch before the grant": ("access", "fetch", Fetch(waiting, 1), "not-granted"),
            "fetch a version that is none": ("access", "fetch", Fetch(standing, 9), "unknown-version"),
            "fetch on nothing": ("access", "fetch", Fetch(NOTHING, 1), "unknown-basis"),
            "request unknown data": ("access", "request", ask(Operation.TRAIN, data="m1/none"), "unknown-data"),
            "another purpose than agreed": (
                "access", "request", ask(Operation.TRAIN, "marketing", agreed), "purpose-outside"),
            "another operation than agreed": (
                "access", "request", ask(Operation.DOWNLOAD, agreement=agreed), "operation-outside"),
            "under others' agreement": ("access", "request", ask(Operation.TRAIN, agreement=private), "not-party"),
            "grant oneself": ("access", "grant", Grant(waiting), "not-owner"),
            "the revoked grant again": ("access", "grant", Grant(revoked), "not-owner"),
            "revoke another's": ("access", "revoke", Revoke(friends, "mine"), "not-owner"),
            "cancel another's": ("access", "cancel", Cancel(friends), "not-requester"),
            "seal for the owner": ("access", "seal", Seal(standing, 1, NOTHING), "not-owner"),
            "sign for others": ("agreements", "sign", Sign(private), "not-party"),
            "end others' agreement": ("agreements", "withdraw", Withdraw(private, "no"), "not-party"),
            "authorise oneself": ("sharing", "authorize", Authorize(DATA, OrgId(HOSTILE)), "not-owner"),
            "unauthorise another": ("sharing", "unauthorize", Unauthorize(DATA, OrgId(FRIEND)), "not-owner"),
            "share another's data": ("sharing", "share", ShareData(DATA, OrgId(FRIEND), NOTHING), "not-owner"),
            "a rule that backtracks without end": ("rules", "deploy", Deploy(endless), "rule-not-allowed"),
            "rules that cost too much": ("rules", "deploy", Deploy(dear), "rule-too-costly"),
        }  # fmt: skip
        tried = {name: attacker.transaction(*call[:3]) for name, call in calls.items()}
        receipts = await attacker.receipts([the_same(cluster, grant), *tried.values()])
        assert receipts.pop(0)[0], "the owner's own receipt, from before"
        for (name, call), (accepted, code, reason) in zip(calls.items(), receipts, strict=True):
            print(f"{name:40} | {code}: {reason}")
            assert not accepted, name
            assert code == call[3], name
        said = await attacker.ask(encode_request(ChunksRequest(Fetching(revoked_fetch), 0, 1)))
        assert "has revoked the grant" in str(said), "the owner's grant, sent word for word again, did nothing"
