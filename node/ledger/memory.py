"""The state held in memory: for verifying a chain offline, for simulations and tests."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from node.base.crown import Crown
from node.base.ports import Writes


class MemoryState:
    """Implements the port `StateReader`; a block's writes are applied as a store would commit them."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.pages: dict[int, bytes] = {}
        self.crown = Crown()
        self._order: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        return self.values.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys with this prefix and their values, ascending, as they are now."""
        start = stop = bisect_left(self._order, prefix)
        while stop < len(self._order) and self._order[stop].startswith(prefix):
            stop += 1
        return iter([(key, self.values[key]) for key in self._order[start:stop]])

    def page(self, number: int) -> bytes | None:
        """One page of the state's tree."""
        return self.pages.get(number)

    def apply(self, writes: Writes) -> None:
        """Make one block's writes."""
        for key, value in writes.state:
            if value is None:
                if self.values.pop(key, None) is not None:
                    del self._order[bisect_left(self._order, key)]
            else:
                if key not in self.values:
                    insort(self._order, key)
                self.values[key] = value
        for number, page in writes.pages:
            if page is None:
                self.pages.pop(number, None)
            else:
                self.pages[number] = page
        self.crown.apply(writes.crown)
