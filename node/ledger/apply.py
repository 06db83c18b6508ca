"""What a block does to the state: which transactions it may carry, what each does, and the header that follows.

Building and executing go through the same steps, so that a proposer and its checkers cannot come to different
results. Nothing is written: the result carries the writes, and who stores the block stores them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.base.codec import DecodeError, decode, encode
from node.base.ports import StateReader, Verifier, Writes
from node.base.types import (
    HEADER_VERSION,
    TRANSACTION_BYTES_MAX,
    Block,
    Certificate,
    Digest,
    Header,
    Height,
    MemberSet,
    OrgId,
    Parameters,
    Receipt,
    Transaction,
    VoteKind,
    certificate_digest,
    member_set_digest,
    parameters_digest,
    receipts_root,
    transactions_root,
)
from node.ledger import system
from node.ledger.certificates import verify_certificate
from node.ledger.contracts import membership
from node.ledger.contracts.contract import Context, Contract, Frame, Readable, Rejected, View
from node.ledger.contracts.registry import CONTRACTS
from node.ledger.errors import InvalidBlock, Unacceptable
from node.ledger.overlay import Overlay
from node.ledger.signers import SigningRight, is_other_key, signing_right
from node.ledger.system import Head, NonceWindow
from node.ledger.tree import updated
from node.ledger.turn import begin_block

ACCEPTED = "ok"

# Reasons stand in receipts, whose bytes all members must agree on: none quotes what a sender wrote, because how
# Python prints a text may differ between its versions.
NO_CONTRACT = "There is no contract of this name."
NO_METHOD = "The contract has no method of this name."
BAD_PAYLOAD = "The payload is not the byte form that this method takes."


@dataclass(frozen=True, slots=True)
class Position:
    """The place in the chain that a block is built or checked for; all of it known before its transactions."""

    chain: Digest
    height: Height
    time_ms: int
    """The block's time. Building moves it up to the parent's time + 1 where it is lower."""
    parent: Digest
    last_certificate: Certificate | None
    """What a new block carries of its parent. A received block may carry another valid one, which is checked."""
    author: OrgId
    """The fresh proposal's proposer; for a received block, its header's author."""
    members: MemberSet
    """In force at this height."""
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Executed:
    """A block with all that executing it gave."""

    block: Block
    receipts: tuple[Receipt, ...]
    writes: Writes
    next_members: MemberSet


def build_block(
    reader: StateReader,
    position: Position,
    candidates: Iterable[Transaction],
    verify: Verifier,
    *,
    transactions_max: int | None = None,
) -> Executed:
    """A new block of the candidates, in their order, without those that cannot be included now.

    Stops asking for candidates when the block is full by count, the chain's or `transactions_max`; one that is too
    large for the room left is left out.
    """
    execution = _Execution(reader, position, max(position.time_ms, system.head(reader).time_ms + 1), verify)
    for transaction in candidates:
        if execution.is_full or execution.count == transactions_max:
            break
        try:
            execution.include(transaction)
        except Unacceptable:
            continue
    return execution.finish(position.last_certificate)


def execute_block(reader: StateReader, position: Position, block: Block, verify: Verifier) -> Executed:
    """What the block does. Raises `InvalidBlock` unless its header is, field by field, what executing it gives.

    The carried certificate must hold for the set that signed the parent. Whether the time is near enough to a clock
    and whether the author was the proposer is asked of a fresh proposal only, by the consensus.
    """
    header = block.header
    _check_place(reader, position, header)
    _check_last_certificate(reader, position, block, verify)
    if header.transactions_root != transactions_root(block.transactions):
        raise InvalidBlock("the header's transaction root is not that of the transactions")
    execution = _Execution(reader, position, header.time_ms, verify)
    for index, transaction in enumerate(block.transactions):
        if execution.is_full:
            raise InvalidBlock(f"more than {position.parameters.block_transactions_max} transactions")
        try:
            execution.include(transaction)
        except Unacceptable as error:
            raise InvalidBlock(f"transaction {index} may not be included: {error}") from error
    executed = execution.finish(block.last_certificate)
    found = executed.block.header
    for field, words in _RESULTS:
        if getattr(header, field) != getattr(found, field):
            raise InvalidBlock(f"the header's {words} is not what executing the block gives")
    assert found == header, "a header field is compared nowhere"
    return Executed(block, executed.receipts, executed.writes, executed.next_members)


def check_transaction(
    reader: StateReader, chain: Digest, time_ms: int, members: MemberSet, transaction: Transaction, verify: Verifier
) -> None:
    """Raises `Unacceptable` for what no block could include at `time_ms`, or what any contract would refuse unread.

    `members` is the set in force at the next height. Which quota and limit a block has left is the block's matter.
    """
    body = transaction.body
    right = _check_body(chain, time_ms, signing_right(reader, members, body.org, time_ms), transaction)
    if refusal := system.nonce_window(reader, body.org).refusal(body.nonce):
        raise Unacceptable(*refusal)
    contract = CONTRACTS.get(body.contract)
    if contract is None:
        raise Unacceptable("unknown-contract", NO_CONTRACT)
    if body.method not in contract.methods:
        raise Unacceptable("unknown-method", NO_METHOD)
    try:
        _check_signature(right, transaction, verify)
    except Unacceptable:
        if is_other_key(reader, transaction, verify):
            raise Unacceptable("other-key", f"{body.org}'s node key is changing; it signs what waits anew.") from None
        raise


def companions(reader: StateReader, transaction: Transaction) -> frozenset[OrgId] | None:
    """Whose like transactions should come into its block (`Method.companions`); None: it waits for nobody."""
    body = transaction.body
    contract = CONTRACTS.get(body.contract)
    method = None if contract is None else contract.methods.get(body.method)
    if method is None or method.companions is None:
        return None
    try:
        payload = decode(method.payload, body.payload)
    except DecodeError:
        return None
    return method.companions(View(reader, body.contract), payload)


def members_at_head(reader: StateReader) -> MemberSet:
    """The members in force at the height after the head: who votes next."""
    return system.quorums(reader).next


def run_transaction(
    state: Overlay, contracts: Mapping[str, Contract], frame: Frame, transaction: Transaction
) -> Receipt:
    """Run what the transaction asks for on a savepoint above `state`, which a refusal leaves as it was."""
    savepoint = Overlay(state)
    try:
        context = _call(savepoint, contracts, frame, transaction)
    except Rejected as refused:
        return Receipt(transaction.id, False, refused.code, refused.reason, ())
    state.take(savepoint)
    return Receipt(transaction.id, True, ACCEPTED, "", context.events)


class _Execution:
    """One block on its way: transactions go in one by one, the header and the writes come out."""

    def __init__(self, reader: StateReader, position: Position, time_ms: int, verify: Verifier) -> None:
        head = system.head(reader)
        assert position.height == head.height + 1, f"block {position.height} on a state of height {head.height}"
        self._reader = reader
        self._position = position
        self._time_ms = time_ms
        self._verify = verify
        self._overlay = Overlay(reader)
        self._next_members = begin_block(reader, self._overlay, position.height, time_ms, position.members)
        self._frame = Frame(
            chain=position.chain,
            height=position.height,
            time_ms=time_ms,
            members=position.members,
            next_members=self._next_members,
            parameters=position.parameters,
            verify=verify,
        )
        self._rights: dict[OrgId, SigningRight | None] = {}
        self._windows: dict[OrgId, NonceWindow] = {}
        self._counts: dict[OrgId, int] = {}
        self._bytes = 0
        self._transactions: list[Transaction] = []
        self._receipts: list[Receipt] = []

    @property
    def count(self) -> int:
        """How many transactions are in it."""
        return len(self._transactions)

    @property
    def is_full(self) -> bool:
        """Whether no further transaction fits by count."""
        return self.count >= self._position.parameters.block_transactions_max

    def include(self, transaction: Transaction) -> None:
        """Execute the transaction. Raises `Unacceptable`, and then nothing is changed."""
        body, limits = transaction.body, self._position.parameters
        right = _check_body(self._position.chain, self._time_ms, self._right(body.org), transaction)
        if self._counts.get(body.org, 0) >= limits.organisation_transactions_max:
            raise Unacceptable("quota", f"{body.org} has {limits.organisation_transactions_max} in this block already.")
        if self._bytes + len(transaction.encoded) > limits.block_bytes_max:
            raise Unacceptable("block-full", f"A block's transactions have at most {limits.block_bytes_max} bytes.")
        window = self._windows.get(body.org) or system.nonce_window(self._reader, body.org)
        if refusal := window.refusal(body.nonce):
            raise Unacceptable(*refusal)
        _check_signature(right, transaction, self._verify)
        self._windows[body.org] = window.using(body.nonce)
        self._counts[body.org] = self._counts.get(body.org, 0) + 1
        self._bytes += len(transaction.encoded)
        self._transactions.append(transaction)
        self._receipts.append(run_transaction(self._overlay, CONTRACTS, self._frame, transaction))

    def _right(self, org: OrgId) -> SigningRight | None:
        """As the state before this block has it, so that no order of transactions changes it."""
        if org not in self._rights:
            self._rights[org] = signing_right(self._reader, self._position.members, org, self._time_ms)
        return self._rights[org]

    def finish(self, last_certificate: Certificate | None) -> Executed:
        """The block with its header, and the writes that it makes."""
        position, overlay = self._position, self._overlay
        for org, window in self._windows.items():
            overlay.put(system.nonce_key(org), encode(window))
        overlay.put(system.HEAD_KEY, encode(Head(position.height, self._time_ms)))
        changes = overlay.changes()
        tree = updated(self._reader, changes)
        header = Header(
            version=HEADER_VERSION,
            chain=position.chain,
            height=position.height,
            time_ms=self._time_ms,
            parent=position.parent,
            last_certificate=certificate_digest(last_certificate),
            transactions_root=transactions_root(self._transactions),
            state_root=tree.root,
            receipts_root=receipts_root(self._receipts),
            members=member_set_digest(position.members),
            next_members=member_set_digest(self._next_members),
            parameters=parameters_digest(position.parameters),
            author=position.author,
        )
        block = Block(header, tuple(self._transactions), last_certificate)
        return Executed(
            block, tuple(self._receipts), Writes(tuple(changes), tree.pages, tree.crown), self._next_members
        )


_RESULTS = (
    ("receipts_root", "receipts root"),
    ("state_root", "state root"),
    ("next_members", "next member set"),
)
"""The header fields that only execution gives; the others are checked before it."""


def _call(savepoint: Overlay, contracts: Mapping[str, Contract], frame: Frame, transaction: Transaction) -> Context:
    """Run the method that the transaction names. Raises `Rejected`."""
    body = transaction.body
    contract = contracts.get(body.contract)
    if contract is None:
        raise Rejected("unknown-contract", NO_CONTRACT)
    method = contract.methods.get(body.method)
    if method is None:
        raise Rejected("unknown-method", NO_METHOD)
    try:
        payload = decode(method.payload, body.payload)
    except DecodeError as error:
        raise Rejected("bad-payload", BAD_PAYLOAD) from error
    context = Context(savepoint, contract.name, frame, org=body.org, transaction=transaction.id)
    method.run(context, payload)
    return context


def _check_body(chain: Digest, time_ms: int, right: SigningRight | None, transaction: Transaction) -> SigningRight:
    body = transaction.body
    if body.chain != chain:
        raise Unacceptable("wrong-chain", "The transaction was signed for another chain.")
    if right is None:
        raise Unacceptable("not-a-member", f"{body.org} is not a member of this network.")
    if right.limited is not None and body.contract != membership.NAME:
        raise Unacceptable(*right.limited)
    if len(transaction.encoded) > TRANSACTION_BYTES_MAX:
        raise Unacceptable("too-large", f"A transaction has at most {TRANSACTION_BYTES_MAX} bytes.")
    if body.valid_until_ms < time_ms:
        raise Unacceptable("expired", "The transaction's term is over; sign it again with a later one.")
    return right


def _check_signature(right: SigningRight, transaction: Transaction, verify: Verifier) -> None:
    body = transaction.body
    if not verify(right.key, transaction.signed, transaction.signature):
        raise Unacceptable("bad-signature", f"The signature is not that of {body.org}'s node key in force.")


def _check_place(reader: Readable, position: Position, header: Header) -> None:
    """The fields that are known before execution."""
    expected = (
        ("version", header.version, HEADER_VERSION),
        ("chain", header.chain, position.chain),
        ("height", header.height, position.height),
        ("time", header.time_ms, position.time_ms),
        ("parent", header.parent, position.parent),
        ("author", header.author, position.author),
        ("member set", header.members, member_set_digest(position.members)),
        ("parameters", header.parameters, parameters_digest(position.parameters)),
    )
    for words, found, wanted in expected:
        if found != wanted:
            raise InvalidBlock(f"the header's {words} is not the one of this place in the chain")
    if header.author not in position.members.keys:
        raise InvalidBlock(f"the author {header.author} is not a member")
    parent_time_ms = system.head(reader).time_ms
    if header.time_ms <= parent_time_ms:
        raise InvalidBlock(f"the header's time {header.time_ms} is not after its parent's, {parent_time_ms}")


def _check_last_certificate(reader: Readable, position: Position, block: Block, verify: Verifier) -> None:
    certificate = block.last_certificate
    if block.header.last_certificate != certificate_digest(certificate):
        raise InvalidBlock("the header's last certificate is not the one that the block carries")
    if (certificate is None) != (position.height == 1):
        raise InvalidBlock("every block but the first, and only they, carry the parent's certificate")
    if certificate is None:
        return
    if certificate.height != position.height - 1 or certificate.block != position.parent:
        raise InvalidBlock("the certificate that the block carries is not for its parent")
    signers = system.quorums(reader).head
    if reason := verify_certificate(position.chain, signers, certificate, VoteKind.COMMIT, verify):
        raise InvalidBlock(f"of the parent, {reason}")
