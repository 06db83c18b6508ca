"""Files that come from others, or from a disk that nobody vouches for, as targets."""

import asyncio
import weakref
from collections.abc import Callable
from pathlib import Path

from node.app.auditfile import readable_audit
from node.app.auditing import gather
from node.app.prooffile import ProofFileError, proof_text, read_proof
from node.base.codec import DecodeError, decode, encode
from node.base.crypto import Ed25519Signer, digest
from node.base.types import (
    CardBody,
    Digest,
    Genesis,
    Height,
    OrgId,
    Parameters,
    PublicKey,
    Signature,
    genesis_signing_bytes,
)
from node.edge.storage import FileError, FileVoteLog, StoreError, draft_genesis, read_card, read_genesis, write_card
from node.edge.storage.genesis import write_genesis_draft
from node.edge.storage.identity import make_tls_secret, sign_card
from node.edge.storage.reader import SqliteReader
from node.edge.storage.sqlite import SqliteStore
from node.ledger.audit import Audit, Subject, verify_audit
from node.ledger.contracts.sharing import Authorize, Register
from node.ledger.errors import InvalidGenesis, Untrusted
from node.ledger.genesis import genesis_writes, verify_genesis
from node.ledger.offline import prove_state
from node.testing.founding import Founding, MemoryChain
from node.testing.signing import verify_hash
from node.testing.simulation import Disk

Built = tuple[list[bytes], Callable[[bytes], bool]]
_CHAIN = Digest(bytes(32))


def _card(org: str) -> tuple[Ed25519Signer, CardBody]:
    signer = Ed25519Signer(digest("organisation", org.encode()))
    tls = make_tls_secret(OrgId(org))
    body = CardBody(
        org=OrgId(org),
        sequence=1,
        organisation_key=PublicKey(signer.public_key),
        node_key=PublicKey(digest("node", org.encode())),
        data_key=PublicKey(digest("data", org.encode())),
        tls_certificate=tls.certificate,
        addresses=("hospital.example:7400",),
        tls_until_ms=1 << 42,
    )
    return signer, body


def card(folder: Path) -> Built:
    """A card that somebody sent."""
    path = folder / "card.json"
    signer, body = _card("ada")
    write_card(path, sign_card(signer, body))

    def feed(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            read_card(path)
        except FileError:
            return False
        return True

    return [path.read_bytes()], feed


def genesis(folder: Path) -> Built:
    """A genesis file that somebody sent."""
    path = folder / "genesis.json"
    founders = [_card(org) for org in ("ada", "bob")]
    body = draft_genesis("net", 1_000, [sign_card(*founder) for founder in founders], Parameters())
    signed = {card.org: Signature(signer.sign(genesis_signing_bytes(body))) for signer, card in founders}
    write_genesis_draft(path, body, signed)

    def feed(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            found: Genesis = read_genesis(path)
            verify_genesis(found)
        except (FileError, InvalidGenesis):
            return False
        return True

    return [path.read_bytes()], feed


def vote_log(folder: Path) -> Built:
    """A vote log after anything happened to the disk."""
    path = folder / "votes"
    FileVoteLog.create(path, _CHAIN)
    empty = path.read_bytes()
    runner = asyncio.Runner()

    async def written() -> bytes:
        log = FileVoteLog.open(path, _CHAIN)
        for number in range(1, 5):
            await log.append(Height(number // 2), [b"x" * number] * number)
        await log.close()
        return path.read_bytes()

    async def opened() -> bool:
        try:
            log = FileVoteLog.open(path, _CHAIN)
        except StoreError:
            return False
        await log.close()
        return True

    full = runner.run(written())

    def feed(data: bytes) -> bool:
        path.write_bytes(data)
        return runner.run(opened())

    # One loop for all inputs; it ends with its target, or its sockets would outlive it.
    weakref.finalize(feed, runner.close)
    return [empty, full], feed


def proof(folder: Path) -> Built:
    """A proof that somebody sent."""
    path = folder / "proof.json"
    chain = MemoryChain(Founding())
    chain.extend(chain.founding.transaction("ada", 1, "sharing", "register", b""))

    disk = Disk(chain.founding.genesis)
    for certified, executed in zip(chain.certified, chain.executed, strict=True):
        disk.commit(certified, executed.receipts, executed.writes, durable=True)
    text = proof_text(prove_state(disk.state, disk, b"sys/members"))

    def feed(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            read_proof(path)
        except ProofFileError:
            return False
        return True

    return [text.encode()], feed


def audit(folder: Path) -> Built:
    """An audit that somebody sent, as its bytes: the file around them is compared with what they say."""
    chain = MemoryChain(Founding())
    for number, (org, method, payload) in enumerate(
        (("ada", "register", Register("x", Digest(bytes(32)))), ("ada", "authorize", Authorize("ada/x", OrgId("bob"))))
    ):
        chain.extend(chain.founding.transaction(org, number, "sharing", method, payload))
    asyncio.run(_stored(folder / "ledger.sqlite", chain))
    reader = SqliteReader(folder / "ledger.sqlite", frozen=True)
    gathered = gather(reader, Subject("ada/x", ""))
    reader.close()

    def feed(data: bytes) -> bool:
        try:
            found = decode(Audit, data)
            verify_audit(chain.founding.genesis, found, verify_hash)
        except (DecodeError, Untrusted):
            return False
        readable_audit(found)
        return True

    return [encode(gathered)], feed


async def _stored(path: Path, chain: MemoryChain) -> None:
    founding = chain.founding
    async with await SqliteStore.open(path, founding.chain, genesis_writes(founding.genesis)) as store:
        for certified, executed in zip(chain.certified, chain.executed, strict=True):
            await store.commit(certified, executed.receipts, executed.writes, durable=False)


BUILDERS: dict[str, Callable[[Path], Built]] = {
    "card": card,
    "genesis": genesis,
    "vote-log": vote_log,
    "proof": proof,
    "audit": audit,
}
