"""Reads the same bytes once for all members of a simulation, as many are sent to all of them.

Values are immutable, and equal bytes give equal values; bytes that somebody changed on the way are others and are read
for themselves, and what is refused is refused anew each time.
"""

from typing import Any

from node.base.codec import decode

KEPT_MAX = 4_096


class SharedReader:
    """Stands in the place of the codec's `decode`. Of too many values, the oldest go."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, bytes], Any] = {}

    def __call__(self, kind: Any, data: bytes) -> Any:
        """The value of `kind` whose byte form is exactly `data`. Raises `DecodeError`."""
        key = (kind, data)
        value = self._known.get(key)
        if value is None:
            value = decode(kind, data)
            if len(self._known) >= KEPT_MAX:
                del self._known[next(iter(self._known))]
            self._known[key] = value
        return value
