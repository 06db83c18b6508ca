"""The ledger's state for who asks it the same again and again: between two blocks each value is read once.

What a chunk may be served on is looked up before each one, hundreds of times in a second; a block comes once in one.
"""

from collections.abc import Iterator

from node.base.ports import StateReader
from node.ledger.contracts.contract import Readable
from node.ledger.system import HEAD_KEY

VALUES_KEPT_MAX = 256


class Unchanged:
    """Keeps what it read for as long as the state has the same head; implements `Readable`."""

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self._values: dict[bytes, bytes | None] = {}

    def now(self) -> Readable:
        """The state after the last block, whatever was read before it."""
        head = self._state.get(HEAD_KEY)
        if len(self._values) > VALUES_KEPT_MAX or self._values.get(HEAD_KEY) != head:
            self._values = {HEAD_KEY: head}
        return self

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        if key not in self._values:
            self._values[key] = self._state.get(key)
        return self._values[key]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys with this prefix and their values, ascending by key; read anew each time."""
        return self._state.scan(prefix)
