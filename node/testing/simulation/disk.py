"""What a member has on disk: its chain, its state, its vote log. Survives the member's crashes.

Implements the reading ports. The crash rules are those of the real store: a commit is whole or not there; an append
to the vote log that a crash interrupts leaves a part of its entries; `forget` is not synced and may be undone; of
the commits that are not durable yet, a crash takes some of the last.
"""

from collections.abc import Sequence
from random import Random

from node.base.ports import TransactionRecord, Writes
from node.base.types import CertifiedBlock, Digest, Genesis, Height, Receipt
from node.ledger.genesis import genesis_writes
from node.ledger.memory import MemoryState


class Disk:
    """Implements `ChainReader`; `state` implements `StateReader`."""

    def __init__(self, genesis: Genesis) -> None:
        self.state = MemoryState()
        self.state.apply(genesis_writes(genesis))
        self.votes: list[bytes] = []
        self._forgotten: list[bytes] = []
        self._blocks: list[CertifiedBlock] = []
        self._receipts: list[tuple[Receipt, ...]] = []
        self._undo: list[Writes] = []
        """What takes each commit back that is not durable, in their order."""

    def height(self) -> Height:
        """The height of the last committed block."""
        return Height(len(self._blocks))

    def block(self, height: Height) -> CertifiedBlock | None:
        """The block at `height`."""
        return self._blocks[height - 1] if 1 <= height <= len(self._blocks) else None

    def receipts(self, height: Height) -> tuple[Receipt, ...] | None:
        """The receipts of the block at `height`."""
        return self._receipts[height - 1] if 1 <= height <= len(self._receipts) else None

    def transaction(self, id_: Digest) -> TransactionRecord | None:
        """Where the transaction was included."""
        for height, receipts in enumerate(self._receipts, start=1):
            for index, receipt in enumerate(receipts):
                if receipt.transaction == id_:
                    return TransactionRecord(Height(height), index, receipt)
        return None

    @property
    def is_synced(self) -> bool:
        """Whether no crash can take a committed block."""
        return not self._undo

    def commit(self, certified: CertifiedBlock, receipts: Sequence[Receipt], writes: Writes, *, durable: bool) -> None:
        """Write a block and what it does, whole."""
        assert certified.block.header.height == self.height() + 1, "each height is written once, in order"
        if durable:
            self.sync()
        else:
            before = tuple((key, self.state.get(key)) for key, _ in writes.state)
            self._undo.append(Writes(before, tuple((path, self.state.node(path)) for path, _ in writes.nodes)))
        self._blocks.append(certified)
        self._receipts.append(tuple(receipts))
        self.state.apply(writes)

    def sync(self) -> None:
        """Make all commits durable."""
        self._undo = []

    def append(self, entries: Sequence[bytes]) -> None:
        """Write and sync entries of the vote log."""
        self._forgotten = []
        self.votes.extend(entries)

    def forget(self) -> None:
        """Drop the vote log, for now without a sync."""
        self._forgotten, self.votes = self.votes, []

    def crash(self, rng: Random) -> None:
        """The power goes: what was not synced may or may not have happened."""
        if self._forgotten and rng.random() < 0.5:
            self.votes = self._forgotten + self.votes
        self._forgotten = []
        for _ in range(rng.randint(0, len(self._undo))):
            self.state.apply(self._undo.pop())
            self._blocks.pop()
            self._receipts.pop()
        self._undo = []
