"""What must hold at every moment of a simulation, whatever the faults."""

from typing import Any

from node.base.codec import decode
from node.base.ports import Verifier
from node.base.types import (
    CertifiedBlock,
    Digest,
    Genesis,
    OrgId,
    PeerMessage,
    Proposal,
    RoundChange,
    Transaction,
    Vote,
    VoteKind,
)
from node.core.consensus.pen import kind_of
from node.ledger.certificates import verify_certificate
from node.ledger.genesis import genesis_members
from node.ledger.tree import state_root
from node.testing.simulation.disk import Disk

_MESSAGE: Any = PeerMessage


class Broken(AssertionError):
    """A rule that must always hold does not."""


def require(holds: bool, words: str) -> None:
    """Raises `Broken` with the words unless it holds."""
    if not holds:
        raise Broken(words)


class Checkers:
    """Sees every vote, every send and every commit of all members."""

    def __init__(self, chain: Digest, genesis: Genesis, verify: Verifier) -> None:
        self._chain = chain
        self._members = genesis_members(genesis)
        self._verify = verify
        self.traitor: OrgId | None = None
        """The member that keeps no rule; the others must keep all of them all the same."""
        self.decided: dict[int, Digest] = {}
        self.included: dict[Digest, int] = {}
        self.submitted: dict[Digest, Transaction] = {}
        self._signed: dict[tuple[OrgId, VoteKind, int, int], bytes] = {}
        self._persisted: set[tuple[OrgId, bytes]] = set()

    def persisted(self, org: OrgId, entry: bytes) -> None:
        """An entry is in the member's vote log, synced."""
        if org == self.traitor:
            return
        message = decode(_MESSAGE, entry)
        if isinstance(message, Proposal | Vote | RoundChange):
            self._check_signed(org, message, entry)
        self._persisted.add((org, entry))

    def sent(self, org: OrgId, data: bytes) -> None:
        """A member sends a message."""
        if org == self.traitor:
            return
        message = decode(_MESSAGE, data)
        if not isinstance(message, Proposal | Vote | RoundChange):
            return
        require(message.org == org, f"{org} sends a message signed by {message.org}")
        require((org, data) in self._persisted, f"{org} sends {kind_of(message).name} before it is on its disk")

    def _check_signed(self, org: OrgId, message: Proposal | Vote | RoundChange, entry: bytes) -> None:
        height = message.header.height if isinstance(message, Proposal) else message.height
        key = (org, kind_of(message), height, message.round)
        known = self._signed.setdefault(key, entry)
        require(known == entry, f"{org} signed two {key[1].name} messages at height {height} round {message.round}")

    def committed(self, org: OrgId, certified: CertifiedBlock, disk: Disk) -> None:
        """A member has written a block."""
        header, certificate = certified.block.header, certified.certificate
        height = header.height
        digest = self.decided.setdefault(height, certified.block.digest)
        require(digest == certified.block.digest, f"{org} decides another block at height {height} than others did")
        require(certificate.height == height and certificate.block == digest, "a certificate is for its block")
        reason = verify_certificate(self._chain, self._members, certificate, VoteKind.COMMIT, self._verify)
        require(reason is None, f"{org} commits height {height} without a certificate: {reason}")
        root = state_root(disk.state.node)
        require(root == header.state_root, f"the state of {org} after height {height} is not the header's")
        for transaction in certified.block.transactions:
            require(transaction.id in self.submitted, f"nobody submitted a transaction of height {height}")
            first = self.included.setdefault(transaction.id, height)
            require(first == height, f"a transaction of height {first} is included again at height {height}")
