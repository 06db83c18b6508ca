"""One process at a time works on a member's chain."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from node.app.settings import Folder, SettingsError


@contextmanager
def only_daemon(folder: Folder) -> Iterator[None]:
    """Nobody else works on the folder's chain meanwhile. Raises `SettingsError` when a daemon runs."""
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(f"a daemon runs for {folder.root} already; stop it first") from error
        yield
    finally:
        os.close(descriptor)
