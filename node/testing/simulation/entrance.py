"""Who may come into the member set, by a word of its own: a quorum's motions and a true `ready`, as blocks show them.

Counts what transactions said and receipts accepted; it asks neither the contract nor the state.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from node.base.types import CertifiedBlock, Digest, MemberSet, OrgId, Receipt, Transaction
from node.ledger.contracts import membership
from node.ledger.contracts.membership.types import Admit, Ready, Support, Withdraw
from node.testing.simulation.oracle import quorum


class Entrance:
    """Sees each block once."""

    def __init__(self, read: Callable[[Any, bytes], Any]) -> None:
        """`read` is the codec's `decode`, or what gives the same."""
        self.ready: set[OrgId] = set()
        """Who was admitted and then showed a true state."""
        self._read = read
        self._supporters: dict[Digest, set[OrgId]] = defaultdict(set)
        self._admitted: set[OrgId] = set()
        self._roots: dict[int, Digest] = {}

    def see(self, certified: CertifiedBlock, receipts: Sequence[Receipt], members: MemberSet) -> None:
        """A block, and the set in force at its height."""
        header = certified.block.header
        if header.height in self._roots:
            return
        for transaction, receipt in zip(certified.block.transactions, receipts, strict=True):
            if receipt.accepted and transaction.body.contract == membership.NAME:
                self._hear(transaction, members)
        self._roots[header.height] = header.state_root

    def forget(self, org: OrgId) -> None:
        """It is in: to come again it must be admitted again."""
        self.ready.discard(org)
        self._admitted.discard(org)

    def _hear(self, transaction: Transaction, members: MemberSet) -> None:
        org, payload = transaction.body.org, transaction.body.payload
        match transaction.body.method:
            case "support":
                motion = self._read(Support, payload).motion
                if isinstance(motion, Admit):
                    id_ = membership.motion_id(motion)
                    self._supporters[id_].add(org)
                    if len(self._supporters[id_] & set(members.keys)) >= quorum(len(members.members)):
                        del self._supporters[id_]
                        self._admitted.add(motion.card.body.org)
            case "withdraw":
                self._supporters[self._read(Withdraw, payload).motion].discard(org)
            case "ready":
                said = self._read(Ready, payload)
                if org in self._admitted and self._roots.get(said.height) == said.state_root:
                    self.ready.add(org)
