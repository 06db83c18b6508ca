"""A state in memory cut into a snapshot's parts and chunks, as the production cuts the one on disk."""

from collections.abc import Mapping

from node.ledger.snapshot import CHUNK_BYTES, Part, Sizes, encode_chunk
from node.ledger.tree import key_hash, subtree


def cut(values: Mapping[bytes, bytes], chunk_bytes: int = CHUNK_BYTES) -> tuple[tuple[Part, ...], tuple[bytes, ...]]:
    """The parts, and the chunk of each."""
    entries = sorted(values.items(), key=lambda entry: key_hash(entry[0]))
    sizes = Sizes()
    for key, value in entries:
        sizes.add(key_hash(key), key, value)
    parts, chunks = [], []
    for prefix, depth in sizes.cuts(chunk_bytes):
        inside = [entry for entry in entries if int.from_bytes(key_hash(entry[0]), "big") >> 256 - depth == prefix]
        parts.append(Part(prefix, depth, subtree(prefix, depth, inside).root))
        chunks.append(encode_chunk(inside))
    return tuple(parts), tuple(chunks)
