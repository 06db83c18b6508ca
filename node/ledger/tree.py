"""The state's Merkle tree: one root for all keys and values, logarithmic cost per write, proofs for single keys.

A sparse binary tree over the hashes of the keys, compact: an empty subtree has the zero digest, a subtree with one
key is that key's leaf, any other is a branch. So the shape follows from the keys alone, and the root does not depend
on the order of writes. A leaf is 00, key hash, value hash; a branch is 01, left digest, right digest; a node's digest
is the hash of that.

The upper levels are the crown: it is held in memory, by digests. Below it the tree is cut into pages. A page of up to
`LEAVES_MAX` keys is 00 and for each key, ascending, key hash, value hash and the leaf's digest: the branches over them
are computed when they are needed. One of more keys is a fork, 01 and for each of the 16 parts four levels below how
many keys it has, in four bytes, and its digest; each part that is not empty is a page of its own. A page without keys
is not stored.

A page has a number: the bits that its keys begin with, then a 1 and zeros, 63 bits in all, so that a fork lies between
its parts.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from node.base.crown import CROWN_LEVELS, CROWN_SEGMENT, Crown, CrownEntry
from node.base.ports import TreeReader
from node.base.types import ZERO_DIGEST, Digest

LEAVES_MAX = 32
_FORK_LEVELS = 4
_FORK_PARTS = 1 << _FORK_LEVELS
_NUMBER_BITS = 63
_FORK_DEPTH_MAX = _NUMBER_BITS - 1 - _FORK_LEVELS
"""Below it a page is no fork, however many keys agree in so many bits."""
_LEAF_BYTES, _PART_BYTES = 96, 36
_LEAF = struct.Struct("32s32x32s")
"""Key hash and digest of a leaf in a page."""
_BITS = 256

_sha256 = hashlib.sha256
_KEY = b"lepton/state-key\x00"
_VALUE = b"lepton/state-value\x00"
_NODE = b"lepton/state-node\x00"
_LEAF_TAG, _BRANCH_TAG = b"\x00", b"\x01"
_LEAF_NODE, _BRANCH_NODE = _NODE + _LEAF_TAG, _NODE + _BRANCH_TAG
_LEAVES, _FORK = b"\x00", b"\x01"

_PageReader = Callable[[int], bytes | None]
_Pages = dict[int, bytes | None]
_Change = tuple[bytes, bytes | None]
"""Key hash and value hash, None to delete."""
_Summary = tuple[int, bytes]
"""How many keys a part of the tree has, and its digest."""


@dataclass(frozen=True, slots=True)
class TreeWrites:
    """What becomes of the tree."""

    root: Digest
    pages: tuple[tuple[int, bytes | None], ...]
    """Ascending; None deletes."""
    crown: tuple[CrownEntry, ...]


def state_root(tree: TreeReader) -> Digest:
    """The root over everything stored; zero for the empty state."""
    return Digest(tree.crown.digest(1))


def updated(tree: TreeReader, changes: Iterable[tuple[bytes, bytes | None]]) -> TreeWrites:
    """What becomes of the tree by `changes` (key, value or None to delete; each key once).

    Reads and writes a number of pages that grows with the changes and the logarithm of the state.
    """
    hashed = sorted((key_hash(key), None if value is None else _value_hash(value)) for key, value in changes)
    pages, entries = _below_crown(tree.page, hashed)
    found = _raised(tree.crown, entries, CROWN_LEVELS)
    root = found[-1][2] if found else tree.crown.digest(1)
    return TreeWrites(Digest(root), tuple(sorted(pages.items())), tuple(found))


def subtree(prefix: int, depth: int, entries: Sequence[tuple[bytes, bytes]]) -> TreeWrites:
    """Digest, pages and crown of the part of a tree whose key hashes begin with the `depth` bits of `prefix`.

    `depth` is within the crown. `entries` are its keys and values, strictly ascending by `key_hash`. Raises
    `ValueError` for others.
    """
    hashed = [(key_hash(key), _value_hash(value)) for key, value in entries]
    if any(first[0] >= second[0] for first, second in pairwise(hashed)):
        raise ValueError("the keys do not ascend by their hashes")
    if any(int.from_bytes(found, "big") >> _BITS - depth != prefix for found, _ in hashed):
        raise ValueError("a key does not belong to this part of the tree")
    pages, below = _below_crown(lambda number: None, hashed)
    found = _raised(Crown(), below, CROWN_LEVELS - depth)
    return TreeWrites(Digest(found[-1][2]) if found else ZERO_DIGEST, tuple(sorted(pages.items())), tuple(found))


def branch(prefix: int, depth: int, left: Digest, right: Digest) -> CrownEntry:
    """The branch at this position of the crown over its two halves."""
    return 1 << depth | prefix, 2, _sha256(_BRANCH_NODE + left + right).digest()


def page_number(prefix: int, depth: int) -> int:
    """The number of the page of the keys that begin with these bits."""
    return (prefix << 1 | 1) << _NUMBER_BITS - 1 - depth


def is_page(page: bytes) -> bool:
    """Whether it is of the form of one."""
    if page[:1] == _FORK:
        return len(page) == 1 + _FORK_PARTS * _PART_BYTES
    return page[:1] == _LEAVES and len(page) > 1 and len(page) % _LEAF_BYTES == 1


def bottom_entry(tree: _PageReader, prefix: int) -> CrownEntry:
    """What the crown has of the page below it that begins with `prefix`."""
    count, digest = _summary(tree(page_number(prefix, CROWN_LEVELS)), CROWN_LEVELS)
    return 1 << CROWN_LEVELS | prefix, min(count, 2), digest


def fill(crown: Crown, bottom: Iterable[CrownEntry]) -> None:
    """Make of an empty crown the one over these entries of its lowest level."""
    crown.apply(bottom)
    half = CROWN_SEGMENT // 2
    for first in range(len(crown.counts) - CROWN_SEGMENT, -1, -CROWN_SEGMENT):
        if any(crown.counts[first : first + CROWN_SEGMENT]):
            for index in range(first // 2 + half - 1, max(first // 2, 1) - 1, -1):
                if crown.counts[2 * index] or crown.counts[2 * index + 1]:
                    crown.apply([_between(crown, index)])


def _between(crown: Crown, index: int) -> CrownEntry:
    """What a node is by its halves."""
    left, right = ((crown.counts[half], crown.digest(half)) for half in (2 * index, 2 * index + 1))
    count, digest = _joined(left, right)
    return index, min(count, 2), digest


def tree_rows(pages: Iterable[tuple[int, bytes]], crown: Crown) -> Iterator[tuple[bytes, bytes]]:
    """A whole tree as rows to compare: its pages, ascending, then the crown."""
    for number, page in pages:
        yield number.to_bytes(8, "big"), page
    counts = crown.counts
    for first in range(0, len(counts), CROWN_SEGMENT):
        if counts.count(0, first, first + CROWN_SEGMENT) < CROWN_SEGMENT:
            for index in range(first, first + CROWN_SEGMENT):
                if counts[index]:
                    yield b"\xff" + index.to_bytes(4, "big"), bytes((counts[index],)) + crown.digest(index)


def _below_crown(read: _PageReader, changes: Sequence[_Change]) -> tuple[_Pages, list[CrownEntry]]:
    """The pages that changes, ascending, make, and the crown's lowest entries over them."""
    pages: _Pages = {}
    entries: list[CrownEntry] = []
    for prefix, part in groupby(changes, lambda change: int.from_bytes(change[0][:4], "big") >> 32 - CROWN_LEVELS):
        count, digest = _changed(read, pages, prefix, CROWN_LEVELS, list(part))
        entries.append((1 << CROWN_LEVELS | prefix, min(count, 2), digest))
    return pages, entries


