"""What the vault keeps beside the chunks: one small readable file per version, and the digests of its chunks.

Nothing here is secret from the member's own operator, and nothing of it opens the data: the version's key is sealed to
the organisation's data key. The digests are held against the version's root on every reading.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from node.base.types import Digest, OrgId
from node.edge.vault.chunks import chunks_root
from node.edge.vault.errors import NotKept, VersionDamaged
from node.edge.vault.sources import Column

RECORD_BYTES_MAX = 4 << 20
CHUNKS_MAX = 1 << 24

WriteFile = Callable[[Path, bytes], None]
"""(path, content): replaces the file, whole and synced, readable by its owner alone. Raises `OSError`."""


@dataclass(frozen=True, slots=True)
class Received:
    """How another's version came to be here."""

    fetch: Digest
    basis: Digest
    operation: str
    """What it may be used for; empty: for anything."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a data set."""

    owner: OrgId
    name: str
    """Without the owner."""
    number: int
    """Counts up from 1."""
    id: bytes
    """16 random bytes: part of what the chunks are bound to."""
    kind: str
    label: str
    purpose: str
    columns: tuple[Column, ...]
    plain_bytes: int
    sealed_bytes: int
    root: Digest
    digests: tuple[Digest, ...]
    """Of the sealed chunks; the first is the manifest's."""
    sealed_key: bytes
    place: str
    """URL of the folder of chunks."""
    fingerprint: bytes
    """Keyed with a secret of this member: tells it, and nobody else, that the same data are added again."""
    added_ms: int
    transaction: bytes | None
    """That put it on the ledger; None until one has."""
    received: Received | None = None
    """None for this member's own."""

    @property
    def data(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"


class Records:
    """The versions of all data sets of one owner."""

    def __init__(self, folder: Path, owner: OrgId, write: WriteFile) -> None:
        self._folder = folder
        self._owner = owner
        self._write = write

    def names(self) -> list[str]:
        """The data sets, ascending."""
        if not self._folder.is_dir():
            return []
        return sorted(place.name for place in self._folder.iterdir() if self._numbers(place.name))

    def versions(self, name: str) -> list[Version]:
        """All versions of the data set, oldest first. Raises `VersionDamaged`."""
        return [self.version(name, number) for number in self._numbers(name)]

    def version(self, name: str, number: int | None = None) -> Version:
        """One version, by default the newest. Raises `NotKept`, `VersionDamaged`."""
        numbers = self._numbers(name)
        if not numbers:
            raise NotKept(f"the vault keeps no data set {name!r}; lepton data list shows what there is")
        wanted = numbers[-1] if number is None else number
        if wanted not in numbers:
            raise NotKept(f"the vault keeps versions {', '.join(map(str, numbers))} of {name}, not {wanted}")
        return self._read(name, wanted)

    def next_number(self, name: str) -> int:
        """The number of the data set's next version; those of removed versions are not given again."""
        marker = self._folder / name / "last"
        removed = int(marker.read_text()) if marker.exists() else 0
        return max([removed, *self._numbers(name)]) + 1

    def keep(self, version: Version) -> None:
        """Write or replace the version's files. Raises `OSError`."""
        base = self._folder / version.name / f"{version.number:06}"
        base.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(base.with_suffix(".chunks"), b"".join(version.digests))
        self._write(base.with_suffix(".json"), to_bytes(version))

    def forget(self, version: Version) -> None:
        """Remove the version's files; its number is not given again. Raises `OSError`."""
        folder = self._folder / version.name
        last = self.next_number(version.name) - 1
        self._write(folder / "last", str(last).encode())
        for suffix in (".json", ".chunks"):
            (folder / f"{version.number:06}{suffix}").unlink(missing_ok=True)

    def _numbers(self, name: str) -> list[int]:
        return sorted(int(path.stem) for path in (self._folder / name).glob("[0-9]*.json"))

    def _read(self, name: str, number: int) -> Version:
        base = self._folder / name / f"{number:06}"
        try:
            digests = base.with_suffix(".chunks").read_bytes()
            raw = base.with_suffix(".json").read_bytes()
            version = from_bytes(self._owner, name, number, raw, digests)
        except (OSError, ValueError) as error:
            raise VersionDamaged(
                f"the record of version {number} of {name} cannot be read ({error}): restore {base}.* from a backup"
            ) from error
        if chunks_root(list(version.digests)) != version.root:
            raise VersionDamaged(
                f"the list of chunks of version {number} of {name} is not the one that its root covers: "
                f"restore {base}.chunks from a backup"
            )
        return version


def to_bytes(version: Version) -> bytes:
    """The version's record, without the digests of its chunks."""
    content = asdict(replace(version, digests=()))
    content = {key: _to_json(value) for key, value in content.items() if key not in _BY_PLACE}
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def from_bytes(owner: OrgId, name: str, number: int, record: bytes, digests: bytes) -> Version:
    """The version that a record and the digests of its chunks make. Raises `ValueError`."""
    if len(record) > RECORD_BYTES_MAX or len(digests) > 32 * CHUNKS_MAX:
        raise ValueError("it is too large")
    try:
        return _from_json(owner, name, number, json.loads(record), digests)
    except (KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"it lacks a field, or has one of another kind: {error}") from error


_BY_PLACE = ("digests", "owner", "name", "number")
"""What a record does not say, because its place does."""


def _to_json(value: Any) -> Any:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {key: _to_json(inner) for key, inner in value.items()}
        case _:
            return value


def _from_json(owner: OrgId, name: str, number: int, content: dict[str, Any], digests: bytes) -> Version:
    def raw(field: str, of: dict[str, Any] = content) -> bytes:
        return base64.b64decode(of[field], validate=True)

    if len(digests) % 32:
        raise ValueError("its list of chunks ends in the middle of one")
    received = content.get("received")
    return Version(
        owner=owner,
        name=name,
        number=number,
        id=raw("id"),
        kind=str(content["kind"]),
        label=str(content["label"]),
        purpose=str(content["purpose"]),
        columns=tuple(Column(str(column["name"]), str(column["type"])) for column in content["columns"]),
        plain_bytes=int(content["plain_bytes"]),
        sealed_bytes=int(content["sealed_bytes"]),
        root=Digest(raw("root")),
        digests=tuple(Digest(digests[at : at + 32]) for at in range(0, len(digests), 32)),
        sealed_key=raw("sealed_key"),
        place=str(content["place"]),
        fingerprint=raw("fingerprint"),
        added_ms=int(content["added_ms"]),
        transaction=None if content["transaction"] is None else raw("transaction"),
        received=None
        if received is None
        else Received(Digest(raw("fetch", received)), Digest(raw("basis", received)), str(received["operation"])),
    )
