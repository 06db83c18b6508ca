"""Reads each key of the state once in a step, however many transactions of the step ask for it."""

from collections.abc import Iterator

from node.base.ports import StateReader


class RememberedState:
    """A `StateReader` before another one. `forget` at the start of every step: blocks are committed only between."""

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self._values: dict[bytes, bytes | None] = {}

    def forget(self) -> None:
        """Read everything anew from now on."""
        self._values.clear()

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
        return self._state.node(path)
