"""Salted commitments of data files: what the ledger may know of data, and the salts that stay at home.

A plain digest of a file with few possible contents gives the contents away to who tries them all; with a secret salt
of 32 bytes it does not. Who is shown file and salt later can check the commitment.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from node.base.crypto import digest
from node.base.types import Digest
from node.edge.storage import PRIVATE_MODE, make_private_folder, write_atomically

SALT_BYTES = 32
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Committed:
    """A file, the salt, and what the ledger gets."""

    path: str
    salt: bytes
    commitment: Digest


def commit_file(path: Path, shown_as: str, salt: bytes) -> Committed:
    """The commitment over the salt and the file's SHA-256. Reads the file in pieces. Raises `OSError`."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            hasher.update(piece)
    return Committed(shown_as, salt, Digest(digest("lepton/data", salt, hasher.digest())))


def keep(folder: Path, name: str, committed: Committed) -> None:
    """Write it, synced, for this organisation alone. Raises `OSError`."""
    make_private_folder(folder)
    content = {"path": committed.path, "salt": committed.salt.hex(), "commitment": committed.commitment.hex()}
    write_atomically(folder / f"{name}.json", json.dumps(content).encode(), mode=PRIVATE_MODE)


def kept(folder: Path, name: str) -> Committed | None:
    """What `keep` wrote under this name."""
    try:
        content = json.loads((folder / f"{name}.json").read_text())
    except FileNotFoundError:
        return None
    return Committed(content["path"], bytes.fromhex(content["salt"]), Digest(bytes.fromhex(content["commitment"])))
