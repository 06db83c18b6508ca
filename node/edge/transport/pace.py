"""How often something may happen: so many at once, so many a second in the long run."""

from collections.abc import Callable

_ROUNDING_S = 1e-6


class Pace:
    """Hands out moments. Bounded: one number."""

    def __init__(self, per_s: float, at_once: int, clock: Callable[[], float]) -> None:
        """`clock` tells seconds."""
        self._step_s = 1 / per_s
        self._saved_s = at_once / per_s
        self._clock = clock
        self._taken_until_s = float("-inf")

    def next_s(self) -> float:
        """Take the next moment; how many seconds away it is, 0 for now."""
        now = self._clock()
        self._taken_until_s = max(self._taken_until_s, now - self._saved_s) + self._step_s
        return max(0.0, self._taken_until_s - now)

    def allows(self) -> bool:
        """Take a moment if there is one now."""
        now = self._clock()
        after = max(self._taken_until_s, now - self._saved_s) + self._step_s
        if after > now + _ROUNDING_S:
            return False
        self._taken_until_s = after
        return True
