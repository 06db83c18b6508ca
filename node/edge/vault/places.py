"""Where sealed chunks lie: a local folder, or whatever fsspec reaches by URL (`s3://bucket/prefix`, ...).

Content-addressed: a chunk's name is its digest. So writing one twice is harmless, and a changed one is found on
reading. A place sees encrypted chunks, their sizes and count, and nothing else.
"""

import os
import secrets
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import fsspec

from node.base.types import Digest
from node.edge.vault.chunks import chunk_digest
from node.edge.vault.direct import ReadMemory, Staged, write_file
from node.edge.vault.errors import VaultError

SYNCING_MAX = 8
"""Files that wait for the disk at once: it writes many together as fast as one."""


S3 = frozenset({"s3", "s3a"})
S3_CONFIG = {"connect_timeout": 10, "read_timeout": 30, "retries": {"total_max_attempts": 1}}
"""s3fs itself tries five times, within two seconds of a broken connection."""


class ChunkPlace:
    """A folder of chunks. Methods raise `OSError`, in the words of the file system behind."""

    def __init__(self, url: str) -> None:
        """Raises `VaultError` for a URL that cannot be used; the folder is made on the first write."""
        self.url = url
        is_s3 = url.partition("://")[0] in S3
        try:
            self._fs, root = fsspec.core.url_to_fs(url, **({"config_kwargs": S3_CONFIG} if is_s3 else {}))
        except ImportError as error:
            raise VaultError(f"{url} needs more packages: pip install 'lepton[s3]' ({error})") from error
        except ValueError as error:
            raise VaultError(f"{url} cannot be used as a place for data: {error}") from error
        self._root = str(root).rstrip("/")
        self._is_local = "file" in _protocols(self._fs)
        self._foreign = _s3_errors() if is_s3 else ()

    def put(self, digest: Digest, sealed: bytes | memoryview) -> None:
        """Store a chunk, whole or not at all; on a disk it is safe only after `settle`."""
        path = self._path(digest)
        if not self._is_local:
            with self._in_words():
                self._fs.pipe_file(path, bytes(sealed))
            return
        _replace(path, partial(write_file, content=sealed))

    def put_if_true(self, digest: Digest, sealed: bytes | memoryview) -> bool:
        """As `put`, for bytes from elsewhere: only where they are the chunk of this digest; whether they are."""
        if not self._is_local:
            is_true = chunk_digest(sealed) == digest
            if is_true:
                self.put(digest, sealed)
            return is_true
        staged = Staged(sealed)
        if staged.digest != digest:
            return False
        _replace(self._path(digest), staged.write)
        return True

    def settle(self, digests: Iterable[Digest]) -> None:
        """Returns when these chunks would survive a power loss."""
        if not self._is_local:
            return
        # Synced one by one while they are written, they would wait for the disk a thousand times.
        paths = [self._path(digest) for digest in digests]
        with ThreadPoolExecutor(SYNCING_MAX, thread_name_prefix="settle") as pool:
            for part in (paths, sorted({os.path.dirname(path) for path in paths}), [self._root]):
                for _ in pool.map(_sync, part):
                    pass

    def get(self, digest: Digest, bytes_max: int) -> bytes:
        """The stored bytes, at most one more than `bytes_max`. Raises `FileNotFoundError`."""
        with self._in_words():
            content: bytes = self._fs.cat_file(self._path(digest), start=0, end=bytes_max + 1)
        return content

    def get_once(self, memory: ReadMemory, digest: Digest, bytes_max: int, *, behind: bytes = b"") -> memoryview:
        """As `get`, for what is not read again soon, put behind other bytes; it holds until the next is read.

        Raises `FileNotFoundError`.
        """
        if self._is_local:
            return memory.read(self._path(digest), bytes_max, behind=behind)
        return memoryview(behind + self.get(digest, bytes_max))

    def size(self, digests: Iterable[Digest]) -> int:
        """The bytes of these chunks together. Raises `FileNotFoundError`."""
        with self._in_words():
            return sum(int(self._fs.size(self._path(digest))) for digest in digests)

    def missing(self, digests: Sequence[Digest], bytes_max: int) -> list[int]:
        """Which of these chunks are not there, or are not true, by their place in the list. Reads all of them."""
        found, memory = [], ReadMemory()
        for index, digest in enumerate(digests):
            try:
                is_true = chunk_digest(self.get_once(memory, digest, bytes_max)) == digest
            except FileNotFoundError:
                is_true = False
            if not is_true:
                found.append(index)
        return found

    def delete(self, digest: Digest) -> None:
        """Remove a chunk; nothing happens where it is not there."""
        with suppress(FileNotFoundError), self._in_words():
            self._fs.rm_file(self._path(digest))

    def sweep(self, digest: Digest) -> None:
        """Remove a chunk, and what an interrupted writing of it left."""
        self.delete(digest)
        if self._is_local:
            path = Path(self._path(digest))
            for draft in path.parent.glob(f"{path.name}.*"):
                draft.unlink(missing_ok=True)

    def keep_only(self, wanted: Container[Digest]) -> None:
        """Delete every other chunk, and what an interrupted writing left."""
        for path in self._fs.find(self._root):
            name = str(path).rsplit("/", 1)[-1]
            if len(name) != 64 or Digest(bytes.fromhex(name)) not in wanted:
                self._fs.rm_file(path)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Make `OSError` of what the file system behind raises besides."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise OSError(f"{self.url}: {error}") from error
        except self._foreign as error:
            raise OSError(f"{self.url} does not answer as it should: {error}") from error

    def _path(self, digest: Digest) -> str:
        name = digest.hex()
        return f"{self._root}/{name[:2]}/{name}"


def _s3_errors() -> tuple[type[Exception], ...]:
    # An extra: not installed where no place is of this kind.
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def _replace(path: str, write: Callable[[str], None]) -> None:
    """Put what is written in the place of the file, whole or not at all."""
    draft = f"{path}.{secrets.token_hex(6)}"
    try:
        try:
            write(draft)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            write(draft)
        os.replace(draft, path)
    except BaseException:
        if os.path.exists(draft):
            os.unlink(draft)
        raise


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _protocols(filesystem: Any) -> tuple[str, ...]:
    named = filesystem.protocol
    return (named,) if isinstance(named, str) else tuple(named)
