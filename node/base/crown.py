"""The upper levels of the state's tree, as they are held in memory and handed from who decides to who writes.

Of nodes only: what a node's digest is, and what stands below, is `ledger.tree`'s.
"""

from collections.abc import Iterable

CROWN_LEVELS = 19
"""At most 34 MB; at a million keys a page below has two, which a changed key folds anew."""
CROWN_SEGMENT = 64
"""Nodes that are allocated together: a small state needs few of them, until all are reserved."""
_EMPTY_SEGMENT = bytes(32 * CROWN_SEGMENT)
CrownEntry = tuple[int, int, bytes]
"""A node of the crown: its index, how many keys stand below it (2: more than one), its digest."""


class Crown:
    """The upper levels of the state's tree. The root has the index 1, a node's halves twice its index and one more."""

    __slots__ = ("counts", "segments")

    def __init__(self) -> None:
        self.counts = bytearray(2 << CROWN_LEVELS)
        self.segments: list[bytes | bytearray] = [_EMPTY_SEGMENT] * ((2 << CROWN_LEVELS) // CROWN_SEGMENT)
        """The digests, 32 bytes for each node, zero where nothing stands below."""

    def reserve(self) -> None:
        """Take the memory of all nodes now, so that who holds it does not grow with the state."""
        self.segments = [bytearray(one) if one is _EMPTY_SEGMENT else one for one in self.segments]

    def digest(self, index: int) -> bytes:
        """Of the node with this index."""
        at = 32 * (index % CROWN_SEGMENT)
        return bytes(self.segments[index // CROWN_SEGMENT][at : at + 32])

    def apply(self, entries: Iterable[CrownEntry]) -> None:
        """Set nodes."""
        counts, segments = self.counts, self.segments
        for index, count, digest in entries:
            counts[index] = count
            segment = segments[index // CROWN_SEGMENT]
            if segment is _EMPTY_SEGMENT:
                segment = segments[index // CROWN_SEGMENT] = bytearray(segment)
            at = 32 * (index % CROWN_SEGMENT)
            segment[at : at + 32] = digest  # type: ignore[index]
