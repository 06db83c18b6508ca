"""Uncommitted writes on top of what they will change: a block's on the state, a transaction's on its block's."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from node.ledger.contracts.contract import Readable


class Overlay:
    """Reads as if its writes were made; leaves the base untouched."""

    __slots__ = ("_base", "_order", "_writes")

    def __init__(self, base: Readable) -> None:
        self._base = base
        self._writes: dict[bytes, bytes | None] = {}
        self._order: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        if key in self._writes:
            return self._writes[key]
        return self._base.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys with this prefix and their values, ascending; what is written from now on is not seen."""
        start = bisect_left(self._order, prefix)
        own: list[tuple[bytes, bytes | None]] = []
        for key in self._order[start:]:
            if not key.startswith(prefix):
                break
            own.append((key, self._writes[key]))
        return _merged(self._base.scan(prefix), own)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value at `key`."""
        self._write(key, value)

    def delete(self, key: bytes) -> None:
        """Remove `key`."""
        self._write(key, None)

    def _write(self, key: bytes, value: bytes | None) -> None:
        if key not in self._writes:
            insort(self._order, key)
        self._writes[key] = value

    def take(self, above: "Overlay") -> None:
        """Make the writes of `above`, an overlay on this one."""
        for key, value in above._writes.items():
            self._write(key, value)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """What differs from the base, ascending by key; None deletes."""
        return [(key, self._writes[key]) for key in self._order if self._base.get(key) != self._writes[key]]


def _merged(
    base: Iterator[tuple[bytes, bytes]], own: list[tuple[bytes, bytes | None]]
) -> Iterator[tuple[bytes, bytes]]:
    """Both in order of keys; `own` stands before the base where both have a key, and its None hides it."""
    at = 0
    for key, value in base:
        while at < len(own) and own[at][0] < key:
            if (mine := own[at][1]) is not None:
                yield own[at][0], mine
            at += 1
        if at < len(own) and own[at][0] == key:
            if (mine := own[at][1]) is not None:
                yield key, mine
            at += 1
        else:
            yield key, value
    for key, mine in own[at:]:
        if mine is not None:
            yield key, mine
