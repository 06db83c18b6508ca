"""What comes from other members: data sets on their way into the vault, and copies that are kept for others.

Beside it, envelopes: keys of own versions, sealed to who may have them, and keys of others' that were sealed to this
member. Small files, each replaced whole; for worker threads of the daemon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.base.codec import DecodeError, decode, encode
from node.base.types import Digest, data_owner
from node.edge.vault.errors import VaultError, VersionDamaged
from node.edge.vault.records import CHUNKS_MAX, RECORD_BYTES_MAX, WriteFile
from node.edge.vault.vault import CHUNKS, RECEIVED

ARRIVALS_MAX = 256
"""Data sets on their way, and those that were stopped and not looked at."""
ARRIVAL_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """A data set on its way here; what a restarted daemon goes on from."""

    fetch: Digest
    basis: Digest
    data: str
    version: int
    operation: str
    """What it may be used for; empty: for anything."""
    envelope: bytes = b""
    """As the owner sent it, once it has."""
    stopped: str = ""
    """Why nothing more comes; empty while it is under way."""


class Arrivals:
    """The data sets on their way into one member's vault; one of these at a time for a vault.

    What is on disk is read once: the list is asked for after every block. All but `all` block.
    """

    def __init__(self, vault: Path, write: WriteFile) -> None:
        """Raises `OSError`."""
        self._folder = vault / RECEIVED / "under-way"
        self._write = write
        paths = self._folder.glob("*.arrival") if self._folder.is_dir() else ()
        self._known = {path.stem: found for path in paths if (found := _arrival(path)) is not None}

    def all(self) -> list[Arrival]:
        """Every one that could be read, by its file's name."""
        return [found for _, found in sorted(self._known.items())]

    def keep(self, arrival: Arrival) -> None:
        """Write or replace it. Raises `OSError`, and `VaultError` when there are too many."""
        path = self._path(arrival.fetch)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stem not in self._known and len(self._known) >= ARRIVALS_MAX:
            raise VaultError(f"{ARRIVALS_MAX} data sets are on their way already: wait until some are here")
        self._write(path, encode(arrival))
        self._known[path.stem] = arrival

    def keep_digests(self, fetch: Digest, digests: Sequence[Digest]) -> None:
        """What its chunks are, the fingerprint on the ledger having been checked. Raises `OSError`."""
        self._write(self._path(fetch).with_suffix(".chunks"), b"".join(digests))

    def digests(self, fetch: Digest) -> tuple[Digest, ...]:
        """What its chunks are; nothing while that is not known. Raises `OSError`."""
        path = self._path(fetch).with_suffix(".chunks")
        raw = path.read_bytes() if path.exists() else b""
        return split_digests(raw) if len(raw) % 32 == 0 else ()

    def forget_digests(self, fetch: Digest) -> None:
        """None of its chunks is here any more. Raises `OSError`."""
        self._path(fetch).with_suffix(".chunks").unlink(missing_ok=True)

    def forget(self, fetch: Digest) -> None:
        """It is here, or not wanted any more. Raises `OSError`."""
        for suffix in (".chunks", ".arrival"):
            self._path(fetch).with_suffix(suffix).unlink(missing_ok=True)
        self._known.pop(fetch.hex(), None)

    def _path(self, fetch: Digest) -> Path:
        return self._folder / f"{fetch.hex()}.arrival"


def _arrival(path: Path) -> Arrival | None:
    try:
        raw = path.read_bytes()
        return decode(Arrival, raw) if len(raw) <= ARRIVAL_BYTES_MAX else None
    except DecodeError:
        # Its fetch is made again by whoever misses it.
        return None


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that is kept for its owner."""

    data: str
    version: int
    digests: tuple[Digest, ...]
    record: bytes
    """Sealed to the owner."""


class Copies:
    """The copies that one member keeps for others; one of these at a time for a vault.

    Which there are is read once: the list is asked for after every block. All but `all` block.
    """

    def __init__(self, vault: Path, write: WriteFile) -> None:
        """Raises `OSError`."""
        self._folder = vault / "replicas"
        self._write = write
        found = self._folder.glob("sets/*/*/*.chunks")
        self._known = {(f"{path.parent.parent.name}/{path.parent.name}", int(path.stem)) for path in found}

    @property
    def place(self) -> str:
        """Where their chunks lie."""
        return str((self._folder / CHUNKS).absolute())

    def keep(self, copy: Copy) -> None:
        """All chunks are on disk: write what they are. Raises `OSError`."""
        base = self._base(copy.data, copy.version)
        base.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(base.with_suffix(".record"), copy.record)
        self._write(base.with_suffix(".chunks"), b"".join(copy.digests))
        self._known.add((copy.data, copy.version))

    def get(self, data: str, version: int) -> Copy | None:
        """The copy, if it is kept. Raises `OSError`, `VersionDamaged`."""
        base = self._base(data, version)
        try:
            digests = base.with_suffix(".chunks").read_bytes()
            record = base.with_suffix(".record").read_bytes()
        except FileNotFoundError:
            return None
        if len(digests) % 32 or len(digests) > 32 * CHUNKS_MAX or len(record) > RECORD_BYTES_MAX:
            raise VersionDamaged(f"the copy of version {version} of {data} is damaged: delete {base}.*")
        return Copy(data, version, split_digests(digests), record)

    def all(self) -> list[tuple[str, int]]:
        """Data sets with versions, ascending."""
        return sorted(self._known)

    def forget(self, data: str, version: int) -> None:
        """Remove what it is; its chunks are for `ChunkPlace`. Raises `OSError`."""
        base = self._base(data, version)
        for suffix in (".chunks", ".record"):
            base.with_suffix(suffix).unlink(missing_ok=True)
        self._known.discard((data, version))

    def _base(self, data: str, version: int) -> Path:
        owner = data_owner(data)
        assert owner is not None, "the ledger knows no other names"
        return self._folder / "sets" / owner / data.partition("/")[2] / f"{version:08}"


class Envelopes:
    """Sealed keys by basis and version: of own versions, or those that others sealed to this member."""

    def __init__(self, vault: Path, write: WriteFile, *, received: bool = False) -> None:
        self._folder = (vault / RECEIVED if received else vault) / "envelopes"
        self._write = write

    def keep(self, basis: Digest, version: int, envelope: bytes) -> None:
        """Write or replace it. Raises `OSError`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self._path(basis, version), envelope)

    def get(self, basis: Digest, version: int) -> bytes | None:
        """The envelope, if there is one. Raises `OSError`."""
        path = self._path(basis, version)
        return path.read_bytes() if path.exists() else None

    def forget(self, basis: Digest, version: int) -> None:
        """It is not needed any more. Raises `OSError`."""
        self._path(basis, version).unlink(missing_ok=True)

    def _path(self, basis: Digest, version: int) -> Path:
        return self._folder / f"{basis.hex()}-{version:08}"


def split_digests(raw: bytes) -> tuple[Digest, ...]:
    """Digests that stand one after the other."""
    return tuple(Digest(raw[at : at + 32]) for at in range(0, len(raw), 32))
