"""Processes that share out a search: they end with the one that started them, however that ended."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait


def workers(jobs: int) -> ProcessPoolExecutor:
    """A pool of so many processes. One whose parent was killed would wait for its next work for ever."""
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    # Ctrl-C reaches all of them, and only their parent has something to say of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker"

    def watch() -> None:
        wait([parent.sentinel])
        # From a thread nothing else ends a process in the middle of its work, of which nobody hears any more.
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
