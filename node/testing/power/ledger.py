"""The life of one member's ledger on a recorded disk, and what must be true of it after any crash.

The store is the production's. `Life` commits blocks as agreement does (each synced) and as catching up does (rows that
share one sync), closes and opens it, and grows it until SQLite moves its log into the database. Every promise that the
store gave goes into the journal as a `Promise`.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from node.base.crypto import digest
from node.base.types import Digest, Height, Transaction
from node.edge.storage import SqliteStore
from node.ledger.contracts.sharing import Register
from node.ledger.genesis import genesis_writes
from node.ledger.proofs import verify_chain
from node.ledger.tree import state_root
from node.testing.founding import Founding, MemoryChain
from node.testing.power.journal import Journal
from node.testing.signing import verify_hash

FILE = "ledger.sqlite"


@dataclass(frozen=True, slots=True)
class Promise:
    """What the store has said."""

    durable: int
    """The height that no crash may take away any more; -1 before the database was made."""
    begun: int
    """The highest height that may be there."""


class Life:
    """Blocks of a chain of its own, written below `folder`."""

    def __init__(self, folder: Path, journal: Journal, chance: random.Random) -> None:
        self.chain = MemoryChain(Founding())
        self.durable = -1
        self._folder = folder
        self._journal = journal
        self._chance = chance
        self._store: SqliteStore | None = None
        self._made = 0

    async def open(self) -> None:
        """Open the store, made where there is none. Raises `StoreError`."""
        founding = self.chain.founding
        self._store = await SqliteStore.open(self._folder / FILE, founding.chain, genesis_writes(founding.genesis))
        self._promise(max(self.durable, 0))

    async def close(self) -> None:
        """Close the store, which makes everything durable."""
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    async def commit(self, transactions: int, *, durable: bool = True) -> None:
        """One block more. Raises `StoreError`."""
        assert self._store is not None, "opened"
        executed = self.chain.extend(*(self._transaction() for _ in range(transactions)))
        self._promise(self.durable)
        certified = self.chain.certified[-1]
        await self._store.commit(certified, executed.receipts, executed.writes, durable=durable)
        if durable:
            self._promise(self.chain.height)

    async def sync(self) -> None:
        """Make durable what was committed. Raises `StoreError`."""
        assert self._store is not None, "opened"
        await self._store.sync()
        self._promise(self.chain.height)

    async def live(self, blocks: int) -> None:
        """So many blocks in a drawn order of agreement, catching up and restarts. Raises `StoreError`."""
        await self.open()
        end = self.chain.height + blocks
        while self.chain.height < end:
            match self._chance.choice(("agree", "agree", "agree", "catch up", "restart")):
                case "agree":
                    await self.commit(self._chance.choice((0, 1, 5, 30)))
                case "catch up":
                    for _ in range(self._chance.randrange(1, 6)):
                        await self.commit(self._chance.choice((1, 10)), durable=False)
                    await self.sync()
                case "restart":
                    await self.close()
                    await self.open()
        await self.close()

    def _promise(self, durable: int) -> None:
        self.durable = durable
        self._journal.mark(Promise(durable, self.chain.height))

    def _transaction(self) -> Transaction:
        self._made += 1
        org = ("ada", "bob", "cid")[self._made % 3]
        # Spread over the state's tree, so that many of its pages change.
        payload = Register(digest("name", str(self._made).encode()).hex()[:24], Digest(digest("data")))
        return self.chain.founding.transaction(org, self._made, "sharing", "register", payload)


async def check_reopened(folder: Path, chain: MemoryChain, promise: Promise, *, wholly: bool) -> int:
    """Open what a crash left as a restarted member does, hold it against the promise, go on; the height found.

    `wholly` executes the chain again from the genesis. Raises `AssertionError` where the promise is broken,
    `StoreError` or `ChainBroken` where the ledger is damaged.
    """
    founding = chain.founding
    async with await SqliteStore.open(folder / FILE, founding.chain, genesis_writes(founding.genesis)) as store:
        height = store.chain.height()
        assert height >= promise.durable, f"block {promise.durable} was acknowledged, the ledger ends at {height}"
        assert height <= promise.begun, f"the ledger has block {height}, only {promise.begun} were ever begun"
        if height > 0:
            head = store.chain.block(Height(height))
            assert head == chain.certified[height - 1], f"block {height} is another one than was committed"
            root = head.block.header.state_root
            assert state_root(store.state) == root, f"the state is not the one after block {height}"
        if wholly:
            verify_chain(founding.genesis, store.chain, verify_hash)
        if height < chain.height:
            executed = chain.executed[height]
            await store.commit(chain.certified[height], executed.receipts, executed.writes)
            assert state_root(store.state) == executed.block.header.state_root, "the ledger does not go on"
    return height
