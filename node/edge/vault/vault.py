"""The vault: data sets at rest, encrypted before they are anywhere, in versions, in chunks.

Streams: whatever the size of a data set, a few chunks are in memory. An adding that is interrupted leaves no version;
what it wrote is swept by the next one, and its key never existed outside its process.
"""

import fcntl
import hashlib
import hmac
import io
import json
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.base.crypto import SealError, open_sealed_with_any, seal
from node.base.ports import Sealer
from node.base.types import Digest, OrgId, PublicKey, is_org_id
from node.edge.vault.chunks import (
    CHUNK_BYTES,
    MANIFEST_BYTES_MAX,
    ChunkBuffer,
    ChunkRefused,
    Place,
    chunk_digest,
    chunks_root,
    open_chunk,
    seal_chunk,
    sealed_bytes_max,
)
from node.edge.vault.errors import AlreadyKept, Busy, NotKept, VaultError, VersionDamaged
from node.edge.vault.notes import Note, Strays, sweep
from node.edge.vault.places import ChunkPlace
from node.edge.vault.reading import ChunkReader
from node.edge.vault.records import Records, Version, WriteFile
from node.edge.vault.sources import Source, SourceFile

KEY_BYTES = 32
WORKERS = 4
"""Threads that seal and store; sealing and syncing both leave the interpreter free."""
UNDER_WAY_MAX = 2 * WORKERS
"""Chunks in memory at once."""
SECRET = "secret"
CHUNKS = "chunks"
RECEIVED = "received"
NOTES = "adding"
DOWNLOAD = "download"
"""The operation that lets a received version be written out."""

Progress = Callable[[int], None]
"""Hears of plain bytes done, piece by piece."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one chunk of a version."""

    chunk: int
    """0 is the manifest."""
    reason: str


