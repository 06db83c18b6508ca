"""What can be wrong with a member's files.

FileError
├── FileMissing         not there, or not readable
├── FileExposed         a secret that other users of the machine may read
├── FileDamaged         cut short, changed, or of another kind
├── WrongPassphrase     the file is whole, but this passphrase does not open it
├── NoPassphrase        no source for the passphrase, or an empty one
└── NotGenuine          a card or genesis whose signatures or readable part do not hold

StoreError (an OSError: the disk's trouble, met by whoever writes to it)
├── StoreMissing        the database or the vote log is not there
├── StoreBusy           another process of this member uses it
├── StoreForeign        another chain's, another version's, or no database of Lepton's
└── StoreDamaged        what is stored is not what was written

Every message says what to do; each is one sentence that a command can print as it is.
"""

import errno
import sqlite3
from pathlib import Path

from node.base.errors import ExplainedError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk, the quota, or what this process may write."""
_NOT_OURS = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})
"""SQLite's codes for another file, a damaged one, and one without our tables."""
_FREE_SPACE = "free space on its disk, then start the member again; what was agreed and signed is kept"
_CHECK_DISK = "check the disk's space and health, then start the member again; what was agreed and signed is kept"


class FileError(ExplainedError):
    """A file of this member, or one that it was handed, cannot be used."""


class FileMissing(FileError):
    """The file is not there, or may not be read."""


class FileExposed(FileError):
    """A secret file that other users may read."""


class FileDamaged(FileError):
    """Bytes that are no whole file of the expected kind."""


class WrongPassphrase(FileError):
    """The file is whole and its passphrase is another."""


class NoPassphrase(FileError):
    """No passphrase was given."""


class NotGenuine(FileError):
    """A card or a genesis file that nobody signed in this form."""


class StoreError(OSError):
    """The ledger's database or the vote log cannot be used."""


class StoreDamaged(StoreError):
    """What is stored is not what was written."""


class StoreForeign(StoreError):
    """A database of another chain, of another version, or no database of Lepton's."""


class StoreBusy(StoreError):
    """Another process of this member uses it."""


class StoreMissing(StoreError):
    """It is not there."""


def cannot_write(path: Path, error: OSError) -> StoreError:
    """The disk refuses to write the file: what it says, and what to do."""
    advice = _FREE_SPACE if error.errno in _FULL else _CHECK_DISK
    return StoreError(f"cannot write {path} ({error.strerror}): {advice}")


def database_trouble(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """What SQLite's words mean: the disk is full, the disk refuses, or the file is no whole database."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _NOT_OURS:
        return StoreForeign(f"{path} is no database of Lepton's, or damaged ({error}): restore it from a backup")
    advice = _FREE_SPACE if code == sqlite3.SQLITE_FULL else _CHECK_DISK
    return StoreError(f"cannot write {path} ({error}): {advice}")
