"""What a member has on disk: its chain, its state, its vote log. Survives the member's crashes.

Implements the reading ports. What a crash leaves follows the promises of the ports and not those of one file system:
a commit is whole or not there; of an append to the vote log that a crash interrupts any first part of its entries is
there; `forget` is not synced, so that a crash before the next append may undo it; of the commits that are not durable
yet, a crash takes some of the last.
"""

from collections.abc import Sequence
from random import Random

from node.base.ports import TransactionRecord, Writes
from node.base.types import CertifiedBlock, CertifiedHeader, Digest, Genesis, Height, Receipt
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
        self._places: dict[Digest, TransactionRecord] = {}

    def height(self) -> Height:
        """The height of the last committed block."""
        return Height(len(self._blocks))

    def block(self, height: Height) -> CertifiedBlock | None:
        """The block at `height`."""
        return self._blocks[height - 1] if 1 <= height <= len(self._blocks) else None

    def base(self) -> Height:
        """The lowest block that is kept."""
        return Height(1)

    def certified_header(self, height: Height) -> CertifiedHeader | None:
        """The header at `height`."""
        found = self.block(height)
        return None if found is None else CertifiedHeader(found.block.header, found.certificate)

    def receipts(self, height: Height) -> tuple[Receipt, ...] | None:
        """The receipts of the block at `height`."""
        return self._receipts[height - 1] if 1 <= height <= len(self._receipts) else None

    def transaction(self, id_: Digest) -> TransactionRecord | None:
        """Where the transaction was included."""
        return self._places.get(id_)

    @property
    def is_synced(self) -> bool:
        """Whether no crash can take a committed block."""
        return not self._undo

    def commit(self, certified: CertifiedBlock, receipts: Sequence[Receipt], writes: Writes, *, durable: bool) -> None:
        """Write a block and what it does, whole."""
        height = certified.block.header.height
        assert height == self.height() + 1, "each height is written once, in order"
        if durable:
            self.sync()
        else:
            before = tuple((key, self.state.get(key)) for key, _ in writes.state)
            self._undo.append(Writes(before, tuple((path, self.state.node(path)) for path, _ in writes.nodes)))
        self._blocks.append(certified)
        self._receipts.append(tuple(receipts))
        for index, receipt in enumerate(receipts):
            assert receipt.transaction not in self._places, "each transaction is written once"
            self._places[receipt.transaction] = TransactionRecord(height, index, receipt)
        self.state.apply(writes)

    def sync(self) -> None:
        """Make all commits durable."""
        self._undo = []

    def append(self, entries: Sequence[bytes]) -> None:
        """Write and sync entries of the vote log; what was forgotten before is now gone for good."""
        self._forgotten = []
        self.votes.extend(entries)

    def forget(self) -> None:
        """Drop the vote log, for now without a sync."""
        self._forgotten, self.votes = [*self._forgotten, *self.votes], []

    def crash(self, rng: Random) -> bool:
        """The power goes: what was not synced may or may not have happened. Whether something of it was lost."""
        lost = bool(self._forgotten) and rng.random() < 0.5
        if lost:
            self.votes = self._forgotten + self.votes
        self._forgotten = []
        for _ in range(rng.randint(0, len(self._undo))):
            lost = True
            self.state.apply(self._undo.pop())
            self._blocks.pop()
            for receipt in self._receipts.pop():
                del self._places[receipt.transaction]
        self._undo = []
        return lost