class Vault:
    """One member's data sets. Blocking: for commands, and for worker threads of the daemon."""

    def __init__(
        self,
        folder: Path,
        org: OrgId,
        data_keys: tuple[bytes, ...],
        data_public: PublicKey,
        sealer: Sealer,
        write: WriteFile,
    ) -> None:
        """`data_keys` are the private halves, newest first; new versions are sealed to `data_public`."""
        self._folder = folder
        self._org = org
        self._data_keys = data_keys
        self._data_public = data_public
        self._sealer = sealer
        self._write = write
        self.records = Records(folder / "sets", org, write)

    @property
    def default_place(self) -> str:
        """Where chunks lie unless told otherwise."""
        return str((self._folder / CHUNKS).absolute())

    @property
    def received_place(self) -> str:
        """Where the chunks of others' data sets lie."""
        return str((self._folder / RECEIVED / CHUNKS).absolute())

    def received(self, owner: OrgId) -> Records:
        """What was fetched of this owner's."""
        return Records(self._folder / RECEIVED / "sets" / owner, owner, self._write)

    def all_received(self) -> list[Version]:
        """All versions of others' data sets that are here. Raises `VersionDamaged`."""
        folder = self._folder / RECEIVED / "sets"
        owners = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        found = (self.received(OrgId(owner)) for owner in owners)
        return [version for records in found for name in records.names() for version in records.versions(name)]

    def delete_received(self, digests: Iterable[Digest]) -> None:
        """Delete chunks of a version that is not received after all. Raises `OSError`."""
        chunks, others = ChunkPlace(self.received_place), self._referenced(self.received_place)
        for digest in digests:
            if digest not in others:
                chunks.delete(digest)

    def records_of(self, data: str) -> tuple[Records, str]:
        """Where versions of `name` (own) or `owner/name` are, and the name without the owner. Raises `NotKept`."""
        owner, slash, name = data.rpartition("/")
        if not slash or owner == self._org:
            return self.records, name
        if not is_org_id(owner):
            raise NotKept(f"{data!r} is no data set's name: it is NAME for your own, OWNER/NAME for one you received")
        return self.received(OrgId(owner)), name

    def sealed_to_self(self, key: bytes, data: str, id_: bytes) -> bytes:
        """A version's key as its record keeps it."""
        return seal(self._data_public, key, _key_context(data, id_))

    def key_of(self, version: Version) -> bytes:
        """What opens the version's chunks. Raises `VersionDamaged`."""
        try:
            return open_sealed_with_any(self._data_keys, version.sealed_key, _key_context(version.data, version.id))
        except SealError as error:
            raise VersionDamaged(
                f"the key of version {version.number} of {version.name} opens with none of this member's data keys: "
                "restore the version's record, or the keys, from a backup"
            ) from error

    def add(
        self,
        source: Source,
        name: str,
        *,
        label: str,
        purpose: str,
        now_ms: int,
        place: str | None = None,
        progress: Progress = lambda count: None,
    ) -> Version:
        """Encrypt and store a new version; it counts only when this returns.

        Raises `AlreadyKept` for the bytes of a version that is kept, `SourceRefused`, `VaultError`, `OSError`.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        chunks = ChunkPlace(place or self.default_place)
        # Held until this returns: the sweep of another adding would take these chunks for left behind.
        with self._alone():
            return self._add(source, name, label, purpose, now_ms, chunks, progress)

    def _add(
        self, source: Source, name: str, label: str, purpose: str, now_ms: int, chunks: ChunkPlace, progress: Progress
    ) -> Version:
        self._sweep(chunks)
        key, id_ = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(16)
        # The vault's own folder is swept by looking at it.
        note = None if chunks.url == self.default_place else Note(self._folder / NOTES, chunks.url)
        writing = _Writing(AESGCM(key), self._secret(), f"{self._org}/{name}", id_, chunks, note)
        try:
            fingerprint = self._write_chunks(source, writing, progress)
            for known in self.records.versions(name):
                if known.fingerprint == fingerprint:
                    raise AlreadyKept(name, known.number)
            writing.finish(source.files)
            version = Version(
                owner=self._org,
                name=name,
                number=self.records.next_number(name),
                id=id_,
                kind=source.kind,
                label=label,
                purpose=purpose,
                columns=source.columns,
                plain_bytes=source.plain_bytes,
                sealed_bytes=writing.sealed_bytes,
                root=chunks_root(writing.digests),
                digests=tuple(writing.digests),
                sealed_key=self.sealed_to_self(key, writing.data, id_),
                place=chunks.url,
                fingerprint=fingerprint,
                added_ms=now_ms,
                transaction=None,
            )
            self.records.keep(version)
        except BaseException:
            if note is None:
                writing.undo()
            else:
                # The place may be what failed; its own error says more than another one here.
                with suppress(VaultError, OSError):
                    self._sweep_noted()
            raise
        finally:
            if note is not None:
                note.close()
        if note is not None:
            note.path.unlink()
        return version

    def sweep(self) -> list[Strays]:
        """Delete what addings that broke off left in other places than the vault's own; what was done in each.

        Raises `Busy` while another command adds: what is under way is not left behind. Raises `OSError`.
        """
        if not self._notes():
            return []
        with self._alone():
            return self._sweep_noted()

    def published(self, version: Version, transaction: bytes) -> Version:
        """Note which transaction put the version on the ledger. Raises `OSError`."""
        noted = replace(version, transaction=transaction)
        self.records.keep(noted)
        return noted

    def verify(self, version: Version, progress: Progress = lambda count: None) -> list[Problem]:
        """Read and open every chunk; all that is wrong with the version. Raises `VersionDamaged` for its key."""
        opening = self._opening(version)
        problems = []
        for index in range(len(version.digests)):
            try:
                progress(len(opening.chunk(index)))
            except VersionDamaged as error:
                problems.append(Problem(index, str(error)))
        return problems

    def files(self, version: Version) -> tuple[SourceFile, ...]:
        """What the version holds. Raises `VersionDamaged`."""
        return self._opening(version).files()

    def open(self, version: Version) -> BinaryIO:
        """The version's one file as a seekable reader, chunk by chunk. Raises `VersionDamaged`, also while it is read.

        Raises `VaultError` for a version of several files.
        """
        opening = self._opening(version)
        files = opening.files()
        if len(files) != 1:
            raise VaultError(f"{version.name} is {len(files)} files: only a data set of one file can be read in place")
        # Each version has one size, which its first chunk shows: another version of this program may have added it.
        first = opening.chunk(1) if len(version.digests) > 1 else b""
        reader = ChunkReader(lambda index: opening.chunk(index + 1), max(1, len(first)), files[0].size_bytes)
        return io.BufferedReader(reader, CHUNK_BYTES)

    def extract(self, version: Version, folder: Path, progress: Progress = lambda count: None) -> list[Path]:
        """Write the version's files in the clear below `folder`; returns them. Raises `VersionDamaged`, `OSError`.

        Raises `VaultError` for what was fetched for another operation than download.
        """
        if version.received is not None and version.received.operation not in ("", DOWNLOAD):
            raise VaultError(
                f"{version.data} was fetched for the operation {version.received.operation}: "
                f"request it with --operation {DOWNLOAD} to write it out"
            )
        opening = self._opening(version)
        written = []
        pieces = _Pieces(opening.pieces())
        for entry in opening.files():
            path = _inside(folder, entry.path)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("xb") as file:
                path.chmod(0o600)
                for piece in pieces.take(entry.size_bytes):
                    file.write(piece)
                    progress(len(piece))
            written.append(path)
        return written

    def remove(self, version: Version) -> None:
        """Delete record, key and chunks of this version; others are not touched. Raises `OSError`."""
        chunks = ChunkPlace(version.place)
        (self.records if version.received is None else self.received(version.owner)).forget(version)
        shared = self._referenced(version.place)
        for digest in version.digests:
            if digest not in shared:
                chunks.delete(digest)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy("another command adds to this vault now: wait until it has ended") from error
            yield

    def _write_chunks(self, source: Source, writing: "_Writing", progress: Progress) -> bytes:
        """Seal and store all pieces; returns the keyed hash over them."""
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="vault") as pool:
            try:
                left = source.plain_bytes
                for index, count in enumerate(source.read_into(writing.next_room), start=1):
                    left -= count
                    writing.submit(pool, index, left == 0, count)
                    progress(count)
                writing.wait()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return writing.fingerprint(source.kind)

    def _secret(self) -> bytes:
        """A random key of this member's own, for knowing its data again; on disk sealed."""
        path = self._folder / SECRET
        if not path.exists():
            self._write(path, self._sealer.seal(SECRET, secrets.token_bytes(KEY_BYTES)))
        return self._sealer.open(SECRET, path.read_bytes())

    def _sweep(self, chunks: ChunkPlace) -> None:
        """Delete what interrupted addings left; of other places than the default one only what was noted."""
        self._sweep_noted()
        if chunks.url != self.default_place or not Path(chunks.url).exists():
            return
        chunks.keep_only(self._referenced(chunks.url))

    def _notes(self) -> list[Path]:
        folder = self._folder / NOTES
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _sweep_noted(self) -> list[Strays]:
        """What is noted and in no version goes; a place that does not answer is tried again the next time."""
        notes = self._notes()
        versions = self._all_versions() if notes else ()
        wanted = {digest for version in versions for digest in version.digests}
        return [sweep(note, wanted) for note in notes]

    def _referenced(self, place: str) -> set[Digest]:
        return {digest for version in self._all_versions() if version.place == place for digest in version.digests}

    def _all_versions(self) -> tuple[Version, ...]:
        own = [version for name in self.records.names() for version in self.records.versions(name)]
        return (*own, *self.all_received())

    def _opening(self, version: Version) -> "_Opening":
        return _Opening(AESGCM(self.key_of(version)), version.data, version, ChunkPlace(version.place))


