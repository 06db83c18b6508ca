"""What a command of `scripts/` does when it is told to stop: it ends in order, says so, and its exit code is 130."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""As a shell has it of what Ctrl-C ended."""
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def raised() -> Iterator[None]:
    """Every signal that asks for an end raises `KeyboardInterrupt` meanwhile."""
    before = [(number, signal.signal(number, _interrupt)) for number in _heeded()]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


async def until_signalled(work: Coroutine[Any, Any, int], command: str) -> int:
    """Run `work`, whose answer is the exit code; a signal cancels it, so that everything is stopped in order."""
    running = asyncio.ensure_future(work)
    for number in _heeded():
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        return interrupted(command)


def interrupted(command: str, words: str = "") -> int:
    """Say it, with what is to be known besides; the exit code."""
    print(f"{command}: interrupted{words}", file=sys.stderr)
    return INTERRUPTED


def _heeded() -> list[signal.Signals]:
    """All but those that we were started to ignore, as by `nohup` or by a script's `&`."""
    return [number for number in _ENDS if signal.getsignal(number) != signal.SIG_IGN]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
