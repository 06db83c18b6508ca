"""Transactions, blocks, receipts, events."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from node.base.codec import encode, keeps_bytes
from node.base.crypto import digest, merkle_root
from node.base.types.agreement import Certificate
from node.base.types.names import Digest, Height, OrgId, Signature

HEADER_VERSION = 1
TRANSACTION_BYTES_MAX = 64 << 10
NONCE_WINDOW = 1_024
_SIGNING_TAG = b"lepton/transaction\x00"


@dataclass(frozen=True, slots=True)
class TransactionBody:
    """What an organisation asks of a contract; signed with its node key."""

    chain: Digest
    org: OrgId
    nonce: int
    """Executes once. Gaps are allowed; one lower than the highest seen by `NONCE_WINDOW` or more is too old."""
    valid_until_ms: int
    """The last block time at which it may be included."""
    contract: str
    method: str
    payload: bytes


@keeps_bytes
@dataclass(frozen=True)
class Transaction:
    """A signed transaction, identified by the digest of what is signed."""

    body: TransactionBody
    signature: Signature

    @cached_property
    def id(self) -> Digest:
        """The digest of what is signed; the signature is not part of it."""
        return Digest(digest("lepton/transaction", self._encoded_body))

    @cached_property
    def encoded(self) -> bytes:
        """Body and signature, as they stand in the transaction tree."""
        return encode(self)

    @property
    def signed(self) -> bytes:
        """The same as `transaction_signing_bytes` of the body."""
        return _SIGNING_TAG + self._encoded_body

    @property
    def _encoded_body(self) -> bytes:
        # A signature has a fixed size and stands last.
        return self.encoded[: -len(self.signature)]


def transaction_signing_bytes(body: TransactionBody) -> bytes:
    """What the node key signs."""
    return _SIGNING_TAG + encode(body)


@dataclass(frozen=True)
class Header:
    """What the members agree on. Round and votes stay outside, so that a re-proposal has the same digest."""

    version: int
    chain: Digest
    height: Height
    time_ms: int
    parent: Digest
    last_certificate: Digest
    """Digest of the parent's certificate that this block carries; zero at height 1."""
    transactions_root: Digest
    state_root: Digest
    """After this block."""
    receipts_root: Digest
    members: Digest
    """The member set in force at this height."""
    next_members: Digest
    """The member set in force at the next height."""
    parameters: Digest
    author: OrgId

    @cached_property
    def digest(self) -> Digest:
        """The block's digest."""
        return Digest(digest("lepton/header", encode(self)))


def header_digest(header: Header) -> Digest:
    """The block's digest."""
    return header.digest


@dataclass(frozen=True)
class Block:
    """A header with its transactions and the parent's certificate (None at height 1)."""

    header: Header
    transactions: tuple[Transaction, ...]
    last_certificate: Certificate | None

    @cached_property
    def digest(self) -> Digest:
        """The digest of the header."""
        return header_digest(self.header)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a contract did, for the scheduler and for operators."""

    contract: str
    name: str
    body: bytes


@keeps_bytes
@dataclass(frozen=True)
class Receipt:
    """What became of one transaction. A refused one changed nothing but its nonce."""

    transaction: Digest
    accepted: bool
    code: str
    """`ok`, or the reason's short name: `unknown-method`, `not-owner`, ..."""
    reason: str
    """One sentence for the operator, empty when accepted."""
    events: tuple[Event, ...]

    @cached_property
    def encoded(self) -> bytes:
        """As it stands in the receipt tree."""
        return encode(self)


def transactions_root(transactions: Sequence[Transaction]) -> Digest:
    """RFC 6962 root over the transactions with their signatures."""
    return Digest(merkle_root([transaction.encoded for transaction in transactions]))


def receipts_root(receipts: Sequence[Receipt]) -> Digest:
    """RFC 6962 root over the receipts, in the block's order."""
    return Digest(merkle_root([receipt.encoded for receipt in receipts]))