@dataclass(frozen=True, slots=True)
class _Stored:
    """One piece, sealed and stored."""

    digest: Digest
    sealed_bytes: int
    keyed: bytes
    """The keyed hash of its plain bytes."""


class _Writing:
    """One version on its way into a place."""

    def __init__(
        self, key: AESGCM, secret: bytes, data: str, id_: bytes, chunks: ChunkPlace, note: Note | None
    ) -> None:
        """`secret` keys the fingerprint; `note` hears of each chunk before it is stored."""
        self.data = data
        self.digests: list[Digest] = []
        self.sealed_bytes = 0
        self._key = key
        self._secret = secret
        self._pieces = hmac.new(secret, digestmod="sha256")
        self._id = id_
        self._chunks = chunks
        self._note = note
        self._free = [ChunkBuffer() for _ in range(UNDER_WAY_MAX)]
        self._under_way: deque[tuple[ChunkBuffer, Future[_Stored]]] = deque()

    def next_room(self) -> memoryview:
        """Where the next piece is to be read; waits while too many are under way."""
        if not self._free:
            self._collect()
        return self._free[-1].room

    def submit(self, pool: ThreadPoolExecutor, index: int, last: bool, count: int) -> None:
        """Seal and store, on a thread, the piece of `count` bytes that was read into the room."""
        buffer = self._free.pop()
        self._under_way.append((buffer, pool.submit(self._keep, buffer, index, last, count)))

    def wait(self) -> None:
        """Until all that was submitted is stored."""
        while self._under_way:
            self._collect()

    def fingerprint(self, kind: str) -> bytes:
        """A keyed hash of all that was stored, over the keyed hashes of the pieces."""
        return hmac.new(self._secret, kind.encode() + b"\x00" + self._pieces.digest(), "sha256").digest()

    def finish(self, files: tuple[SourceFile, ...]) -> None:
        """Store the list of files as chunk 0, all else being stored, and wait for the disk."""
        content = json.dumps([[file.path, file.size_bytes] for file in files], ensure_ascii=False).encode()
        if len(content) > MANIFEST_BYTES_MAX:
            raise VaultError(
                f"the list of files has {len(content)} bytes, {MANIFEST_BYTES_MAX} at most: pack the files"
            )
        sealed = seal_chunk(self._key, self._place(0, False), content)
        self.digests.insert(0, self._store(sealed))
        self.sealed_bytes += len(sealed)
        self._chunks.settle(self.digests)

    def undo(self) -> None:
        """Delete what was stored, as far as the place lets: it belongs to no version."""
        for _, future in self._under_way:
            if future.cancel() or future.exception() is not None:
                continue
            self.digests.append(future.result().digest)
        # The place may be what failed; its own error says more than another one here.
        with suppress(OSError):
            for digest in self.digests:
                self._chunks.delete(digest)

    def _keep(self, buffer: ChunkBuffer, index: int, last: bool, count: int) -> "_Stored":
        # Here and not in the reader's thread: it costs as much as the rest.
        keyed = hmac.digest(self._secret, buffer.room[:count], _sha256)
        sealed = buffer.seal(self._key, self._place(index, last), count)
        return _Stored(self._store(sealed), len(sealed), keyed)

    def _store(self, sealed: bytes | memoryview) -> Digest:
        digest = chunk_digest(sealed)
        if self._note is not None:
            self._note.put(digest)
        self._chunks.put(digest, sealed)
        return digest

    def _place(self, index: int, last: bool) -> Place:
        return Place(self.data, self._id, index, last)

    def _collect(self) -> None:
        buffer, future = self._under_way.popleft()
        stored = future.result()
        self._free.append(buffer)
        self.digests.append(stored.digest)
        self.sealed_bytes += stored.sealed_bytes
        self._pieces.update(stored.keyed)


