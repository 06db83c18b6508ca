"""Part `consensus-state`: what a block costs with a large state.

`block_cost_1m_over_1k`: the same blocks, built and executed by the ledger and committed to the real SQLite store with
synchronous=FULL, on a state of a million keys over one of a thousand. Processor time of this process, with the store's
thread; the median of many blocks, taken in turns so that both see the same machine. Signatures are left out: they do
not depend on the state.
"""

import statistics
import time
from pathlib import Path
from random import Random

from node.base.crypto import digest
from node.base.ports import Writes
from node.base.types import CertifiedBlock
from node.edge.storage import SqliteStore
from node.engine.remembered import RememberedState
from node.ledger.apply import build_block
from node.ledger.genesis import genesis_writes
from node.ledger.memory import MemoryState
from node.ledger.tree import updated
from node.testing.bench.consensus import registration
from node.testing.bench.figures import Figure, ratio
from node.testing.founding import Founding, MemoryChain

KEYS_FEW = 1_000
KEYS_MANY = 1_000_000
BLOCKS = 40
WARM_UP = 10
TIMES = 4
"""The small state begins anew so often: by its own blocks it would not stay one of a thousand keys."""
TRANSACTIONS = 50


async def measure_state(root: Path) -> list[Figure]:
    """`block_cost_1m_over_1k`. Raises `StoreError`."""
    many = await _Ledger.open(root / "many.sqlite", KEYS_MANY)
    costs: tuple[list[float], list[float]] = ([], [])
    try:
        for again in range(TIMES):
            few = await _Ledger.open(root / f"few-{again}.sqlite", KEYS_FEW)
            try:
                for block in range(WARM_UP + BLOCKS):
                    for ledger, seconds in zip((few, many), costs, strict=True):
                        spent = await ledger.block()
                        if block >= WARM_UP:
                            seconds.append(spent)
            finally:
                await few.store.close()
    finally:
        await many.store.close()
    small, large = (statistics.median(seconds) for seconds in costs)
    raw = {"block_1m_ms": large * 1000, "block_1k_ms": small * 1000, "transactions": float(TRANSACTIONS)}
    return [ratio("block_cost_1m_over_1k", large, small, raw)]


class _Ledger:
    """One chain on a store of its own."""

    def __init__(self, founding: Founding, store: SqliteStore) -> None:
        self.store = store
        self._state = RememberedState(store.state)
        self._founding = founding
        self._chain = MemoryChain(founding)
        self._made = 0

    @classmethod
    async def open(cls, path: Path, keys: int) -> "_Ledger":
        founding = Founding(verify=lambda key, message, signature: True)
        return cls(founding, await SqliteStore.open(path, founding.chain, _large_state(founding, keys)))

    async def block(self) -> float:
        """Add a block; the processor seconds that it took to build, execute and commit."""
        founding, chain = self._founding, self._chain
        transactions = []
        for _ in range(TRANSACTIONS):
            org = founding.members.orgs[self._made % len(founding.members.orgs)]
            nonce, self._made = self._made // len(founding.members.orgs), self._made + 1
            transactions.append(founding.transaction(org, nonce, "sharing", "register", registration(self._made)))
        position = chain.position()
        self._state.forget()
        since = time.process_time()
        executed = build_block(self._state, position, transactions, founding.verify)
        spent = time.process_time() - since
        assert len(executed.receipts) == TRANSACTIONS, "every transaction of the load can be included"
        header = executed.block.header
        certified = CertifiedBlock(executed.block, founding.certificate(executed.block.digest, header.height))
        chain.certified.append(certified)
        since = time.process_time()
        await self.store.commit(certified, executed.receipts, executed.writes)
        self._state.committed(executed.writes)
        return spent + time.process_time() - since


def _large_state(founding: Founding, keys: int) -> Writes:
    """The genesis state, and so many keys more.

    The tree's pages come in no order, as blocks bring them: by hash. Written in theirs they would fill the database's
    leaves to the last byte, and for a long time every other change would split one.
    """
    extra = ((f"filler/{number:09d}".encode(), digest("bench", number.to_bytes(8, "big"))) for number in range(keys))
    changes = sorted([*genesis_writes(founding.genesis).state, *extra])
    tree = updated(MemoryState(), changes)
    return Writes(tuple(changes), tuple(Random(0).sample(tree.pages, len(tree.pages))), tree.crown)
