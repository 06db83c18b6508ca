"""Trust paths and offline proofs: they hold across changes of members and keys, and bind every field."""

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import pytest

from node.app.prooffile import ProofFileError, key_bytes, proof_text, read_proof, shown_bytes
from node.base.codec import DecodeError, decode, encode
from node.base.crypto import digest
from node.base.types import Card, Digest, Height, OrgId, PublicKey, Signature, Transaction, card_signing_bytes
from node.ledger import system
from node.ledger.contracts.membership import Leave, Present
from node.ledger.contracts.sharing import Register
from node.ledger.errors import Unprovable, Untrusted
from node.ledger.light import build_path, verify_path
from node.ledger.offline import Proof, prove_state, prove_transaction, verify_proof
from node.testing.founding import Founding, MemoryChain
from node.testing.signing import HashSigner, verify_hash
from node.testing.simulation import Disk


class Story:
    """Five members; eve leaves, ada's node key rotates, and blocks of transactions before, between and after."""

    def __init__(self) -> None:
        self.founding = Founding(("ada", "bob", "cid", "dot", "eve"))
        self.chain = MemoryChain(self.founding)
        self.disk = Disk(self.founding.genesis)
        self.transactions: list[Transaction] = []
        self.grow("bob", "cid", "dot")
        self.extend(self.founding.transaction("eve", 0, "membership", "leave", Leave()))
        self.grow("bob")
        self.grow("cid", "dot")
        self.extend(self.founding.transaction("ada", 0, "membership", "present", self.next_card()))
        self.grow("bob")
        # In force from here on: ada signs with its new key, and old certificates keep theirs.
        self.founding.node_signers[OrgId("ada")] = HashSigner(digest("new node key"))
        self.grow("ada", "bob", "cid", "dot")
        self.grow("bob", "cid")

    def next_card(self) -> Present:
        org = OrgId("ada")
        body = dataclasses.replace(
            self.founding.card(org).body,
            sequence=2,
            node_key=PublicKey(HashSigner(digest("new node key")).public_key),
        )
        signature = self.founding.organisation_signers[org].sign(card_signing_bytes(body))
        return Present(Card(body, Signature(signature)), None)

    def grow(self, *orgs: str) -> None:
        nonce = 10 + self.chain.height
        calls = [
            self.founding.transaction(org, nonce, "sharing", "register", Register(f"d{nonce}", Digest(digest(org))))
            for org in orgs
        ]
        self.transactions += calls
        self.extend(*calls)

    def extend(self, *transactions: Transaction) -> None:
        executed = self.chain.build(*transactions)
        members = self.chain.position().members.orgs
        height = executed.block.header.height
        certificate = self.founding.certificate(executed.block.digest, height, orgs=members)
        assert all(receipt.accepted for receipt in executed.receipts), executed.receipts
        assert len(executed.receipts) == len(transactions)
        certified = self.chain.take(executed)
        certified = dataclasses.replace(certified, certificate=certificate)
        self.chain.certified[-1] = certified
        self.disk.commit(certified, executed.receipts, executed.writes, durable=True)


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


def test_the_story_changes_members_and_keys(story: Story) -> None:
    history = list(system.set_history(story.disk.state))
    assert [height for height, _ in history] == [1, 4, 7]
    assert [len(members.members) for _, members in history] == [5, 4, 4]


def test_every_height_is_trusted_from_the_genesis_alone(story: Story) -> None:
    for height in range(1, story.disk.height() + 1):
        path = build_path(system.set_history(story.disk.state), story.disk.certified_header, Height(height))
        trusted = verify_path(story.founding.genesis, path, verify_hash)
        assert trusted.header == story.chain.certified[height - 1].block.header


def test_every_transaction_is_proved_whatever_its_place_and_height(story: Story) -> None:
    for transaction in story.transactions:
        proof = prove_transaction(story.disk.state, story.disk, transaction.id)
        trusted = verify_proof(story.founding.genesis, proof, verify_hash)
        record = story.disk.transaction(transaction.id)
        assert record is not None
        assert trusted.header.height == record.height
        assert proof.entry.receipt == record.receipt


