"""Leaves of 1 KiB: salted commitments to an update, plain ones to a result, and the chunks that carry both.

A leaf is 256 values as little-endian int32. An update's leaf is hashed behind a salt of its own, so that a leaf
that was never sent cannot be guessed from the commitment; salts come from one secret seed per training round. A
result's leaves are for all participants and need no salt. A chunk carries a run of leaves and the proof that they
stand where they should (RFC 6962, section 2.1).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from node.base.codec import DecodeError, decode, encode
from node.base.crypto import MerkleTree, digest, leaf_hash, verify_range
from node.base.types import Digest
from node.core.averaging.integers import Int32s, RuleError, pack24, unpack24
from node.ledger.contracts.training.types import LEAF_VALUES

LEAF_BYTES = 4 * LEAF_VALUES
SALT_BYTES = 16
SEED_BYTES = 32
CHUNK_LEAVES = 768
"""Leaves in one chunk: below 1 MiB also as int32, with salts and proof, sealed."""


class BadChunk(Exception):
    """A chunk that is not what was committed: its sender's fault. The text says why."""


@dataclass(frozen=True, slots=True)
class UpdateChunk:
    """A run of one contributor's leaves."""

    start: int
    salts: bytes
    values: bytes
    """24 bits each: an update's values have 22."""
    proof: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class ResultChunk:
    """A run of one range's result."""

    start: int
    """From the beginning of the range."""
    values: bytes
    """int32 each: sums have up to 31 bits."""
    proof: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a member sends of its rows in training round 0; `salt` keeps the commitment from telling it to others."""

    salt: bytes
    blob: bytes


def statement_digest(statement: Statement) -> Digest:
    """What the ledger holds of a member's statistics."""
    return Digest(digest("lepton/statistics", statement.salt, statement.blob))


def salt_of(seed: bytes, leaf: int) -> bytes:
    """The salt of one leaf; nothing about another one's follows from it."""
    return hashlib.blake2b(leaf.to_bytes(8, "big"), digest_size=SALT_BYTES, key=seed).digest()


def chunk_bounds(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cuts the leaves [start, stop) into runs of at most `CHUNK_LEAVES`."""
    for low in range(start, stop, CHUNK_LEAVES):
        yield low, min(low + CHUNK_LEAVES, stop)


class CommittedUpdate:
    """One's own update with its leaves hashed."""

    def __init__(self, values: Int32s, seed: bytes) -> None:
        """`values` are whole leaves, `seed` is 32 secret bytes for this training round alone."""
        assert values.size % LEAF_VALUES == 0
        assert len(seed) == SEED_BYTES
        self.values = values
        self.seed = seed
        raw = memoryview(np.ascontiguousarray(values, dtype="<i4").tobytes())
        self._tree = MerkleTree(
            [
                leaf_hash(salt_of(seed, leaf) + raw[leaf * LEAF_BYTES : (leaf + 1) * LEAF_BYTES])
                for leaf in range(values.size // LEAF_VALUES)
            ]
        )

    @property
    def root(self) -> Digest:
        """What the ledger holds."""
        return Digest(self._tree.root)

    def leaves(self, start: int, stop: int) -> Int32s:
        """The values of the leaves [start, stop)."""
        return self.values[start * LEAF_VALUES : stop * LEAF_VALUES]

    def chunk(self, start: int, stop: int) -> bytes:
        """The byte form of a chunk with the leaves [start, stop)."""
        return encode(
            UpdateChunk(
                start,
                b"".join(salt_of(self.seed, leaf) for leaf in range(start, stop)),
                pack24(self.leaves(start, stop)),
                tuple(Digest(node) for node in self._tree.prove_range(start, stop)),
            )
        )


def open_update_chunk(data: bytes, root: Digest, leaves: int, start: int, stop: int) -> tuple[int, Int32s]:
    """Check a chunk that should begin at leaf `start` and end at or before `stop` of an update of `leaves` leaves.

    Returns the leaf after its last one and its values. Raises `BadChunk`.
    """
    try:
        chunk = decode(UpdateChunk, data)
        values = unpack24(chunk.values)
    except (DecodeError, RuleError) as error:
        raise BadChunk(f"not a chunk of an update: {error}") from error
    count = _counted(chunk.start, values.size, start, stop)
    if len(chunk.salts) != count * SALT_BYTES:
        raise BadChunk(f"{len(chunk.salts)} bytes of salts for {count} leaves")
    raw = memoryview(np.ascontiguousarray(values, dtype="<i4").tobytes())
    hashes = [
        leaf_hash(chunk.salts[at * SALT_BYTES : (at + 1) * SALT_BYTES] + raw[at * LEAF_BYTES : (at + 1) * LEAF_BYTES])
        for at in range(count)
    ]
    if not verify_range(root, leaves, start, hashes, chunk.proof):
        raise BadChunk(f"the leaves from {start} on are not the committed ones")
    return start + count, values


class Result:
    """The sum over one range, with its leaves hashed."""

    def __init__(self, values: Int32s, root: Digest | None = None) -> None:
        """`values` are whole leaves, none for an empty range; `root` is given where it was checked already."""
        assert values.size % LEAF_VALUES == 0
        self.values = values
        self._root = root

    @cached_property
    def _tree(self) -> MerkleTree:
        return MerkleTree(_plain_hashes(self.values))

    @property
    def root(self) -> Digest:
        """What the ledger holds."""
        return self._root if self._root is not None else Digest(self._tree.root)

    @property
    def leaves(self) -> int:
        """How many leaves the range has."""
        return self.values.size // LEAF_VALUES

    def chunk(self, start: int, stop: int) -> bytes:
        """The byte form of a chunk with the leaves [start, stop) of the range."""
        return encode(
            ResultChunk(
                start,
                np.ascontiguousarray(self.values[start * LEAF_VALUES : stop * LEAF_VALUES], dtype="<i4").tobytes(),
                tuple(Digest(node) for node in self._tree.prove_range(start, stop)),
            )
        )


def open_result_chunk(data: bytes, root: Digest, leaves: int, start: int) -> tuple[int, Int32s]:
    """Check a chunk that should begin at leaf `start` of a range of `leaves` leaves. Raises `BadChunk`."""
    try:
        chunk = decode(ResultChunk, data)
    except DecodeError as error:
        raise BadChunk(f"not a chunk of a result: {error}") from error
    if len(chunk.values) % 4:
        raise BadChunk(f"{len(chunk.values)} bytes are no int32 values")
    values = np.frombuffer(chunk.values, dtype="<i4").astype(np.int32)
    count = _counted(chunk.start, values.size, start, leaves)
    if not verify_range(root, leaves, start, _plain_hashes(values), chunk.proof):
        raise BadChunk(f"the leaves from {start} on are not those of the reported result")
    return start + count, values


def _plain_hashes(values: Int32s) -> list[bytes]:
    raw = np.ascontiguousarray(values, dtype="<i4").tobytes()
    return [leaf_hash(raw[at : at + LEAF_BYTES]) for at in range(0, len(raw), LEAF_BYTES)]


def _counted(named: int, values: int, start: int, stop: int) -> int:
    count, rest = divmod(values, LEAF_VALUES)
    if named != start:
        raise BadChunk(f"leaves from {start} on were asked for, not from {named} on")
    if rest or not 1 <= count <= min(CHUNK_LEAVES, stop - start):
        raise BadChunk(f"{values} values are not 1 to {min(CHUNK_LEAVES, stop - start)} whole leaves")
    return count
