"""The state's Merkle tree: one root for all keys and values, logarithmic cost per write, proofs for single keys.

A sparse binary tree over the hashes of the keys, compact: an empty subtree has the zero digest, a subtree with one
key is that key's leaf, any other is a branch. So the shape follows from the keys alone, and the root does not depend
on the order of writes.

Nodes are stored at their path. A path is its bits, most significant first, then a 1 and zeros to the byte's end:
the root is 80. A stored leaf is 00, key hash, value hash; a stored branch is 01, left digest, right digest. A node's
digest is the hash of its stored form.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from node.base.types import ZERO_DIGEST, Digest

NodeReader = Callable[[bytes], bytes | None]
"""The stored form of the node at a path, None where there is none."""

_sha256 = hashlib.sha256
_KEY = b"lepton/state-key\x00"
_VALUE = b"lepton/state-value\x00"
_NODE = b"lepton/state-node\x00"
_LEAF, _BRANCH = 0, 1
_BRANCH_TAG = bytes((_BRANCH,))
_BITS = 256

_Change = tuple[bytes, bytes | None]
"""Key hash and the stored form of its leaf, None to delete."""


def state_root(node: NodeReader) -> Digest:
    """The root over everything stored; zero for the empty state."""
    return _digest(node(_path(0, 0)))


def updated_nodes(
    node: NodeReader, changes: Sequence[tuple[bytes, bytes | None]]
) -> tuple[Digest, tuple[tuple[bytes, bytes | None], ...]]:
    """The root after `changes` (key, value or None to delete; each key once), and the nodes that change by it.

    Reads and writes a number of nodes that grows with the changes and the logarithm of the state.
    """
    update = _Update(node)
    leaves = sorted((key_hash(key), None if value is None else _leaf(key, value)) for key, value in changes)
    root_path = _path(0, 0)
    before = node(root_path)
    after = update.subtree(0, before, leaves) if leaves else before
    update.note(root_path, before, after)
    return _digest(after), tuple(sorted(update.writes.items()))


def subtree(
    prefix: int, depth: int, entries: Sequence[tuple[bytes, bytes]]
) -> tuple[Digest, tuple[tuple[bytes, bytes | None], ...]]:
    """Digest and nodes of the part of a tree whose key hashes begin with the `depth` bits of `prefix`.

    `entries` are its keys and values, strictly ascending by `key_hash`. Raises `ValueError` for others.
    """
    leaves = [(key_hash(key), _leaf(key, value)) for key, value in entries]
    if any(first[0] >= second[0] for first, second in pairwise(leaves)):
        raise ValueError("the keys do not ascend by their hashes")
    if any(int.from_bytes(found, "big") >> _BITS - depth != prefix for found, _ in leaves):
        raise ValueError("a key does not belong to this part of the tree")
    update = _Update(lambda path: None)
    top = update.subtree(depth, None, list(leaves)) if leaves else None
    update.note(_path(prefix, depth), None, top)
    return _digest(top), tuple(sorted(update.writes.items()))


def branch(prefix: int, depth: int, left: Digest, right: Digest) -> tuple[Digest, tuple[bytes, bytes]]:
    """The branch at this position over its two halves: its digest, and its path with its stored form."""
    stored = _BRANCH_TAG + left + right
    return _digest(stored), (_path(prefix, depth), stored)


class _Update:
    """One batch of changes on its way down and up the tree; collects what the nodes become.

    Every change below a node begins with that node's bits, so any of their keys says where it stands.
    """

    def __init__(self, node: NodeReader) -> None:
        self._node = node
        self.writes: dict[bytes, bytes | None] = {}

    def note(self, path: bytes, before: bytes | None, after: bytes | None) -> None:
        if before != after:
            self.writes[path] = after

    def subtree(self, depth: int, before: bytes | None, changes: list[_Change]) -> bytes | None:
        """The node at this depth after `changes`, at least one and all of them below it. The caller notes it."""
        if len(changes) == 1:
            return self._single(depth, before, *changes[0])
        if before is None or before[0] == _LEAF:
            leaves = dict(changes)
            if before is not None:
                leaves.setdefault(before[1:33], before)
            return self._built(depth, sorted((key, leaf) for key, leaf in leaves.items() if leaf is not None))
        cut = _split(changes, depth)
        sides = [
            self._side(depth + 1, before[1 + 32 * bit : 33 + 32 * bit], part)
            for bit, part in enumerate((changes[:cut], changes[cut:]))
        ]
        return self._joined(changes[0][0], depth, sides)

    def _side(self, depth: int, digest: bytes, changes: list[_Change]) -> "_Side":
        if not changes:
            return _Side(digest, None, None, known=False)
        before = self._node(_path_to(changes[0][0], depth)) if digest != ZERO_DIGEST else None
        after = self.subtree(depth, before, changes)
        return _Side(_digest(after), before, after, known=True)

    def _single(self, depth: int, before: bytes | None, key: bytes, leaf: bytes | None) -> bytes | None:
        """As `subtree`, of one change: below the top levels a block's changes are far apart."""
        above: list[tuple[bytes, int, bytes]] = []
        while before is not None and before[0] == _BRANCH:
            bit = key[depth >> 3] >> 7 - (depth & 7) & 1
            depth += 1
            path = _path_to(key, depth)
            above.append((before, bit, path))
            digest = before[33:] if bit else before[1:33]
            before = self._node(path) if digest != ZERO_DIGEST else None
        after = leaf
        if before is not None and before[1:33] != key:
            after = before if leaf is None else self._built(depth, sorted(((key, leaf), (before[1:33], before))))
        while above:
            branch, bit, path = above.pop()
            other = branch[1:33] if bit else branch[33:]
            if after is None or (after[0] == _LEAF and other == ZERO_DIGEST):
                sides = [_Side(_digest(after), before, after, known=True), _Side(other, None, None, known=False)]
                depth -= 1
                before, after = branch, self._joined(key, depth, sides[::-1] if bit else sides)
                continue
            if before != after:
                self.writes[path] = after
            digest = _sha256(_NODE + after).digest()
            depth -= 1
            before, after = branch, _BRANCH_TAG + (other + digest if bit else digest + other)
        return after

    def _joined(self, key: bytes, depth: int, sides: list["_Side"]) -> bytes | None:
        """The branch over two sides, or what remains where one of them is empty and the other at most a leaf.

        `key` is any below it.
        """
        prefix = int.from_bytes(key, "big") >> _BITS - depth
        for bit in (0, 1):
            if sides[bit].digest == ZERO_DIGEST:
                other = sides[1 - bit]
                if other.digest != ZERO_DIGEST and not other.known:
                    # The side that nothing changed in may be a single leaf, which then stands here.
                    stored = self._node(_path(prefix << 1 | 1 - bit, depth + 1))
                    other = sides[1 - bit] = _Side(other.digest, stored, stored, known=True)
                if other.after is None or other.after[0] == _LEAF:
                    for at, side in enumerate(sides):
                        self.note(_path(prefix << 1 | at, depth + 1), side.before, None)
                    return other.after
        for at, side in enumerate(sides):
            self.note(_path(prefix << 1 | at, depth + 1), side.before, side.after)
        return _BRANCH_TAG + sides[0].digest + sides[1].digest

    def _built(self, depth: int, leaves: list[tuple[bytes, bytes]]) -> bytes | None:
        """The node over `leaves` where nothing but them stands below; nodes further down are noted."""
        if len(leaves) < 2:
            return leaves[0][1] if leaves else None
        cut = _split(leaves, depth)
        digests = _BRANCH_TAG
        for part in (leaves[:cut], leaves[cut:]):
            after = self._built(depth + 1, part)
            if after is None:
                digests += ZERO_DIGEST
            else:
                self.writes[_path_to(part[0][0], depth + 1)] = after
                digests += _sha256(_NODE + after).digest()
        return digests


