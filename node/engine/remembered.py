"""Reads each key of the state once, however many transactions and blocks ask for it, and keeps the upper nodes of the
state's tree, since every write goes through them, and a bounded number of others: every block writes to some of the
keys that the one before it wrote to.

Nothing but the blocks of this replica changes the state, so what was read holds until a block writes it.
"""

from collections.abc import Iterator
from itertools import chain, islice

from node.base.ports import StateReader, Writes

DEPTH_KEPT_MAX = 12
"""Nodes above this depth are kept: 4,095 of 65 bytes."""
UPPER_PATH_BYTES_MAX = DEPTH_KEPT_MAX // 8 + 1
DEEP_NODES_KEPT_MAX = 2_048
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
    of values and nodes.
    """

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self._values: dict[bytes, bytes | None] = {}
        self._long: list[bytes] = []
        self._nodes: dict[bytes, bytes | None] = {}
        self._deep: list[bytes] = []
        self._scans: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {}

    def forget(self) -> None:
        """Let go of what is more than may be kept."""
        for key in self._long:
            self._values.pop(key, None)
        self._long.clear()
        if len(self._values) > VALUES_KEPT_MAX:
            self._values.clear()
        if len(self._deep) > DEEP_NODES_KEPT_MAX:
            for path in self._deep:
                del self._nodes[path]
            self._deep.clear()

    def committed(self, writes: Writes) -> None:
        """A block's writes are in the state now."""
        for key, value in writes.state:
            # Every block asks for what the one before it wrote.
            if key in self._values:
                self._keep(key, value)
            if self._scans:
                self._drop_scans(key)
        self._nodes.update((path, node) for path, node in writes.nodes if path in self._nodes)

    def replaced(self) -> None:
        """The state is another one."""
        self._values.clear()
        self._long.clear()
        self._nodes.clear()
        self._deep.clear()
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

    def node(self, path: bytes) -> bytes | None:
        """The stored form of one node of the state tree."""
        if path in self._nodes:
            return self._nodes[path]
        node = self._state.node(path)
        self._nodes[path] = node
        if len(path) > UPPER_PATH_BYTES_MAX or _depth(path) >= DEPTH_KEPT_MAX:
            self._deep.append(path)
        return node


def _depth(path: bytes) -> int:
    """A path is its bits, then a 1 and zeros to the byte's end."""
    last = path[-1]
    return 8 * len(path) - (last & -last).bit_length()
