"""Makes a whole block of a proposal: its header, and the bodies of the transactions that it names.

An id does not cover the signature, so bodies that were collected can still be others than the header's root
covers; they are then asked for anew.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from node.base.types import Block, Digest, OrgId, Proposal, Transaction, transactions_root

ATTEMPTS_MAX = 3
"""How often bodies under a wrong root are dropped and fetched anew."""


@dataclass(slots=True)
class _Wanted:
    proposal: Proposal
    missing: dict[Digest, None] = field(default_factory=dict)
    """Ids, in the proposal's order."""
    bodies: dict[Digest, Transaction] = field(default_factory=dict)
    attempts: int = 0


class Assembly:
    """One proposal at a time: the last one given."""

    def __init__(self, find: Callable[[Digest], Transaction | None], transactions_max: int) -> None:
        """`find` knows the transactions that are held already."""
        self._find = find
        self._transactions_max = transactions_max
        self._wanted: _Wanted | None = None

    @property
    def proposer(self) -> OrgId | None:
        """Who proposed what is being assembled."""
        return None if self._wanted is None else self._wanted.proposal.org

    @property
    def missing(self) -> tuple[Digest, ...]:
        """The ids whose bodies are still to be fetched."""
        return () if self._wanted is None else tuple(self._wanted.missing)

    def begin(self, proposal: Proposal) -> str | None:
        """Start with a proposal; returns why it cannot be a block, if so."""
        self._wanted = None
        if len(proposal.transactions) > self._transactions_max:
            return f"names {len(proposal.transactions)} transactions, {self._transactions_max} at most fit a block"
        if len(set(proposal.transactions)) < len(proposal.transactions):
            return "names a transaction twice"
        self._wanted = _Wanted(proposal)
        for id_ in proposal.transactions:
            held = self._find(id_)
            if held is not None:
                self._wanted.bodies[id_] = held
            else:
                self._wanted.missing[id_] = None
        return None

    def add(self, transactions: Iterable[Transaction]) -> bool:
        """Take fetched bodies; whether any was missing."""
        wanted = self._wanted
        if wanted is None or not wanted.missing:
            return False
        before = len(wanted.missing)
        for transaction in transactions:
            if transaction.id in wanted.missing:
                del wanted.missing[transaction.id]
                wanted.bodies[transaction.id] = transaction
        return len(wanted.missing) < before

    def find(self, id_: Digest) -> Transaction | None:
        """A body that was collected."""
        return None if self._wanted is None else self._wanted.bodies.get(id_)

    def finish(self) -> Block | None:
        """The block when it is whole; None while bodies are missing, also after wrong ones were dropped."""
        wanted = self._wanted
        if wanted is None or wanted.missing:
            return None
        bodies = tuple(wanted.bodies[id_] for id_ in wanted.proposal.transactions)
        header = wanted.proposal.header
        if transactions_root(bodies) == header.transactions_root:
            self._wanted = None
            return Block(header, bodies, wanted.proposal.last_certificate)
        wanted.attempts += 1
        wanted.bodies.clear()
        wanted.missing = dict.fromkeys(wanted.proposal.transactions)
        if wanted.attempts >= ATTEMPTS_MAX or not bodies:
            self._wanted = None
        return None

    def drop(self) -> None:
        """The height is over."""
        self._wanted = None