@dataclass(slots=True)
class _Side:
    """One half below a branch: its digest, and where it was read (`known`) its stored form before and after."""

    digest: bytes
    before: bytes | None
    after: bytes | None
    known: bool


@dataclass(frozen=True, slots=True)
class StateProof:
    """Shows a key's value, or that the key is not there, under a state root."""

    siblings: tuple[Digest, ...]
    """The other side at each branch, from the root down."""
    leaf: bytes
    """The stored leaf where the way ends: the key's own, another key's, or empty for an empty subtree."""


def prove_key(node: NodeReader, key: bytes) -> StateProof:
    """The proof for `key`, there or not."""
    bits = int.from_bytes(key_hash(key), "big")
    siblings: list[Digest] = []
    for depth in range(_BITS):
        stored = node(_path(bits >> _BITS - depth, depth))
        if stored is None or stored[0] == _LEAF:
            return StateProof(tuple(siblings), stored or b"")
        side = bits >> _BITS - depth - 1 & 1
        siblings.append(Digest(stored[33:65] if side == 0 else stored[1:33]))
    raise AssertionError("a branch stands at the depth of single keys")


def verify_key(root: Digest, key: bytes, value: bytes | None, proof: StateProof) -> bool:
    """Whether under `root` the key has this value (None: is not there)."""
    hashed = key_hash(key)
    depth = len(proof.siblings)
    bits = int.from_bytes(hashed, "big")
    if depth > _BITS:
        return False
    if value is not None:
        end_holds = proof.leaf == _leaf(key, value)
    elif not proof.leaf:
        end_holds = True
    else:
        # Another key's leaf shows absence; the hashes below put it on this key's way.
        end_holds = len(proof.leaf) == 65 and proof.leaf[0] == _LEAF and proof.leaf[1:33] != hashed
    digest = _digest(proof.leaf or None)
    for at in range(depth - 1, -1, -1):
        sibling = proof.siblings[at]
        pair = digest + sibling if bits >> _BITS - at - 1 & 1 == 0 else sibling + digest
        digest = _digest(_BRANCH_TAG + pair)
    return end_holds and digest == root


def _split(items: Sequence[tuple[bytes, object]], depth: int) -> int:
    """Where in `items`, ascending and alike in the first `depth` bits, the next bit turns from 0 to 1."""
    byte, mask = depth >> 3, 0x80 >> (depth & 7)
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle][0][byte] & mask:
            high = middle
        else:
            low = middle + 1
    return low


_ENDS = tuple(tuple(bytes(((byte >> 8 - bits << 1 | 1) << 7 - bits,)) for byte in range(256)) for bits in range(8))
"""A path's last byte, by the number of bits in it and the byte of the key."""


def _path_to(key: bytes, depth: int) -> bytes:
    """The path of the node at this depth on the way to a key."""
    whole = depth >> 3
    return key[:whole] + (_ENDS[depth & 7][key[whole]] if whole < len(key) else b"\x80")


def _path(prefix: int, depth: int) -> bytes:
    size = depth // 8 + 1
    return ((prefix << 1 | 1) << size * 8 - depth - 1).to_bytes(size, "big")


def key_hash(key: bytes) -> bytes:
    """Where the key stands in the tree: its bits lead from the root down."""
    return _sha256(_KEY + key).digest()


def _leaf(key: bytes, value: bytes) -> bytes:
    return bytes((_LEAF,)) + key_hash(key) + _sha256(_VALUE + value).digest()


def _digest(stored: bytes | None) -> Digest:
    return ZERO_DIGEST if stored is None else Digest(_sha256(_NODE + stored).digest())
