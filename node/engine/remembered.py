"""Reads each key of the state once in a step, however many transactions of the step ask for it, and keeps the upper
nodes of the state's tree: every write goes through them, and in a large state there are many."""

from collections.abc import Iterator

from node.base.ports import StateReader, Writes

DEPTH_KEPT_MAX = 12
"""Nodes above this depth are kept: 4,095 of 65 bytes."""


class RememberedState:
    """A `StateReader` before another one.

    `forget` at the start of every step: blocks are committed only between. `committed` and `replaced` say what became
    of the nodes.
    """

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self._values: dict[bytes, bytes | None] = {}
        self._nodes: dict[bytes, bytes | None] = {}

    def forget(self) -> None:
        """Read every key anew from now on."""
        self._values.clear()

    def committed(self, writes: Writes) -> None:
        """A block's writes are in the state now."""
        self._nodes.update((path, node) for path, node in writes.nodes if path in self._nodes)

    def replaced(self) -> None:
        """The state is another one."""
        self._values.clear()
        self._nodes.clear()

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        try:
            return self._values[key]
        except KeyError:
            value = self._values[key] = self._state.get(key)
            return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys with this prefix and their values, ascending by key."""
        return self._state.scan(prefix)

    def node(self, path: bytes) -> bytes | None:
        """The stored form of one node of the state tree."""
        if path in self._nodes:
            return self._nodes[path]
        node = self._state.node(path)
        if _depth(path) < DEPTH_KEPT_MAX:
            self._nodes[path] = node
        return node


def _depth(path: bytes) -> int:
    """A path is its bits, then a 1 and zeros to the byte's end."""
    last = path[-1]
    return 8 * len(path) - (last & -last).bit_length()
