"""Writes files so that a crash leaves the old one or the new one, whole. What is in them is not known here."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from node.edge.storage.errors import FileDamaged, FileMissing

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
FOLDER_MODE = 0o700


def make_private_folder(folder: Path) -> None:
    """Create `folder` (and its parents) and let nobody but the owner in."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    folder.chmod(FOLDER_MODE)


def write_atomically(path: Path, content: bytes, *, mode: int) -> None:
    """Replace `path` by `content`, synced with its folder. Raises `OSError`; then the old file still stands."""
    os.close(replace_atomically(path, content, mode=mode))


def replace_atomically(
    path: Path, content: bytes, *, mode: int, prepare: Callable[[Path, int], None] | None = None
) -> int:
    """As `write_atomically`; returns the open descriptor, on which `prepare` was called before it had its name."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        if prepare is not None:
            prepare(draft, descriptor)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
        draft.replace(path)
        sync_folder(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        draft.unlink(missing_ok=True)
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
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
