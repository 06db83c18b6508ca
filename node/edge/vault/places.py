"""Where sealed chunks lie: a local folder, or whatever fsspec reaches by URL (`s3://bucket/prefix`, ...).

Content-addressed: a chunk's name is its digest. So writing one twice is harmless, and a changed one is found on
reading. A place sees encrypted chunks, their sizes and count, and nothing else.
"""

import os
import secrets
from collections.abc import Container, Iterable
from typing import Any

import fsspec

from node.base.types import Digest
from node.edge.vault.errors import VaultError


class ChunkPlace:
    """A folder of chunks. Methods raise `OSError`, in the words of the file system behind."""

    def __init__(self, url: str) -> None:
        """Raises `VaultError` for a URL that cannot be used; the folder is made on the first write."""
        self.url = url
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise VaultError(f"{url} cannot be used as a place for data: {error}") from error
        self._root = str(root).rstrip("/")
        self._is_local = "file" in _protocols(self._fs)

    def put(self, digest: Digest, sealed: bytes) -> None:
        """Store a chunk, whole or not at all; on a disk it is safe only after `settle`."""
        path = self._path(digest)
        if not self._is_local:
            self._fs.pipe_file(path, sealed)
            return
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        draft = f"{path}.{secrets.token_hex(6)}"
        try:
            with self._fs.open(draft, "wb") as file:
                file.write(sealed)
            os.replace(draft, path)
        except BaseException:
            if os.path.exists(draft):
                os.unlink(draft)
            raise

    def settle(self, digests: Iterable[Digest]) -> None:
        """Returns when these chunks would survive a power loss."""
        if not self._is_local:
            return
        # Synced one by one while they are written, they would wait for the disk a thousand times.
        paths = [self._path(digest) for digest in digests]
        for path in (*paths, *sorted({os.path.dirname(path) for path in paths}), self._root):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def get(self, digest: Digest, bytes_max: int) -> bytes:
        """The stored bytes, at most one more than `bytes_max`. Raises `FileNotFoundError`."""
        content: bytes = self._fs.cat_file(self._path(digest), start=0, end=bytes_max + 1)
        return content

    def delete(self, digest: Digest) -> None:
        """Remove a chunk; nothing happens where it is not there."""
        try:
            self._fs.rm_file(self._path(digest))
        except FileNotFoundError:
            return

    def keep_only(self, wanted: Container[Digest]) -> None:
        """Delete every other chunk, and what an interrupted writing left."""
        for path in self._fs.find(self._root):
            name = str(path).rsplit("/", 1)[-1]
            if len(name) != 64 or Digest(bytes.fromhex(name)) not in wanted:
                self._fs.rm_file(path)

    def _path(self, digest: Digest) -> str:
        name = digest.hex()
        return f"{self._root}/{name[:2]}/{name}"


def _protocols(filesystem: Any) -> tuple[str, ...]:
    named = filesystem.protocol
    return (named,) if isinstance(named, str) else tuple(named)
