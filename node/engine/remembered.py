"""Reads each key of the state and each page of its tree once, however many transactions and blocks ask for it, and
keeps a bounded number of them: every block writes to some of the keys that the one before it wrote to.

Nothing but the blocks of this replica changes the state, so what was read holds until a block writes it.
"""

from collections.abc import Iterator
from itertools import chain, islice

from node.base.crown import Crown
from node.base.ports import StateReader, Writes

PAGES_KEPT_MAX = 512
VALUES_KEPT_MAX = 2_048
VALUE_BYTES_KEPT_MAX = 4_096
"""A longer value is kept for one step only."""
SCANS_KEPT_MAX = 64
PAIRS_KEPT_MAX = 4
"""What was found below a prefix is kept when it is so little: each block asks for what is nearly always nothing, as
changes of members that wait."""

_SEPARATOR = b"/"


class RememberedState:
    """A `StateReader` before another one.

    `forget` at the start of every step: blocks are committed only between. `committed` and `replaced` say what became
    of values and pages.
    """

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self._values: dict[bytes, bytes | None] = {}
        self._long: list[bytes] = []
        self._pages: dict[int, bytes | None] = {}
        self._scans: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {}

    def forget(self) -> None:
        """Let go of what is more than may be kept."""
        for key in self._long:
            self._values.pop(key, None)
        self._long.clear()
        if len(self._values) > VALUES_KEPT_MAX:
            self._values.clear()
        if len(self._pages) > PAGES_KEPT_MAX:
            self._pages.clear()

    def committed(self, writes: Writes) -> None:
        """A block's writes are in the state now."""
        for key, value in writes.state:
            # Every block asks for what the one before it wrote.
            if key in self._values:
                self._keep(key, value)
            if self._scans:
                self._drop_scans(key)
        self._pages.update((number, page) for number, page in writes.pages if number in self._pages)

    def replaced(self) -> None:
        """The state is another one."""
        self._values.clear()
        self._long.clear()
        self._pages.clear()
        self._scans.clear()

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        try:
            return self._values[key]
        except KeyError:
            value = self._state.get(key)
            self._keep(key, value)
            return value

    def _keep(self, key: bytes, value: bytes | None) -> None:
        self._values[key] = value
        if value is not None and len(value) > VALUE_BYTES_KEPT_MAX:
            self._long.append(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys with this prefix and their values, ascending by key."""
        known = self._scans.get(prefix)
        if known is not None:
            return iter(known)
        found = self._state.scan(prefix)
        first = tuple(islice(found, PAIRS_KEPT_MAX + 1))
        is_short = len(first) <= PAIRS_KEPT_MAX and all(len(value) <= VALUE_BYTES_KEPT_MAX for _, value in first)
        if not is_short or not prefix.endswith(_SEPARATOR):
            return chain(first, found)
        if len(self._scans) >= SCANS_KEPT_MAX:
            self._scans.clear()
        self._scans[prefix] = first
        return iter(first)

    def _drop_scans(self, key: bytes) -> None:
        """The key was written: what was found below any of its prefixes holds no more."""
        end = key.find(_SEPARATOR)
        while end >= 0:
            self._scans.pop(key[: end + 1], None)
            end = key.find(_SEPARATOR, end + 1)

    @property
    def crown(self) -> Crown:
        """The upper levels of the state's tree."""
        return self._state.crown

    def page(self, number: int) -> bytes | None:
        """The page of this number, of what is below."""
        try:
            return self._pages[number]
        except KeyError:
            page = self._pages[number] = self._state.page(number)
            return page
