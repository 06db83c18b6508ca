"""What is remembered of one peer for its operator: its clock, when it was heard, what went wrong. Decides nothing."""

from collections import Counter, deque
from dataclasses import dataclass, field

CLOCK_WINDOW_S = 60.0
"""A peer's clock is told from the frame of least delay in this window and the one before."""


class PeerClock:
    """How far a peer's clock is ahead, from the times that its frames carry.

    A frame that was sent at s and comes at r says that the peer is ahead by s - r plus the frame's delay, so by s - r
    at least. The frame of least delay says it best. Two windows are kept, so that a clock that was set is noticed.
    """

    def __init__(self) -> None:
        self._best: deque[tuple[float, int]] = deque(maxlen=2)
        """(when the window began, the greatest s - r in it)"""

    def heard(self, sent_ms: int, *, wall_ms: int, mono_s: float) -> None:
        """A frame came."""
        ahead_ms = sent_ms - wall_ms
        if not self._best or mono_s - self._best[-1][0] >= CLOCK_WINDOW_S:
            self._best.append((mono_s, ahead_ms))
        elif ahead_ms > self._best[-1][1]:
            self._best[-1] = (self._best[-1][0], ahead_ms)

    @property
    def ahead_ms(self) -> int | None:
        """The peer's clock less ours, at least; None before the first frame."""
        return max((ahead for _, ahead in self._best), default=None)


@dataclass(slots=True)
class PeerReadings:
    """What is remembered of one peer."""

    clock: PeerClock = field(default_factory=PeerClock)
    heard_s: float | None = None
    """`time.monotonic()` of the last frame."""
    changed_s: float | None = None
    """When the control link last came up or went down."""
    failure: str | None = None
    """Why the last dial did not succeed, or the last link ended."""
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals of this peer by kind."""
