"""Networks for tests: N organisations with keys, cards and a genesis that all of them signed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256

from node.base.crypto import Ed25519Signer, verify
from node.base.ports import Signer, Verifier
from node.base.types import (
    Card,
    CardBody,
    Digest,
    Genesis,
    GenesisBody,
    OrgId,
    Parameters,
    PublicKey,
    Signature,
    Transaction,
    TransactionBody,
    card_signing_bytes,
    chain_id,
    genesis_signing_bytes,
    transaction_signing_bytes,
)
from node.testing.signing import HashSigner, verify_hash

TLS_UNTIL_MS = 1 << 45
START_MS = 1_750_000_000_000
"""The wall time at which simulated networks are founded."""


FOUNDED_MAX = 16
"""Networks that are kept: each size, with hashed and with real signatures."""


@dataclass(frozen=True, slots=True)
class Founded:
    """A genesis with the node keys of its members."""

    genesis: Genesis
    signers: dict[OrgId, Signer]
    """The founders', and that of one who may apply."""
    applicant: Card
    """Of an organisation that is no founder."""
    verify: Verifier
    roots: dict[OrgId, Signer]
    """The organisation keys."""
    next_signers: dict[OrgId, Signer]
    """The node keys after a rotation."""

    @property
    def chain(self) -> Digest:
        """The chain's name."""
        return chain_id(self.genesis.body)

    @property
    def orgs(self) -> tuple[OrgId, ...]:
        """The founders, ascending."""
        return tuple(card.body.org for card in self.genesis.body.cards)

    def transaction(
        self,
        org: OrgId,
        nonce: int,
        contract: str,
        method: str,
        payload: bytes,
        valid_until_ms: int,
        *,
        rotated: bool = False,
    ) -> Transaction:
        """A transaction signed by the organisation's node key, or by the one that it has after a rotation."""
        body = TransactionBody(self.chain, org, nonce, valid_until_ms, contract, method, payload)
        signer = (self.next_signers if rotated else self.signers)[org]
        return Transaction(body, Signature(signer.sign(transaction_signing_bytes(body))))

    def rotated_card(self, org: OrgId) -> Card:
        """The organisation's second card, with its next node key."""
        first = next(card.body for card in self.genesis.body.cards if card.body.org == org)
        body = replace(first, sequence=2, node_key=PublicKey(self.next_signers[org].public_key))
        return Card(body, Signature(self.roots[org].sign(card_signing_bytes(body))))

    def forged_card(self, org: OrgId, thief: OrgId) -> Card:
        """The same card, signed by another organisation."""
        body = self.rotated_card(org).body
        return Card(body, Signature(self.roots[thief].sign(card_signing_bytes(body))))


@lru_cache(maxsize=FOUNDED_MAX)
def found(
    members: int, parameters: Parameters | None = None, *, name: str = "simulated", real_signatures: bool = False
) -> Founded:
    """A network of `m000`, `m001`, ... Keys follow from the name, so that each call gives the same."""
    make: Callable[[bytes], Signer] = Ed25519Signer if real_signatures else HashSigner
    check = verify if real_signatures else verify_hash
    orgs = [OrgId(f"m{index:03}") for index in range(members + 1)]
    signers = {org: make(_seed(name, org, "node")) for org in orgs}
    roots = {org: make(_seed(name, org, "organisation")) for org in orgs}
    cards = []
    for org in orgs:
        body = CardBody(
            org,
            1,
            PublicKey(roots[org].public_key),
            PublicKey(signers[org].public_key),
            PublicKey(_seed(name, org, "data")),
            _seed(name, org, "certificate"),
            TLS_UNTIL_MS,
            (),
        )
        cards.append(Card(body, Signature(roots[org].sign(card_signing_bytes(body)))))
    founding = GenesisBody(name, START_MS, tuple(cards[:-1]), parameters or Parameters())
    signatures = tuple(Signature(roots[org].sign(genesis_signing_bytes(founding))) for org in orgs[:-1])
    following = {org: make(_seed(name, org, "next node")) for org in orgs}
    return Founded(Genesis(founding, signatures), signers, cards[-1], check, roots, following)


def _seed(name: str, org: OrgId, purpose: str) -> bytes:
    return sha256(f"{name} {org} {purpose}".encode()).digest()
