"""Records what vote log and snapshots do to their files, and refuses it where the journal says the disk is full."""

import errno
import os
from pathlib import Path

from node.edge.storage.files import Files
from node.testing.power.journal import Create, Journal, Rename, Sync, SyncFolder, Truncate, Unlink, Write


class RecordingFiles(Files):
    """The operating system's files, with each change noted first. Nothing is really synced: the journal knows."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._paths: dict[int, str] = {}

    def create(self, path: Path, mode: int) -> int:
        """See `Files`."""
        self._change()
        descriptor = super().create(path, mode)
        self._paths[descriptor] = str(path)
        self._journal.events.append(Create(str(path)))
        return descriptor

    def open(self, path: Path) -> int:
        """See `Files`."""
        descriptor = super().open(path)
        self._paths[descriptor] = str(path)
        return descriptor

    def write(self, descriptor: int, content: bytes, at: int) -> None:
        """See `Files`. A full disk takes the first half."""
        if self._journal.refuses():
            half = content[: len(content) // 2]
            self._journal.events.append(Write(self._paths[descriptor], at, half))
            super().write(descriptor, half, at)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._journal.events.append(Write(self._paths[descriptor], at, content))
        super().write(descriptor, content, at)

    def truncate(self, descriptor: int, size: int) -> None:
        """See `Files`."""
        self._change()
        self._journal.events.append(Truncate(self._paths[descriptor], size))
        super().truncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """See `Files`."""
        self._change()
        self._journal.events.append(Sync(self._paths[descriptor]))

    def rename(self, path: Path, target: Path) -> None:
        """See `Files`."""
        self._change()
        super().rename(path, target)
        self._paths = {
            descriptor: str(target) if named == str(path) else named for descriptor, named in self._paths.items()
        }
        self._journal.events.append(Rename(str(path), str(target)))

    def remove(self, path: Path) -> None:
        """See `Files`."""
        if path.exists():
            self._journal.events.append(Unlink(str(path)))
        super().remove(path)

    def remove_folder(self, folder: Path) -> None:
        """See `Files`."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self._journal.events.append(Unlink(str(path)))
        super().remove_folder(folder)

    def sync_folder(self, folder: Path) -> None:
        """See `Files`."""
        self._change()
        self._journal.events.append(SyncFolder(str(folder)))

    def _change(self) -> None:
        if self._journal.refuses():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
