"""A snapshot of the state: a head that follows from the genesis, and chunks that follow from the head.

The state tree is cut into parts: subtrees that cover it without a gap, each small enough to travel as one chunk. The
manifest lists the parts with their digests and gives the state root of a certified header; a chunk holds a part's keys
and values and gives the part's digest. So every piece is checked when it arrives, whoever sent it. How a state is cut
follows from the state alone: every member's snapshot of one height is the same, and chunks may come from any of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from node.base import crypto
from node.base.codec import DecodeError, decode, encode
from node.base.crown import CrownEntry
from node.base.ports import Verifier, Writes
from node.base.types import (
    CertifiedBlock,
    Digest,
    Genesis,
    Height,
    Receipt,
    VoteKind,
    certificate_digest,
    receipts_root,
    transactions_root,
)
from node.ledger.certificates import verify_certificate
from node.ledger.errors import Untrusted
from node.ledger.light import Trusted, TrustPath, verify_path
from node.ledger.tree import branch, subtree

DEPTH_MAX = 16
PARTS_MAX = 1 << DEPTH_MAX
CHUNK_BYTES = 256 << 10
"""A part with more, and more than one key, is cut in two, down to `DEPTH_MAX`."""
CHUNK_BYTES_MAX = 16 << 20
"""No chunk is larger; a state that would need one (about 500 GB) has no snapshots."""
HEAD_BYTES_MAX = 32 << 20
ENTRY_BYTES = 8
"""What an entry costs besides its key and value."""


@dataclass(frozen=True, slots=True)
class Part:
    """The subtree of all keys whose hash begins with the `depth` bits of `prefix`."""

    prefix: int
    depth: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of the state."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part's entries, ascending by the hash of the key."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """What a snapshot is of, why it is to be believed, and its parts from left to right."""

    path: TrustPath
    certified: CertifiedBlock
    receipts: tuple[Receipt, ...]
    parts: tuple[Part, ...]

    @property
    def height(self) -> Height:
        """The height after whose block the state is."""
        return self.certified.block.header.height


class Sizes:
    """Counts keys and bytes by the first bits of their hashes, and says how to cut a tree of them."""

    def __init__(self) -> None:
        self._bytes = [0] * PARTS_MAX
        self._keys = [0] * PARTS_MAX

    def add(self, key_hash: bytes, key: bytes, value: bytes) -> None:
        """Count one key."""
        at = int.from_bytes(key_hash[: DEPTH_MAX // 8], "big")
        self._bytes[at] += len(key) + len(value) + ENTRY_BYTES
        self._keys[at] += 1

    def cuts(self, chunk_bytes: int = CHUNK_BYTES) -> list[tuple[int, int]]:
        """(prefix, depth) of each part, from left to right."""
        bytes_, keys = [0, *accumulate(self._bytes)], [0, *accumulate(self._keys)]
        found: list[tuple[int, int]] = []
        waiting = [(0, 0)]
        while waiting:
            prefix, depth = waiting.pop()
            start, stop = prefix << DEPTH_MAX - depth, prefix + 1 << DEPTH_MAX - depth
            if bytes_[stop] - bytes_[start] <= chunk_bytes or keys[stop] - keys[start] < 2 or depth == DEPTH_MAX:
                found.append((prefix, depth))
            else:
                waiting += [(prefix << 1 | 1, depth + 1), (prefix << 1, depth + 1)]
        return found


def upper_nodes(parts: Sequence[Part]) -> tuple[Digest, list[CrownEntry]]:
    """The root over the parts, and the tree's nodes above them. Raises `Untrusted` unless they cover it exactly."""
    rest = iter(parts)
    nodes: list[CrownEntry] = []
    waiting = next(rest, None)

    def walk(prefix: int, depth: int) -> Digest:
        nonlocal waiting
        if waiting is None or depth > DEPTH_MAX:
            raise Untrusted("the snapshot's parts leave a gap")
        if (waiting.prefix, waiting.depth) == (prefix, depth):
            digest, waiting = waiting.digest, next(rest, None)
            return digest
        left, right = walk(prefix << 1, depth + 1), walk(prefix << 1 | 1, depth + 1)
        nodes.append(branch(prefix, depth, left, right))
        return Digest(nodes[-1][2])

    root = walk(0, 0)
    if waiting is not None:
        raise Untrusted("the snapshot's parts overlap")
    return root, nodes


