"""The machine's clocks and chance."""

import os
import time

from node.base.types import Instant


class SystemClock:
    """Implements the port `Clock`."""

    def now(self) -> Instant:
        """This moment by the machine's monotonic and wall clocks."""
        return Instant(mono_ms=time.monotonic_ns() // 1_000_000, wall_ms=time.time_ns() // 1_000_000)


class SystemEntropy:
    """Implements the port `Entropy`."""

    def bytes(self, count: int) -> bytes:
        """`count` bytes from the operating system."""
        return os.urandom(count)