def _raised(crown: Crown, entries: list[CrownEntry], levels: int) -> list[CrownEntry]:
    """Entries of one level, ascending, and what so many levels above becomes by them, the uppermost last."""
    segments, counts = crown.segments, crown.counts
    beside: bytes | bytearray
    found = list(entries)
    for _ in range(levels):
        above: list[CrownEntry] = []
        at, end = 0, len(entries)
        while at < end:
            index, count, digest = entries[at]
            at += 1
            if index & 1 == 0 and at < end and entries[at][0] == index + 1:
                _, other, beside = entries[at]
                at += 1
            else:
                place = 32 * ((index ^ 1) % CROWN_SEGMENT)
                other, beside = counts[index ^ 1], segments[index // CROWN_SEGMENT][place : place + 32]
            if count + other > 1:
                pair = beside + digest if index & 1 else digest + beside
                above.append((index >> 1, 2, _sha256(_BRANCH_NODE + pair).digest()))
            else:
                above.append((index >> 1, count + other, bytes(beside) if other else digest))
        found += above
        entries = above
    return found


def _changed(read: _PageReader, pages: _Pages, prefix: int, depth: int, changes: list[_Change]) -> _Summary:
    """Put into `pages` what the page of these keys, and those below it, become by changes; ascending, at least one."""
    number = page_number(prefix, depth)
    page = read(number)
    if page is None or page[:1] == _LEAVES:
        leaves = _with_changes(b"" if page is None else page[1:], changes)
        return _put(pages, prefix, depth, leaves, page)
    parts = _parts(page)
    for part, some in groupby(changes, lambda change: _bits(change[0], depth, _FORK_LEVELS)):
        parts[part] = _changed(read, pages, prefix << _FORK_LEVELS | part, depth + _FORK_LEVELS, list(some))
    if sum(count for count, _ in parts) > LEAVES_MAX:
        return _put_fork(pages, number, parts, depth)
    leaves = b""
    for part, (count, _) in enumerate(parts):
        below = page_number(prefix << _FORK_LEVELS | part, depth + _FORK_LEVELS)
        stored = read(below)
        found = pages.pop(below, stored)
        if count:
            assert found is not None, "a part with keys has a page"
            leaves += found[1:]
        if stored is not None:
            pages[below] = None
    return _put(pages, prefix, depth, leaves, page)


def _put(pages: _Pages, prefix: int, depth: int, leaves: bytes, before: bytes | None) -> _Summary:
    """Put the page of these leaves, and those below it, into `pages`, which nothing stands below yet."""
    number = page_number(prefix, depth)
    if len(leaves) <= LEAVES_MAX * _LEAF_BYTES or depth > _FORK_DEPTH_MAX:
        page = _LEAVES + leaves if leaves else None
        if page != before:
            pages[number] = page
        return len(leaves) // _LEAF_BYTES, _folded(leaves, depth)
    parts: list[_Summary] = [(0, ZERO_DIGEST)] * _FORK_PARTS
    whole = [leaves[at : at + _LEAF_BYTES] for at in range(0, len(leaves), _LEAF_BYTES)]
    for part, some in groupby(whole, lambda leaf: _bits(leaf, depth, _FORK_LEVELS)):
        parts[part] = _put(pages, prefix << _FORK_LEVELS | part, depth + _FORK_LEVELS, b"".join(some), None)
    return _put_fork(pages, number, parts, depth)


def _put_fork(pages: _Pages, number: int, parts: list[_Summary], depth: int) -> _Summary:
    page = _FORK + b"".join(count.to_bytes(4, "big") + digest for count, digest in parts)
    pages[number] = page
    return _summary(page, depth)


def _is_fork(page: bytes | None) -> bool:
    return page is not None and page[:1] == _FORK


def _parts(fork: bytes) -> list[_Summary]:
    return [
        (int.from_bytes(fork[at : at + 4], "big"), fork[at + 4 : at + _PART_BYTES])
        for at in range(1, len(fork), _PART_BYTES)
    ]


def _summary(page: bytes | None, depth: int) -> _Summary:
    if page is None:
        return 0, ZERO_DIGEST
    if page[:1] == _LEAVES:
        return len(page) // _LEAF_BYTES, _folded(page[1:], depth)
    return _over(_parts(page))


def _over(parts: list[_Summary]) -> _Summary:
    """Of the node over neighbouring parts."""
    while len(parts) > 1:
        parts = [_joined(left, right) for left, right in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _joined(left: _Summary, right: _Summary) -> _Summary:
    count = left[0] + right[0]
    if count > 1:
        return count, _sha256(_BRANCH_NODE + left[1] + right[1]).digest()
    return right if right[0] else left


def _with_changes(leaves: bytes, changes: Iterable[_Change]) -> bytes:
    for key, value in changes:
        low, high = 0, len(leaves) // _LEAF_BYTES
        while low < high:
            middle = (low + high) // 2
            if leaves[_LEAF_BYTES * middle : _LEAF_BYTES * middle + 32] < key:
                low = middle + 1
            else:
                high = middle
        at = _LEAF_BYTES * low
        after = at + _LEAF_BYTES if leaves[at : at + 32] == key else at
        leaf = b"" if value is None else key + value + _sha256(_LEAF_NODE + key + value).digest()
        leaves = leaves[:at] + leaf + leaves[after:]
    return leaves


def _folded(leaves: bytes, depth: int) -> bytes:
    """The digest at this depth of the tree over leaves, ascending and alike in so many bits."""
    if len(leaves) <= _LEAF_BYTES:
        return leaves[64:] or ZERO_DIGEST
    # What stands left of the way to the leaf at hand, from the top down: the depth of the branch, and its left side.
    lefts: list[tuple[int, bytes]] = []
    each = _LEAF.iter_unpack(leaves)
    hashed, digest = next(each)
    key, top = int.from_bytes(hashed, "big"), _BITS
    for hashed, following in each:
        key, before = int.from_bytes(hashed, "big"), key
        parted = _BITS - (before ^ key).bit_length()
        while lefts and lefts[-1][0] > parted:
            above, left = lefts.pop()
            if top - above > 1 and top < _BITS:
                digest = _lifted(before, top, digest, above + 1)
            top, digest = above, _sha256(_BRANCH_NODE + left + digest).digest()
        if top - parted > 1 and top < _BITS:
            digest = _lifted(before, top, digest, parted + 1)
        lefts.append((parted, digest))
        top, digest = _BITS, following
    for above, left in reversed(lefts):
        if top - above > 1 and top < _BITS:
            digest = _lifted(key, top, digest, above + 1)
        top, digest = above, _sha256(_BRANCH_NODE + left + digest).digest()
    return _lifted(key, top, digest, depth)


def _lifted(key: int, top: int, digest: bytes, depth: int) -> bytes:
    """The digest at `depth` where below it only the branch at `top` stands, on the way to the key."""
    for at in range(top - 1, depth - 1, -1):
        pair = ZERO_DIGEST + digest if key >> _BITS - 1 - at & 1 else digest + ZERO_DIGEST
        digest = _sha256(_BRANCH_NODE + pair).digest()
    return digest


@dataclass(frozen=True, slots=True)
class StateProof:
    """Shows a key's value, or that the key is not there, under a state root."""

    siblings: tuple[Digest, ...]
    """The other side at each branch, from the root down."""
    leaf: bytes
    """The stored leaf where the way ends: the key's own, another key's, or empty for an empty subtree."""


def prove_key(tree: TreeReader, key: bytes) -> StateProof:
    """The proof for `key`, there or not."""
    bits = int.from_bytes(key_hash(key), "big")
    siblings: list[Digest] = []
    for depth in range(_BITS):
        prefix = bits >> _BITS - depth
        count, _ = _node(tree, prefix, depth)
        if count < 2:
            return StateProof(tuple(siblings), _LEAF_TAG + _only_leaf(tree, prefix, depth)[:64] if count else b"")
        sibling = bits >> _BITS - depth - 1 ^ 1
        siblings.append(Digest(_node(tree, sibling, depth + 1)[1]))
    raise AssertionError("a branch stands at the depth of single keys")


def _node(tree: TreeReader, prefix: int, depth: int) -> _Summary:
    """Of any node."""
    if depth <= CROWN_LEVELS:
        index = 1 << depth | prefix
        return tree.crown.counts[index], tree.crown.digest(index)
    page, top = _page_above(tree, prefix, depth)
    if page is None or page[:1] == _LEAVES:
        leaves = _leaves_below(page, prefix, depth)
        return len(leaves) // _LEAF_BYTES, _folded(leaves, depth)
    size = 1 << top + _FORK_LEVELS - depth
    first = (prefix * size) % _FORK_PARTS
    return _over(_parts(page)[first : first + size])


def _only_leaf(tree: TreeReader, prefix: int, depth: int) -> bytes:
    """The leaf of the only key below this node."""
    while depth < CROWN_LEVELS or _is_fork(_page_above(tree, prefix, depth)[0]):
        depth += 1
        prefix = prefix << 1 | _node(tree, prefix << 1 | 1, depth)[0]
    return _leaves_below(_page_above(tree, prefix, depth)[0], prefix, depth)


def _page_above(tree: TreeReader, prefix: int, depth: int) -> tuple[bytes | None, int]:
    """The lowest page on the way to a node in or below it, and its depth."""
    top = CROWN_LEVELS
    while True:
        page = tree.page(page_number(prefix >> depth - top, top))
        if not _is_fork(page) or top + _FORK_LEVELS > depth:
            return page, top
        top += _FORK_LEVELS


def _leaves_below(page: bytes | None, prefix: int, depth: int) -> bytes:
    found = b"" if page is None else page
    leaves = (found[at : at + _LEAF_BYTES] for at in range(1, len(found), _LEAF_BYTES))
    return b"".join(leaf for leaf in leaves if _bits(leaf, 0, depth) == prefix)


def verify_key(root: Digest, key: bytes, value: bytes | None, proof: StateProof) -> bool:
    """Whether under `root` the key has this value (None: is not there)."""
    hashed = key_hash(key)
    depth = len(proof.siblings)
    bits = int.from_bytes(hashed, "big")
    if depth > _BITS:
        return False
    if value is not None:
        end_holds = proof.leaf == _LEAF_TAG + hashed + _value_hash(value)
    elif not proof.leaf:
        end_holds = True
    else:
        # Another key's leaf shows absence; the hashes below put it on this key's way.
        end_holds = len(proof.leaf) == 65 and proof.leaf[:1] == _LEAF_TAG and proof.leaf[1:33] != hashed
    digest = Digest(_sha256(_NODE + proof.leaf).digest()) if proof.leaf else ZERO_DIGEST
    for at in range(depth - 1, -1, -1):
        sibling = proof.siblings[at]
        pair = digest + sibling if bits >> _BITS - at - 1 & 1 == 0 else sibling + digest
        digest = Digest(_sha256(_BRANCH_NODE + pair).digest())
    return end_holds and digest == root


def _bits(key: bytes, depth: int, count: int) -> int:
    """So many bits of a key hash, or a leaf, from this depth on."""
    return int.from_bytes(key[:32], "big") >> _BITS - depth - count & (1 << count) - 1


def key_hash(key: bytes) -> bytes:
    """Where the key stands in the tree: its bits lead from the root down."""
    return _sha256(_KEY + key).digest()


def _value_hash(value: bytes) -> bytes:
    return _sha256(_VALUE + value).digest()
