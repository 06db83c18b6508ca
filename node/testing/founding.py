"""A founded network without daemons: its genesis, its keys, and a chain of blocks that grows by one call."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from node.base.codec import encode
from node.base.crypto import digest
from node.base.ports import Signer, Verifier
from node.base.types import (
    Block,
    Card,
    CardBody,
    Certificate,
    CertifiedBlock,
    Digest,
    Genesis,
    GenesisBody,
    Height,
    OrgId,
    Parameters,
    PublicKey,
    Signature,
    SignedBy,
    Transaction,
    TransactionBody,
    VoteKind,
    card_signing_bytes,
    chain_id,
    genesis_signing_bytes,
    transaction_signing_bytes,
    vote_signing_bytes,
)
from node.ledger.apply import Executed, Position, build_block, members_at_head
from node.ledger.genesis import genesis_members, genesis_writes
from node.ledger.memory import MemoryState
from node.testing.signing import HashSigner, verify_hash

GENESIS_TIME_MS = 1_000_000
TLS_UNTIL_MS = 1 << 45


class Founding:
    """The founders' keys, which follow from their names, and the genesis that they signed."""

    def __init__(
        self,
        orgs: Sequence[str] = ("ada", "bob", "cid", "dot"),
        *,
        name: str = "test",
        parameters: Parameters | None = None,
        signer: Callable[[bytes], Signer] = HashSigner,
        verify: Verifier = verify_hash,
        tls_certificate: Callable[[OrgId], bytes] = lambda org: b"certificate of " + org.encode(),
    ) -> None:
        """`signer` makes a signer of 32 bytes; `verify` checks what it signs.

        `tls_certificate` gives an organisation's: a real one where its card is to be read from a file.
        """
        self._tls_certificate = tls_certificate
        self.verify = verify
        self.organisation_signers = {OrgId(org): signer(digest("organisation", org.encode())) for org in sorted(orgs)}
        self.node_signers = {OrgId(org): signer(digest("node", org.encode())) for org in sorted(orgs)}
        cards = tuple(self.card(org) for org in self.node_signers)
        self.body = GenesisBody(name, GENESIS_TIME_MS, cards, parameters or Parameters())
        message = genesis_signing_bytes(self.body)
        self.genesis = Genesis(
            self.body, tuple(Signature(signer.sign(message)) for signer in self.organisation_signers.values())
        )
        self.chain = chain_id(self.body)
        self.members = genesis_members(self.genesis)

    def card(self, org: OrgId) -> Card:
        """The founder's card."""
        body = CardBody(
            org=org,
            sequence=1,
            organisation_key=PublicKey(self.organisation_signers[org].public_key),
            node_key=PublicKey(self.node_signers[org].public_key),
            data_key=PublicKey(digest("data", org.encode())),
            tls_certificate=self._tls_certificate(org),
            tls_until_ms=TLS_UNTIL_MS,
            addresses=(),
        )
        return Card(body, Signature(self.organisation_signers[org].sign(card_signing_bytes(body))))

    def transaction(
        self, org: str, nonce: int, contract: str, method: str, payload: Any = b"", *, valid_until_ms: int = 1 << 45
    ) -> Transaction:
        """A signed transaction; `payload` is bytes or what the codec makes bytes of."""
        body = TransactionBody(
            chain=self.chain,
            org=OrgId(org),
            nonce=nonce,
            valid_until_ms=valid_until_ms,
            contract=contract,
            method=method,
            payload=payload if isinstance(payload, bytes) else encode(payload),
        )
        return Transaction(body, Signature(self.node_signers[OrgId(org)].sign(transaction_signing_bytes(body))))

    def certificate(
        self,
        block: Digest,
        height: int,
        *,
        orgs: Iterable[str] | None = None,
        round_: int = 0,
        kind: VoteKind = VoteKind.COMMIT,
    ) -> Certificate:
        """Votes of `orgs` (a quorum by default) for the block."""
        signers = sorted(orgs) if orgs is not None else list(self.members.orgs[: self.members.quorum])
        message = vote_signing_bytes(self.chain, kind, height, round_, block)
        signatures = tuple(
            SignedBy(OrgId(org), Signature(self.node_signers[OrgId(org)].sign(message))) for org in signers
        )
        return Certificate(Height(height), round_, block, signatures)


class MemoryChain:
    """A chain of certified blocks in memory, each executed on the state before it."""

    def __init__(self, founding: Founding) -> None:
        self.founding = founding
        self.state = MemoryState()
        self.state.apply(genesis_writes(founding.genesis))
        self.certified: list[CertifiedBlock] = []
        self.executed: list[Executed] = []

    @property
    def height(self) -> int:
        """The height of the last block."""
        return len(self.certified)

    def position(self, time_ms: int | None = None) -> Position:
        """Where the next block stands; a second after the last one by default."""
        height = self.height + 1
        last = self.certified[-1] if self.certified else None
        return Position(
            chain=self.founding.chain,
            height=Height(height),
            time_ms=GENESIS_TIME_MS + 1_000 * height if time_ms is None else time_ms,
            parent=self.founding.chain if last is None else last.block.digest,
            last_certificate=None if last is None else last.certificate,
            author=members_at_head(self.state).proposer(height, 0),
            members=members_at_head(self.state),
            parameters=self.founding.body.parameters,
        )

    def build(self, *transactions: Transaction) -> Executed:
        """The next block, not yet part of the chain."""
        return build_block(self.state, self.position(), transactions, self.founding.verify)

    def extend(self, *transactions: Transaction) -> Executed:
        """Build the next block of what can be included, certify it, and make its writes."""
        executed = self.build(*transactions)
        self.take(executed)
        return executed

    def take(self, executed: Executed) -> CertifiedBlock:
        """Certify a block and make its writes."""
        block: Block = executed.block
        certified = CertifiedBlock(block, self.founding.certificate(block.digest, block.header.height))
        self.state.apply(executed.writes)
        self.certified.append(certified)
        self.executed.append(executed)
        return certified
