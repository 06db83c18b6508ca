"""What an adding stores outside of the vault's own folder, noted before it is stored.

A place that others use too cannot be swept by looking at it. So the vault keeps a list of what each adding writes
there; one that broke off leaves its list, by which its chunks are found and deleted later.
"""

import json
import os
import re
import secrets
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from node.base.types import Digest
from node.edge.vault.errors import VaultError
from node.edge.vault.places import ChunkPlace

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Strays:
    """Chunks that an adding left behind when it broke off."""

    place: str
    deleted: int
    """The last few may have been noted and never stored."""
    fault: str
    """Why the others are still there; empty where none is."""


class Note:
    """The list of one adding."""

    def __init__(self, folder: Path, place: str) -> None:
        """Begin it. Raises `OSError`."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / secrets.token_hex(8)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._append(json.dumps(place))

    def put(self, digest: Digest) -> None:
        """The chunk is about to be stored; from any thread. Raises `OSError`."""
        self._append(digest.hex())

    def close(self) -> None:
        """Nothing more is stored. The list stays, for `sweep`."""
        os.close(self._file)

    def _append(self, line: str) -> None:
        os.write(self._file, line.encode() + b"\n")
        os.fdatasync(self._file)


def sweep(path: Path, wanted: Container[Digest]) -> Strays:
    """Delete what the list names and no version wants, then the list. Raises `OSError` where it cannot be read."""
    first, *lines = path.read_text(errors="replace").split("\n")
    # A loss of power cuts the last line; before its end was on the disk nothing was stored for it.
    digests = [Digest(bytes.fromhex(line)) for line in lines if _DIGEST.match(line)]
    try:
        place = json.loads(first)
    except ValueError:
        path.unlink()
        return Strays("", 0, "")
    deleted = 0
    try:
        chunks = ChunkPlace(place)
        for digest in digests:
            if digest not in wanted:
                chunks.sweep(digest)
                deleted += 1
    except (VaultError, OSError) as error:
        return Strays(place, deleted, str(error))
    path.unlink()
    return Strays(place, deleted, "")
