"""What a member has on disk: its chain, its state, its vote log. Survives the member's crashes.

Implements the reading ports. What a crash leaves follows the promises of the ports and not those of one file system:
a commit is whole or not there; of an append to the vote log that a crash interrupts any first part of its entries is
there; of the commits that are not durable yet, a crash takes some of the last. A wipe takes the vote log, or all.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random

from node.base.ports import Silence, TransactionRecord, Writes
from node.base.types import GENESIS_HEIGHT, CertifiedBlock, CertifiedHeader, Digest, Genesis, Height, Receipt
from node.ledger.genesis import genesis_writes
from node.ledger.memory import MemoryState
from node.testing.simulation.founding import FOUNDED_MAX

# Every member of every run of one size begins with the same.
_genesis_writes = lru_cache(maxsize=FOUNDED_MAX)(genesis_writes)


class Disk:
    """Implements `ChainReader`; `state` implements `StateReader`."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self.votes: list[bytes] = []
        """Entries of the highest height that was signed."""
        self._signed = GENESIS_HEIGHT
        self._silence: Silence | None = Silence()
        self._begin()

    def _begin(self) -> None:
        self.state = MemoryState()
        self.state.apply(_genesis_writes(self._genesis))
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
            pages = tuple((number, self.state.page(number)) for number, _ in writes.pages)
            crown = tuple((at, self.state.crown.counts[at], self.state.crown.digest(at)) for at, _, _ in writes.crown)
            self._undo.append(Writes(before, pages, crown))
        self._blocks.append(certified)
        self._receipts.append(tuple(receipts))
        for index, receipt in enumerate(receipts):
            assert receipt.transaction not in self._places, "each transaction is written once"
            self._places[receipt.transaction] = TransactionRecord(height, index, receipt)
        self.state.apply(writes)

    def sync(self) -> None:
        """Make all commits durable."""
        self._undo = []

    @property
    def silence(self) -> Silence | None:
        """As the port `VoteLog` says; None when the vote log was wiped."""
        kept = self._silence
        return None if kept is None else replace(kept, until=max(kept.until, self._signed))

    def append(self, height: Height, entries: Sequence[bytes]) -> None:
        """Write and sync entries of the vote log."""
        assert self._silence is not None, "a member whose vote log is missing signs nothing"
        assert height >= self._signed, "heights never go down"
        if height > self._signed:
            self._signed, self.votes = height, []
        self.votes.extend(entries)

    def keep_silent(self, silence: Silence) -> None:
        """Write the silence; entries of heights from its end on stay."""
        self._silence = silence
        if self._signed < silence.until:
            self._signed, self.votes = GENESIS_HEIGHT, []

    def crash(self, rng: Random) -> bool:
        """The power goes: what was not synced may or may not have happened. Whether something of it was lost."""
        lost = False
        for _ in range(rng.randint(0, len(self._undo))):
            lost = True
            self.state.apply(self._undo.pop())
            self._blocks.pop()
            for receipt in self._receipts.pop():
                del self._places[receipt.transaction]
        self._undo = []
        return lost

    def wipe_votes(self) -> None:
        """The vote log is lost."""
        self._silence, self._signed, self.votes = None, GENESIS_HEIGHT, []

    def wipe(self) -> None:
        """Everything but keys, card and genesis is lost."""
        self.wipe_votes()
        self.wipe_ledger()

    def wipe_ledger(self) -> None:
        """Chain and state are lost; the vote log is not."""
        self._begin()
