"""The daemon's side: starts the verifying process at the first look, feeds it, ends it when there was nothing for long.

Only an advance: whatever is not verified in time, or at all, the daemon verifies itself when it comes to it.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from node.base.codec import encode
from node.base.types import Digest, MemberSet
from node.edge.verifying.looks import MARK_BYTES, Look, read_frame, write_frame

LOOKS_MAX: Final = 3
"""Answers that wait or are looked at; a member asks for no more than two at once. Further ones are left alone."""
IDLE_S: Final = 10.0
"""The process takes 25 MB; without a look for so long it ends."""
END_S: Final = 5.0

OnGood = Callable[[Iterable[bytes]], None]
"""(marks of signatures that hold), on the loop's thread."""


class SignaturesAhead:
    """Looks at fetched blocks before the replica does. Every method is called on the loop's thread."""

    def __init__(
        self,
        chain: Digest,
        on_good: OnGood,
        log: Callable[[str], None],
        *,
        cores: int | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        """`cores` are those of this machine: with a single one, nothing is gained, and nothing is done."""
        self._chain = chain
        self._on_good = on_good
        self._log = log
        self._idle_s = idle_s
        self._active = (len(os.sched_getaffinity(0)) if cores is None else cores) > 1
        # One thread speaks to the process: the loop's own is busy with the blocks before.
        self._thread = ThreadPoolExecutor(1, "signatures-ahead")
        self._child: subprocess.Popen[bytes] | None = None
        self._looks = 0
        self._rest: asyncio.TimerHandle | None = None

    @property
    def process_id(self) -> int | None:
        """The running process, for measurements and tests."""
        return None if self._child is None else self._child.pid

    def look(self, message: bytes, members: MemberSet) -> None:
        """Verify what the answer of a peer holds, as signed by `members`."""
        if not self._active or self._looks >= LOOKS_MAX:
            return
        self._looks += 1
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, self._look, Look(self._chain, members, message), loop)
        work.add_done_callback(self._looked)

    async def close(self) -> None:
        """End the process, in the middle of a look, too."""
        self._active = False
        if self._rest is not None:
            self._rest.cancel()
        if self._child is not None:
            self._child.kill()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._end()

    def _looked(self, work: asyncio.Future[None]) -> None:
        self._looks -= 1
        if work.cancelled():
            return
        error = work.exception()
        if error is not None and self._active:
            self._active = False
            self._thread.submit(self._end)
            self._log(f"signatures of fetched blocks are verified one after another, without a second process: {error}")
        if self._looks == 0 and self._active:
            self._rest = asyncio.get_running_loop().call_later(self._idle_s, self._thread.submit, self._end)

    def _look(self, look: Look, loop: asyncio.AbstractEventLoop) -> None:
        """Blocking. Raises `OSError` when there is no process, or it has ended."""
        child = self._started()
        assert child.stdin is not None, "the process has a pipe as stdin"
        assert child.stdout is not None, "the process has a pipe as stdout"
        write_frame(child.stdin, encode(look))
        while marks := read_frame(child.stdout):
            good = [marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES)]
            loop.call_soon_threadsafe(self._on_good, good)
        if marks is None:
            raise OSError(f"it ended with status {child.wait(END_S)}")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._child = subprocess.Popen(
                (sys.executable, "-P", "-m", "node.edge.verifying.child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Ctrl-C is for the daemon.
                start_new_session=True,
            )
        return self._child

    def _end(self) -> None:
        """Close its stdin, which ends it."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None, "the process has a pipe as stdin"
        assert child.stdout is not None, "the process has a pipe as stdout"
        with suppress(OSError):
            child.stdin.close()
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()
