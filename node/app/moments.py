"""Moments as operators read them: what now is, and how a moment is written."""

import datetime
import time

from node.base.ports import StateReader
from node.ledger.system import head


def now_ms(state: StateReader) -> int:
    """The later one of the last block's time and this machine's clock: expiry does not wait for a block."""
    return max(head(state).time_ms, time.time_ns() // 1_000_000)


def iso(time_ms: int) -> str:
    """A moment as `2026-01-31T08:00:00Z`; beyond the calendar's years, where a contract may name one, the number."""
    try:
        moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    except (ValueError, OverflowError):
        return f"{time_ms} ms"
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