@pytest.mark.parametrize("key", [b"sharing/data/bob/d10", b"sys/head", b"sharing/data/bob/never"])
def test_values_and_absence_are_proved(story: Story, key: bytes) -> None:
    proof = prove_state(story.disk.state, story.disk, key)
    assert verify_proof(story.founding.genesis, proof, verify_hash).header.height == story.disk.height()
    assert proof.value == story.disk.state.get(key)


def test_another_genesis_proves_nothing(story: Story) -> None:
    proof = prove_state(story.disk.state, story.disk, b"sys/head")
    with pytest.raises(Untrusted):
        verify_proof(Founding(("ada", "bob", "cid", "dot", "eve"), name="other").genesis, proof, verify_hash)


def test_what_is_not_there_cannot_be_proved(story: Story) -> None:
    with pytest.raises(Unprovable):
        prove_transaction(story.disk.state, story.disk, Digest(bytes(32)))
    with pytest.raises(Unprovable):
        prove_state(Disk(story.founding.genesis).state, Disk(story.founding.genesis), b"sys/head")
    with pytest.raises(Unprovable, match="height 3"):
        build_path(
            system.set_history(story.disk.state),
            lambda height: None if height == 3 else story.disk.certified_header(height),
            Height(9),
        )


def mutations(value: Any, path: str = "") -> Any:
    """(where, a value that differs in exactly one leaf field or in one element of a row)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            for where, changed in mutations(getattr(value, field.name), f"{path}.{field.name}"):
                yield where, dataclasses.replace(value, **{field.name: changed})
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield f"{path}[-{index}]", value[:index] + value[index + 1 :]
            for where, changed in mutations(item, f"{path}[{index}]"):
                yield where, (*value[:index], changed, *value[index + 1 :])
        if value:
            yield f"{path}[+]", (*value, value[-1])
    elif isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        yield from ((path, value + 1), (path, value - 1))
    elif isinstance(value, bytes):
        if value:
            yield path, bytes((value[0] ^ 1,)) + value[1:]
            yield path, value[:-1] + bytes((value[-1] ^ 0x80,))
        yield path, value + b"\x00"
        yield path, None
    elif isinstance(value, str):
        yield path, value + "x"
    else:
        assert value is None, f"{path} has a kind that is not mutated: {value!r}"
        yield path, b""


@pytest.mark.parametrize("at", range(4))
def test_every_field_of_a_proof_is_bound(story: Story, at: int) -> None:
    transaction = story.transactions[-1]
    proof: Proof = (
        prove_transaction(story.disk.state, story.disk, story.transactions[0].id),
        prove_transaction(story.disk.state, story.disk, transaction.id),
        prove_state(story.disk.state, story.disk, b"sharing/data/bob/d10"),
        prove_state(story.disk.state, story.disk, b"sharing/data/bob/never"),
    )[at]
    verify_proof(story.founding.genesis, proof, verify_hash)
    count = 0
    unbound: list[str] = []
    for where, changed in mutations(proof):
        count += 1
        try:
            # What cannot be written in the byte form cannot be handed over, either.
            hostile = decode(cast("type[Proof]", Proof), encode(changed, Proof))
        except (DecodeError, ValueError, TypeError, AttributeError):
            continue
        try:
            verify_proof(story.founding.genesis, hostile, verify_hash)
        except Untrusted:
            continue
        unbound.append(where)
    assert unbound == []
    assert count > 60


def test_a_proof_file_is_read_back_and_every_change_of_it_is_refused(story: Story, tmp_path: Path) -> None:
    proof = prove_transaction(story.disk.state, story.disk, story.transactions[-1].id)
    path = tmp_path / "proof.json"
    path.write_text(proof_text(proof))
    assert read_proof(path) == proof
    shown = json.loads(path.read_text())
    for name in shown:
        for value in (None, "x", 7):
            path.write_text(json.dumps({**shown, name: value}))
            with pytest.raises(ProofFileError):
                read_proof(path)
    for text in ("", "[]", "{", "[" * 100_000, json.dumps({**shown, "more": 1}), json.dumps({"format": "x"})):
        path.write_text(text)
        with pytest.raises(ProofFileError):
            read_proof(path)


def test_keys_are_shown_and_read_as_text_or_hexadecimal() -> None:
    for key in (b"sys/head", b"\xff\x00", b"0x12", "ö/ä".encode(), b""):
        assert key_bytes(shown_bytes(key)) == key
    with pytest.raises(ProofFileError):
        key_bytes("0xzz")
