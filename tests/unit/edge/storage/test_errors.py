"""The disk's trouble in words that say what to do."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from node.edge.storage.errors import StoreError, StoreForeign, cannot_write, database_trouble

PATH = Path("ledger.sqlite")


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "free space"), (errno.EDQUOT, "free space"), (errno.EFBIG, "free space"), (errno.EIO, "check the")],
)
def test_a_full_disk_is_told_from_a_broken_one(number, advice):
    assert advice in str(cannot_write(PATH, OSError(number, os.strerror(number))))


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        (sqlite3.SQLITE_FULL, StoreError, "free space"),
        (sqlite3.SQLITE_IOERR_WRITE, StoreError, "check the disk"),
        (sqlite3.SQLITE_NOTADB, StoreForeign, "restore"),
        (sqlite3.SQLITE_ERROR, StoreForeign, "restore"),
        (sqlite3.SQLITE_CORRUPT_VTAB, StoreForeign, "restore"),
    ],
)
def test_sqlites_trouble_is_named_by_its_cause(code, kind, advice):
    error = sqlite3.OperationalError("words of SQLite")
    error.sqlite_errorcode = code
    told = database_trouble(PATH, error)

    assert type(told) is kind
    assert advice in str(told)
    assert "words of SQLite" in str(told)
