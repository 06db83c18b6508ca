"""What anyone can check with the genesis file alone, without a node: that something happened, or stood in the state.

A proof is a trust path to a header, and from that header's roots to a transaction with its receipt (RFC 6962 trees),
or to a key's value or absence (the state's sparse tree). Every field is bound: a changed one is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from node.base import crypto
from node.base.codec import encode
from node.base.crypto import leaf_hash, node_hash, prove_sides
from node.base.ports import ChainReader, StateReader, Verifier
from node.base.types import Digest, Genesis, Height, Receipt, Transaction
from node.ledger import system
from node.ledger.errors import Unprovable, Untrusted
from node.ledger.light import Trusted, TrustPath, build_path, verify_path
from node.ledger.tree import StateProof, prove_key, verify_key

DEPTH_MAX = 64
"""Siblings on the way from a leaf to its root: more than any tree of this world needs."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """The other half at one node on the way up."""

    is_left: bool
    digest: Digest


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction and what became of it, bound to a header's roots."""

    transaction: Transaction
    transaction_audit: tuple[Sibling, ...]
    """RFC 6962's audit path with its sides, from the leaf to the header's transaction root."""
    receipt: Receipt
    receipt_audit: tuple[Sibling, ...]


@dataclass(frozen=True, slots=True)
class TransactionProof:
    """Shows that the transaction stands in a final block, and what became of it."""

    path: TrustPath
    entry: Entry


@dataclass(frozen=True, slots=True)
class StateKeyProof:
    """Shows a key's value, or that it is not there, in the state after a final block."""

    path: TrustPath
    key: bytes
    value: bytes | None
    proof: StateProof


Proof = TransactionProof | StateKeyProof


def prove_transaction(state: StateReader, chain: ChainReader, id_: Digest) -> TransactionProof:
    """Raises `Unprovable` where the transaction, its block or a header on the way is not kept."""
    record = chain.transaction(id_)
    if record is None:
        raise Unprovable(f"transaction {id_.hex()} is in no block that this member keeps")
    certified, receipts = chain.block(record.height), chain.receipts(record.height)
    if certified is None or receipts is None:
        raise Unprovable(f"this member does not keep block {record.height}; ask one that does")
    return TransactionProof(
        build_path(system.set_history(state), chain.certified_header, record.height),
        entry_of(certified.block.transactions, receipts, record.index),
    )


def entry_of(transactions: Sequence[Transaction], receipts: Sequence[Receipt], index: int) -> Entry:
    """One transaction of a block with its receipt and the ways to the roots."""
    return Entry(
        transactions[index],
        _audit([transaction.encoded for transaction in transactions], index),
        receipts[index],
        _audit([receipt.encoded for receipt in receipts], index),
    )


def prove_state(state: StateReader, chain: ChainReader, key: bytes) -> StateKeyProof:
    """The key in the state after the head. Raises `Unprovable` at height 0, which nobody certified."""
    height = chain.height()
    if height == 0:
        raise Unprovable("there is no block yet, so nobody has signed a state")
    path = build_path(system.set_history(state), chain.certified_header, Height(height))
    return StateKeyProof(path, key, state.get(key), prove_key(state, key))


def verify_proof(genesis: Genesis, proof: Proof, verify: Verifier = crypto.verify) -> Trusted:
    """The header that makes it final and who signs at its height. Raises `Untrusted`."""
    trusted = verify_path(genesis, proof.path, verify)
    if isinstance(proof, StateKeyProof):
        if not verify_key(trusted.header.state_root, proof.key, proof.value, proof.proof):
            raise Untrusted("the key's value is not what the header's state root covers")
        return trusted
    check_entry(trusted, proof.entry)
    return trusted


def check_entry(trusted: Trusted, entry: Entry) -> None:
    """Raises `Untrusted` unless transaction and receipt stand at one place of the trusted header's block."""
    if entry.transaction.body.chain != trusted.chain or entry.receipt.transaction != entry.transaction.id:
        raise Untrusted("the receipt is not of this transaction")
    if _root(entry.transaction.encoded, entry.transaction_audit) != trusted.header.transactions_root:
        raise Untrusted("the transaction is not one of the header's")
    if _root(encode(entry.receipt), entry.receipt_audit) != trusted.header.receipts_root:
        raise Untrusted("the receipt is not one of the header's")
    if [at.is_left for at in entry.transaction_audit] != [at.is_left for at in entry.receipt_audit]:
        raise Untrusted("transaction and receipt do not stand at one place of the block")


def _audit(leaves: Sequence[bytes], index: int) -> tuple[Sibling, ...]:
    return tuple(Sibling(is_left, Digest(found)) for is_left, found in prove_sides(leaves, index))


def _root(leaf: bytes, audit: Sequence[Sibling]) -> bytes:
    if len(audit) > DEPTH_MAX:
        raise Untrusted(f"a way of {len(audit)} steps leads to no root")
    found = leaf_hash(leaf)
    for sibling in audit:
        found = node_hash(sibling.digest, found) if sibling.is_left else node_hash(found, sibling.digest)
    return found