@dataclass(frozen=True, slots=True)
class _Opening:
    """One version being read."""

    key: AESGCM
    data: str
    version: Version
    chunks: ChunkPlace

    def chunk(self, index: int) -> bytes:
        """The plain bytes of one chunk. Raises `VersionDamaged`, which names it."""
        version = self.version
        what = f"chunk {index} of version {version.number} of {version.name}"
        bytes_max = MANIFEST_BYTES_MAX if index == 0 else CHUNK_BYTES
        try:
            sealed = self.chunks.get(version.digests[index], sealed_bytes_max(index))
        except FileNotFoundError as error:
            raise VersionDamaged(f"{what} is missing in {version.place}") from error
        if chunk_digest(sealed) != version.digests[index]:
            raise VersionDamaged(f"{what} was changed in {version.place}")
        place = Place(self.data, version.id, index, last=index == len(version.digests) - 1 and index > 0)
        try:
            return open_chunk(self.key, place, sealed, bytes_max)
        except ChunkRefused as error:
            raise VersionDamaged(f"{what} does not open: {error}") from error

    def pieces(self) -> Iterator[bytes]:
        """The data, chunk by chunk."""
        return (self.chunk(index) for index in range(1, len(self.version.digests)))

    def files(self) -> tuple[SourceFile, ...]:
        """From the manifest."""
        try:
            return tuple(SourceFile(str(path), int(size)) for path, size in json.loads(self.chunk(0)))
        except (ValueError, TypeError) as error:
            raise VersionDamaged(
                f"the manifest of {self.version.name} is of an unknown form: upgrade lepton"
            ) from error


class _Pieces:
    """A stream of pieces, cut anew."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def take(self, count: int) -> Iterator[bytes]:
        """The next `count` bytes, in some pieces. Raises `VersionDamaged` where there are fewer."""
        while count:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    raise VersionDamaged("the data end before the files that the manifest names")
                self._rest = memoryview(piece)
            part, self._rest = self._rest[:count], self._rest[count:]
            count -= len(part)
            yield bytes(part)


def _sha256(content: bytes = b"") -> "hashlib._Hash":
    # Given the function itself or its name, `hmac` hashes without letting other threads run.
    return hashlib.sha256(content)


def _inside(folder: Path, relative: str) -> Path:
    """A path below the folder. Raises `VersionDamaged` for one that leads out of it."""
    path = folder / relative
    if Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise VersionDamaged(f"a file of the data set would be written outside of {folder}")
    return path


def _key_context(data: str, id_: bytes) -> bytes:
    return b"lepton/vault-key\x00" + data.encode() + b"\x00" + id_
