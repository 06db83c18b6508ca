"""A chain in memory whose members come and go: blocks of membership calls, certified by the set in force.

::

    society = Society(["ada", "bob", "cid", "dot"])
    society.pass_motion(Admit(society.card("eve")))
    society.call("eve", "ready", society.root())
    society.blocks(1)
    assert "eve" in society.members.keys
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from node.base.codec import encode
from node.base.crypto import digest
from node.base.ports import Signer
from node.base.types import (
    Card,
    CardBody,
    Certificate,
    CertifiedBlock,
    Digest,
    Height,
    MemberSet,
    OrgId,
    Parameters,
    PublicKey,
    Receipt,
    Signature,
    SignedBy,
    Transaction,
    TransactionBody,
    VoteKind,
    card_signing_bytes,
    endorsement_signing_bytes,
    transaction_signing_bytes,
    vote_signing_bytes,
)
from node.ledger.apply import Executed, Position, build_block, execute_block
from node.ledger.contracts import membership
from node.ledger.contracts.contract import View, view
from node.ledger.contracts.membership import Motion, Ready, Standing, Support
from node.ledger.genesis import genesis_writes
from node.ledger.memory import MemoryState
from node.ledger.system import quorums
from node.ledger.tree import state_root
from node.testing.founding import GENESIS_TIME_MS, TLS_UNTIL_MS, Founding
from node.testing.signing import HashSigner, verify_hash


class Society:
    """Organisations with keys that follow from their names, on one chain that grows by a block per call."""

    def __init__(self, orgs: Sequence[str], parameters: Parameters | None = None) -> None:
        self.founding = Founding(orgs, parameters=parameters)
        self.state = MemoryState()
        self.state.apply(genesis_writes(self.founding.genesis))
        self.time_ms = GENESIS_TIME_MS
        self.certified: list[CertifiedBlock] = []
        self.executed: list[Executed] = []
        self.organisation: dict[OrgId, Signer] = dict(self.founding.organisation_signers)
        self.node: dict[OrgId, Signer] = dict(self.founding.node_signers)
        """What each organisation signs transactions with; a test may put another."""
        self._by_key: dict[PublicKey, Signer] = {PublicKey(s.public_key): s for s in self.node.values()}
        self._nonces: dict[OrgId, int] = {}
        self._roots = [state_root(self.state)]

    @property
    def height(self) -> Height:
        """The height of the last block."""
        return Height(len(self.certified))

    @property
    def members(self) -> MemberSet:
        """In force at the next height."""
        return quorums(self.state).next

    @property
    def view(self) -> View:
        """The membership contract's part of the state."""
        return view(self.state, membership.NAME)

    def standing(self, org: str) -> Standing | None:
        """The organisation's standing after the last block."""
        return membership.standing_of(self.view, OrgId(org))

    def node_signer(self, org: str, generation: int = 1) -> Signer:
        """One of the organisation's node keys; those of newer cards have higher numbers."""
        if generation == 1 and OrgId(org) in self.founding.node_signers:
            return self.founding.node_signers[OrgId(org)]
        made = HashSigner(digest("node", org.encode(), bytes((generation,))))
        return self._by_key.setdefault(PublicKey(made.public_key), made)

    def card(self, org: str, sequence: int = 1, *, signer: Signer | None = None, **changes: Any) -> Card:
        """A card signed by the organisation's key, or by `signer`; a newer one has a new node key."""
        root = self.organisation.setdefault(OrgId(org), HashSigner(digest("organisation", org.encode())))
        node = self.node_signer(org, sequence)
        self.node.setdefault(OrgId(org), node)
        body = CardBody(
            org=OrgId(org),
            sequence=sequence,
            organisation_key=PublicKey(root.public_key),
            node_key=PublicKey(node.public_key),
            data_key=PublicKey(digest("data", org.encode())),
            tls_certificate=b"certificate of " + org.encode(),
            tls_until_ms=TLS_UNTIL_MS,
            addresses=(),
        )
        body = replace(body, **changes)
        return Card(body, Signature((signer or root).sign(card_signing_bytes(body))))

    def endorsement(self, card: Card, signer: Signer) -> Signature:
        """`signer`'s word that the card may follow its own."""
        return Signature(signer.sign(endorsement_signing_bytes(card.body)))

    def root(self, back: int = 0) -> Ready:
        """What a candidate signs `ready` for that has executed all but the last `back` blocks."""
        height = self.height - back
        return Ready(Height(height), self._roots[height])

    def sign(self, org: str, method: str, payload: Any, *, contract: str = membership.NAME) -> Transaction:
        """The organisation's next transaction; `payload` is bytes or what the codec makes bytes of."""
        nonce = self._nonces.get(OrgId(org), -1) + 1
        self._nonces[OrgId(org)] = nonce
        data = payload if isinstance(payload, bytes) else encode(payload)
        body = TransactionBody(self.founding.chain, OrgId(org), nonce, 1 << 50, contract, method, data)
        return Transaction(body, Signature(self.node[OrgId(org)].sign(transaction_signing_bytes(body))))

    def call(self, org: str, method: str, payload: Any, *, contract: str = membership.NAME) -> Receipt:
        """One call in a block of its own. Raises `AssertionError` when no block may carry it."""
        executed = self.extend(self.sign(org, method, payload, contract=contract))
        assert executed.receipts, f"no block may carry {org}'s {method}"
        return executed.receipts[0]

    def pass_motion(self, motion: Motion) -> Receipt:
        """A quorum of the members in force supports the motion, in one block; the last one's receipt."""
        voters = self.members.orgs[: self.members.quorum]
        executed = self.extend(*(self.sign(org, "support", Support(motion)) for org in voters))
        return executed.receipts[-1]

    def join(self, org: str, sequence: int = 1) -> None:
        """Admit the organisation, let it be ready, and bring it into force."""
        self.node[OrgId(org)] = self.node_signer(org, sequence)
        assert self.pass_motion(membership.Admit(self.card(org, sequence))).accepted
        assert self.call(org, "ready", self.root()).accepted
        self.blocks(1)

    def blocks(self, count: int) -> None:
        """Empty blocks."""
        for _ in range(count):
            self.extend()

    def extend(self, *transactions: Transaction) -> Executed:
        """The next block of what can be included: built, checked as a peer would, certified, written."""
        self.time_ms += 1_000
        position = self.position()
        built = build_block(self.state, position, transactions, verify_hash)
        executed = execute_block(self.state, position, built.block, verify_hash)
        block = executed.block
        certificate = self.certificate(block.digest, position.height, position.members)
        self.state.apply(executed.writes)
        self.certified.append(CertifiedBlock(block, certificate))
        self.executed.append(executed)
        self._roots.append(block.header.state_root)
        return executed

    def position(self) -> Position:
        """Where the next block stands."""
        last = self.certified[-1] if self.certified else None
        height = Height(self.height + 1)
        return Position(
            chain=self.founding.chain,
            height=height,
            time_ms=self.time_ms,
            parent=self.founding.chain if last is None else last.block.digest,
            last_certificate=None if last is None else last.certificate,
            author=self.members.proposer(height, 0),
            members=self.members,
            parameters=self.founding.body.parameters,
        )

    def certificate(self, block: Digest, height: int, members: MemberSet) -> Certificate:
        """Commits of a quorum, with the keys in force."""
        message = vote_signing_bytes(self.founding.chain, VoteKind.COMMIT, height, 0, block)
        signed = [
            SignedBy(org, Signature(self._by_key[members.keys[org]].sign(message)))
            for org in members.orgs[: members.quorum]
        ]
        return Certificate(Height(height), 0, block, tuple(signed))
