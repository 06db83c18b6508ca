"""Transactions on their way out: to whom, and how many in one message.

Up to `DIRECT_MEMBERS_MAX` members, the organisation that made a transaction sends it to all. Above that it goes down a
tree with that organisation as its root: whoever gets it for the first time passes it on to its own few, so a body
reaches each member once, in a few hops. Each organisation has another tree, so the work is spread. Members that see
other links may draw it differently for a moment; the ids that a proposal names repair what is lost by that.

On a quiet network a transaction leaves at once; under load those of a few milliseconds share a message.
"""

from collections.abc import Iterable

from node.base.crypto import digest
from node.base.types import OrgId, Transaction, Transactions

DIRECT_MEMBERS_MAX = 8
TREE_FANOUT = 6
GATHER_MS = 8
"""A message follows the one before it after at least this long."""
BATCH_TRANSACTIONS_MAX = 256
BATCH_BYTES_MAX = 128 << 10
"""What is carried at most in one message; one transaction may be nearly as large."""

Audience = tuple[OrgId, ...]


class Outbox:
    """Gathers transactions by audience. Holds no more than the mempool takes in `GATHER_MS`."""

    def __init__(self, org: OrgId) -> None:
        self._org = org
        self._links: frozenset[OrgId] = frozenset()
        self._audiences: dict[OrgId, Audience] = {}
        self._waiting: dict[Audience, list[Transaction]] = {}
        self._due_ms: int | None = None
        self._sent_ms: int | None = None

    @property
    def wake_at(self) -> int | None:
        """When `take` has something to give."""
        return self._due_ms

    def relink(self, links: Iterable[OrgId]) -> None:
        """These peers can be reached now."""
        self._links = frozenset(links)
        self._audiences.clear()

    def add(self, transaction: Transaction, now_ms: int) -> None:
        """Have a transaction that is new here sent to those who get it from this member."""
        root = transaction.body.org
        audience = self._audiences.get(root)
        if audience is None:
            audience = self._audiences[root] = self._audience(root)
        if not audience:
            return
        self._waiting.setdefault(audience, []).append(transaction)
        if self._due_ms is None:
            self._due_ms = now_ms if self._sent_ms is None else max(now_ms, self._sent_ms + GATHER_MS)

    def take(self, now_ms: int) -> list[tuple[Audience, tuple[Transaction, ...]]]:
        """What is due, in messages."""
        if self._due_ms is None or now_ms < self._due_ms:
            return []
        self._sent_ms, self._due_ms = now_ms, None
        waiting, self._waiting = self._waiting, {}
        return [(audience, batch) for audience, rows in waiting.items() for batch in batches(rows)]

    def _audience(self, root: OrgId) -> Audience:
        """Who gets a transaction of `root` from this member."""
        if len(self._links) < DIRECT_MEMBERS_MAX:
            return tuple(sorted(self._links)) if root == self._org else ()
        others = (self._links | {self._org}) - {root}
        order = sorted(others, key=lambda org: digest("lepton/tree", f"{root} {org}".encode()))
        place = 0 if root == self._org else order.index(self._org) + 1
        return tuple(order[place * TREE_FANOUT : (place + 1) * TREE_FANOUT])


def message_of(batch: Iterable[Transaction]) -> Transactions:
    """What carries these."""
    return Transactions(tuple(transaction.encoded for transaction in batch))


def batches(transactions: list[Transaction]) -> list[tuple[Transaction, ...]]:
    """The same transactions, in order, in runs that fit a message."""
    found: list[tuple[Transaction, ...]] = []
    start = size = 0
    for index, transaction in enumerate(transactions):
        length = len(transaction.encoded)
        if index > start and (size + length > BATCH_BYTES_MAX or index - start >= BATCH_TRANSACTIONS_MAX):
            found.append(tuple(transactions[start:index]))
            start, size = index, 0
        size += length
    if start < len(transactions):
        found.append(tuple(transactions[start:]))
    return found
