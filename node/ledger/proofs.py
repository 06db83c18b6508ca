"""Verifies a stored chain offline, from the genesis file alone: every block is executed again.

Nothing stored is believed. Blocks, certificates, receipts, the index of transactions, the state and its tree are
each compared with what the genesis and the rules give; the first height that differs is named.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from node.base import crypto
from node.base.codec import encode
from node.base.ports import Verifier
from node.base.types import CEL_VERSION, Block, Certificate, CertifiedBlock, Digest, Genesis, Height, chain_id
from node.ledger.based import verify_based
from node.ledger.errors import ChainBroken, InvalidGenesis
from node.ledger.following import follow
from node.ledger.genesis import genesis_writes, verify_genesis
from node.ledger.memory import MemoryState
from node.ledger.stored import StoredBlock, StoredChain, Verified, check_counts, check_rows, read_stored, stored_as
from node.ledger.tree import state_root, tree_rows

T = TypeVar("T")


def verify_chain(
    genesis: Genesis,
    stored: StoredChain,
    verify: Verifier = crypto.verify,
    progress: Callable[[int], None] = lambda height: None,
    *,
    cel_version: str = CEL_VERSION,
) -> Verified:
    """Execute the whole chain again. Raises `ChainBroken` with the first height at which something stored differs.

    Height 0 stands for the genesis; a difference in the stored state is named at the head, with its key.
    `cel_version` is the installed one; raises `OtherCel` at the first height that is decided by another.
    `progress` is called with each height that holds.
    """
    try:
        verify_genesis(genesis, verify)
    except InvalidGenesis as error:
        raise ChainBroken(0, f"the genesis file cannot found a chain: {error}") from error
    replay = _Replay(genesis, verify, cel_version)
    if read_stored(0, stored.chain_id) != replay.chain:
        raise ChainBroken(0, "the database holds the chain of another genesis file")
    if read_stored(0, stored.base) != 1:
        return verify_based(genesis, stored, verify, progress)
    height = read_stored(0, stored.height)
    for at in range(1, height + 1):
        kept = read_stored(at, partial(stored.stored_block, at))
        if kept is None:
            raise ChainBroken(at, "the block is missing")
        for index, id_ in enumerate(replay.take(at, kept)):
            if read_stored(at, partial(stored.stored_place, id_)) != (at, index):
                raise ChainBroken(at, "the index of transactions is not what the block holds")
        progress(at)
    check_counts(height, read_stored(height, stored.stored_counts), height, replay.transactions)
    check_rows(height, "state", stored.stored_state, sorted(replay.state.values.items()))
    check_rows(
        height, "state tree", stored.stored_tree, tree_rows(sorted(replay.state.pages.items()), replay.state.crown)
    )
    return Verified(Height(height), replay.parent, state_root(replay.state), replay.transactions)


class _Replay:
    """The chain executed so far, on a state in memory."""

    def __init__(self, genesis: Genesis, verify: Verifier, cel_version: str) -> None:
        self.chain = chain_id(genesis.body)
        self.parent = self.chain
        self.state = MemoryState()
        self.state.apply(genesis_writes(genesis))
        self.transactions = 0
        self._verify = verify
        self._cel_version = cel_version

    def take(self, height: int, stored: StoredBlock) -> tuple[Digest, ...]:
        """Execute one block and compare what is stored for it; returns its transactions' ids."""
        block = stored_as(height, Block, stored.block, "block")
        certificate = stored_as(height, Certificate, stored.certificate, "certificate")
        certified = CertifiedBlock(block, certificate)
        executed = follow(self.state, self.chain, self.parent, certified, self._verify, self._cel_version)
        if stored.digest != block.digest:
            raise ChainBroken(height, "the digest stored beside the block is not the block's")
        if stored.receipts != tuple(encode(receipt) for receipt in executed.receipts):
            raise ChainBroken(height, "the receipts are not what executing the block gives")
        self.state.apply(executed.writes)
        self.parent = block.digest
        self.transactions += len(block.transactions)
        return tuple(transaction.id for transaction in block.transactions)
