"""The Merkle tree of RFC 6962, section 2.1, with proofs for one leaf and for a run of leaves.

A root is 32 bytes. A tree of n leaves splits at the largest power of two below n. Leaves are hashed with the
prefix 0x00 and nodes with 0x01, so that no node can be passed off as a leaf.
"""

import hashlib
from collections.abc import Sequence

_sha256 = hashlib.sha256


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 2.1: SHA-256(0x00 || leaf)."""
    return _sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 2.1: SHA-256(0x01 || left || right)."""
    return _sha256(b"\x01" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of the leaves' bytes; of no leaves, SHA-256 of nothing."""
    return merkle_root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def merkle_root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over leaves that are hashed already (each 32 bytes)."""
    if not hashes:
        return _sha256(b"").digest()
    # Pairing neighbours and passing an odd last one up gives the RFC's tree, without recursion.
    level = list(hashes)
    while len(level) > 1:
        pairs = [_sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            pairs.append(level[-1])
        level = pairs
    return level[0]


def prove(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of RFC 6962 2.1.1 for the leaf at `index`, from the leaf to the root."""
    return prove_range([leaf_hash(leaf) for leaf in leaves], index, index + 1)


def prove_sides(leaves: Sequence[bytes], index: int) -> list[tuple[bool, bytes]]:
    """The audit path as `prove` gives it, each hash with whether it stands on the left: needs no size to be read."""
    low, high = 0, len(leaves)
    sides: list[bool] = []
    while high - low > 1:
        middle = low + _split(high - low)
        sides.append(index >= middle)
        low, high = (middle, high) if index >= middle else (low, middle)
    return list(zip(reversed(sides), prove(leaves, index), strict=True))


def verify_inclusion(root: bytes, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bool:
    """Whether `leaf` stands at `index` of the tree of `size` leaves with this root."""
    return verify_range(root, size, index, [leaf_hash(leaf)], path)


def prove_range(hashes: Sequence[bytes], start: int, stop: int) -> list[bytes]:
    """The hashes that, with the leaf hashes of [start, stop), give the root; in the order `verify_range` reads.

    Raises `ValueError` unless 0 <= start < stop <= len(hashes).
    """
    if not 0 <= start < stop <= len(hashes):
        raise ValueError(f"[{start}, {stop}) is no run of the {len(hashes)} leaves")
    path: list[bytes] = []

    def walk(low: int, high: int) -> None:
        if start <= low and high <= stop:
            return
        if high <= start or stop <= low:
            path.append(merkle_root_of_hashes(hashes[low:high]))
            return
        middle = low + _split(high - low)
        inside_left = start < middle
        # The part with leaves of the run comes first, so that one leaf gives the RFC's order.
        for part in ((low, middle), (middle, high)) if inside_left else ((middle, high), (low, middle)):
            walk(*part)

    walk(0, len(hashes))
    return path


def verify_range(root: bytes, size: int, start: int, run: Sequence[bytes], path: Sequence[bytes]) -> bool:
    """Whether the leaf hashes `run` stand from `start` on in the tree of `size` leaves with this root."""
    stop = start + len(run)
    if not (run and 0 <= start < stop <= size):
        return False
    rest = iter(path)

    def walk(low: int, high: int) -> bytes:
        if start <= low and high <= stop:
            return merkle_root_of_hashes(run[low - start : high - start])
        if high <= start or stop <= low:
            return next(rest)
        middle = low + _split(high - low)
        if start < middle:
            left = walk(low, middle)
            right = walk(middle, high)
        else:
            right = walk(middle, high)
            left = walk(low, middle)
        return _sha256(b"\x01" + left + right).digest()

    try:
        found = walk(0, size)
    except StopIteration:
        return False
    return found == root and next(rest, None) is None


class MerkleTree:
    """A tree with its nodes kept, for many proofs: each costs a walk, not the hashing of the whole tree."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        """`hashes` are the leaf hashes, 32 bytes each."""
        self._levels = [list(hashes)]
        while len(self._levels[-1]) > 1:
            level = self._levels[-1]
            pairs = [_sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
            if len(level) % 2:
                pairs.append(level[-1])
            self._levels.append(pairs)

    def __len__(self) -> int:
        """Leaves."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """The same as `merkle_root_of_hashes` of the leaves."""
        return self._levels[-1][0] if self._levels[0] else _sha256(b"").digest()

    def prove_range(self, start: int, stop: int) -> list[bytes]:
        """The same as `prove_range` of the leaves. Raises `ValueError` unless 0 <= start < stop <= leaves."""
        size = len(self)
        if not 0 <= start < stop <= size:
            raise ValueError(f"[{start}, {stop}) is no run of the {size} leaves")
        path: list[bytes] = []

        def walk(low: int, high: int) -> None:
            if start <= low and high <= stop:
                return
            if high <= start or stop <= low:
                # Every node of the tree covers [k 2^d, (k + 1) 2^d), cut at the end: it stands at level d, place k.
                depth = (high - low - 1).bit_length()
                path.append(self._levels[depth][low >> depth])
                return
            middle = low + _split(high - low)
            inside_left = start < middle
            for part in ((low, middle), (middle, high)) if inside_left else ((middle, high), (low, middle)):
                walk(*part)

        walk(0, size)
        return path


def _split(size: int) -> int:
    """The largest power of two below `size` (RFC 6962 2.1)."""
    return 1 << (size - 1).bit_length() - 1