def verify_head(genesis: Genesis, head: SnapshotHead, verify: Verifier = crypto.verify) -> Trusted:
    """Raises `Untrusted` unless:

    - the path leads from the genesis to the header of the block, and the block's certificate holds;
    - block and receipts are those that the header's roots cover;
    - the parts give the header's state root.
    """
    if len(head.parts) > PARTS_MAX:
        raise Untrusted(f"a snapshot has {PARTS_MAX} parts at most")
    trusted = verify_path(genesis, head.path, verify)
    block, certificate = head.certified.block, head.certified.certificate
    if block.header != trusted.header or certificate.block != block.digest or certificate.height != head.height:
        raise Untrusted("the snapshot's block is not the one that its path leads to")
    if reason := verify_certificate(trusted.chain, trusted.members, certificate, VoteKind.COMMIT, verify):
        raise Untrusted(f"of the snapshot's block, {reason}")
    check_body(head.certified, head.receipts)
    if upper_nodes(head.parts)[0] != trusted.header.state_root:
        raise Untrusted("the snapshot's parts do not give the header's state root")
    return trusted


def check_body(certified: CertifiedBlock, receipts: Sequence[Receipt]) -> None:
    """Raises `Untrusted` unless transactions, carried certificate and receipts are those that the header covers."""
    block = certified.block
    if transactions_root(block.transactions) != block.header.transactions_root:
        raise Untrusted(f"the transactions of height {block.header.height} are not those that its header covers")
    if certificate_digest(block.last_certificate) != block.header.last_certificate:
        raise Untrusted(f"block {block.header.height} does not carry the certificate that its header names")
    if receipts_root(receipts) != block.header.receipts_root or len(receipts) != len(block.transactions):
        raise Untrusted(f"the receipts of height {block.header.height} are not those that its header covers")


def parts_digest(parts: Sequence[Part]) -> Digest:
    """What tells snapshots of one height apart: there is one true one, and members' certificates may differ."""
    return Digest(crypto.digest("lepton/snapshot", encode(tuple(parts), tuple[Part, ...])))


def decode_head(data: bytes) -> SnapshotHead:
    """The head of a peer or a file, not verified. Raises `Untrusted`."""
    try:
        return decode(SnapshotHead, data)
    except DecodeError as error:
        raise Untrusted(f"the snapshot's head is damaged: {error}") from error


def encode_chunk(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The byte form of a chunk."""
    return encode(Chunk(tuple(Entry(key, value) for key, value in entries)))


def chunk_writes(part: Part, data: bytes) -> Writes:
    """What the chunk adds to the state and to its tree. Raises `Untrusted` unless it is the part's."""
    try:
        entries = [(entry.key, entry.value) for entry in decode(Chunk, data).entries]
        tree = subtree(part.prefix, part.depth, entries)
    except ValueError as error:  # DecodeError is one
        raise Untrusted(f"a chunk is damaged: {error}") from error
    if tree.root != part.digest:
        raise Untrusted("a chunk is not the one that the snapshot's head names")
    return Writes(tuple(sorted(entries)), tree.pages, tree.crown)


def all_writes(parts: Sequence[Part], chunks: Iterator[bytes]) -> Iterator[Writes]:
    """The whole state, part after part, the tree's upper nodes last; each chunk checked once more.

    Raises `Untrusted`, also where the chunks are fewer or more than the parts.
    """
    for part in parts:
        data = next(chunks, None)
        if data is None:
            raise Untrusted("the snapshot has fewer chunks than parts")
        yield chunk_writes(part, data)
    if next(chunks, None) is not None:
        raise Untrusted("the snapshot has more chunks than parts")
    yield Writes((), (), tuple(upper_nodes(parts)[1]))
