"""What comes of snapshots from peers: their manifest, and one chunk, each up to the check that binds it."""

from collections.abc import Callable
from pathlib import Path

from node.base.codec import encode
from node.base.types import Height
from node.ledger import system
from node.ledger.contracts.sharing import Register
from node.ledger.errors import Untrusted
from node.ledger.light import build_path
from node.ledger.snapshot import CHUNK_BYTES, SnapshotHead, chunk_writes, decode_head, verify_head
from node.testing.founding import Founding, MemoryChain
from node.testing.simulation import Disk
from node.testing.snapshots import cut

Built = tuple[list[bytes], Callable[[bytes], bool]]
BLOCKS = 3
SMALL_CHUNK_BYTES = 1_000
"""So that a small state has several parts."""


def _chain() -> MemoryChain:
    chain = MemoryChain(Founding())
    for number in range(1, BLOCKS + 1):
        payload = Register(f"d{number}", chain.founding.chain)
        chain.extend(chain.founding.transaction("ada", number, "sharing", "register", payload))
    return chain


def head(folder: Path) -> Built:
    """The head with its manifest: what is accepted follows from the genesis, and has these bytes as its only form."""
    chain = _chain()
    founding, disk = chain.founding, Disk(chain.founding.genesis)
    for certified, executed in zip(chain.certified, chain.executed, strict=True):
        disk.commit(certified, executed.receipts, executed.writes, durable=True)
    height = Height(BLOCKS)
    path = build_path(system.set_history(disk.state), disk.certified_header, height)
    receipts = chain.executed[-1].receipts
    corpus = [
        encode(SnapshotHead(path, chain.certified[-1], receipts, cut(chain.state.values, chunk_bytes)[0]))
        for chunk_bytes in (CHUNK_BYTES, SMALL_CHUNK_BYTES)
    ]

    def feed(data: bytes) -> bool:
        try:
            found = decode_head(data)
            verify_head(founding.genesis, found, founding.verify)
        except Untrusted:
            return False
        assert encode(found) == data, f"another byte form of one head: {data.hex()}"
        return True

    return corpus, feed


def chunk(folder: Path) -> Built:
    """A chunk of one part: nothing is accepted but the part's own."""
    part, true = max(zip(*cut(_chain().state.values, SMALL_CHUNK_BYTES), strict=True), key=lambda found: len(found[1]))

    def feed(data: bytes) -> bool:
        try:
            chunk_writes(part, data)
        except Untrusted:
            return False
        assert data == true, f"a chunk that is not the part's was taken for it: {data.hex()}"
        return True

    return [true], feed


BUILDERS: dict[str, Callable[[Path], Built]] = {"head": head, "chunk": chunk}
