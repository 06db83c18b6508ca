"""Writes files so that a crash leaves the old one or the new one, whole. What is in them is not known here."""

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from node.edge.storage.errors import FileDamaged, FileMissing

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
FOLDER_MODE = 0o700


class Files:
    """Every change that vote log and snapshots make to the disk, by the operating system; a test's own records them.

    Every method raises `OSError`. Nothing is durable before it is synced, names by their folder.
    """

    def create(self, path: Path, mode: int) -> int:
        """Make a new file; its descriptor, for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)

    def open(self, path: Path) -> int:
        """Open a file for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def write(self, descriptor: int, content: bytes, at: int) -> None:
        """Write all of it at this place."""
        done = 0
        while done < len(content):
            done += os.pwrite(descriptor, content[done:], at + done)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Make durable what was written."""
        os.fsync(descriptor)

    def rename(self, path: Path, target: Path) -> None:
        """Give the file, or the folder with all in it, another name; a file that had it is gone."""
        path.replace(target)

    def remove(self, path: Path) -> None:
        """Take the name away, where it still is."""
        path.unlink(missing_ok=True)

    def remove_folder(self, folder: Path) -> None:
        """Take the folder away with all in it, as far as that can be had."""
        shutil.rmtree(folder, ignore_errors=True)

    def sync_folder(self, folder: Path) -> None:
        """Make the folder's names durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


OS_FILES = Files()


def make_private_folder(folder: Path) -> None:
    """Create `folder` (and its parents) and let nobody but the owner in."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    folder.chmod(FOLDER_MODE)


def write_atomically(path: Path, content: bytes, *, mode: int) -> None:
    """Replace `path` by `content`, synced with its folder. Raises `OSError`; then the old file still stands."""
    os.close(replace_atomically(path, content, mode=mode))


def replace_atomically(
    path: Path,
    content: bytes,
    *,
    mode: int,
    prepare: Callable[[Path, int], None] | None = None,
    files: Files = OS_FILES,
) -> int:
    """As `write_atomically`; returns the open descriptor, on which `prepare` was called before it had its name."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = files.create(draft, mode)
    try:
        os.fchmod(descriptor, mode)
        if prepare is not None:
            prepare(draft, descriptor)
        files.write(descriptor, content, 0)
        files.sync(descriptor)
        files.rename(draft, path)
        files.sync_folder(path.parent)
    except BaseException:
        os.close(descriptor)
        files.remove(draft)
        raise
    return descriptor


def write_once(path: Path, content: bytes, *, mode: int) -> None:
    """Like `write_atomically`, but raises `FileExistsError` where `path` stands already."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        write_atomically(draft, content, mode=mode)
        # A link, unlike a rename, never replaces.
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    OS_FILES.sync_folder(folder)


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """The file's bytes. Raises `FileMissing`, and `FileDamaged` above `bytes_max`."""
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise FileMissing(f"cannot read {path} ({error.strerror}): check that it exists and may be read") from error
    if len(content) > bytes_max:
        raise FileDamaged(f"{path} is larger than {bytes_max} bytes: it is not a file of this kind")
    return content
