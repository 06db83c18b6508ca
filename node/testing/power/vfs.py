"""Records what SQLite does to its files, by a VFS of its own registered in the very library that Python's module uses.

The platform's VFS goes on doing the work: of its open files the table of methods is exchanged for a copy in which
writing, truncating and syncing are noted first. Nothing of `sqlite3` or the store is patched: while `recording` lasts
this VFS is SQLite's default, as any program may make one.
"""

import _sqlite3
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any

from node.testing.power.journal import Create, Journal, Sync, SyncFolder, Truncate, Unlink, Write

_OK, _FULL, _IOERR_FSYNC, _IOERR_TRUNCATE = 0, 13, 1034, 1546
_OPEN_CREATE = 0x4
_OPEN_JOURNAL_OR_WAL = 0x800 | 0x4000 | 0x80000
"""SQLite's unix VFS syncs the folder of a new journal or log together with the file's first sync."""

_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
"""The name stays an address: SQLite keeps it, and reads what stands behind its end."""
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_Close = CFUNCTYPE(c_int, c_void_p)
_WriteAt = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TruncateTo = CFUNCTYPE(c_int, c_void_p, c_int64)
_SyncFile = CFUNCTYPE(c_int, c_void_p, c_int)


class VfsUnavailable(Exception):
    """SQLite's functions cannot be reached on this platform; the text says why."""


class _Vfs(Structure):
    """`sqlite3_vfs`; what is not exchanged is copied as it is."""

    _fields_ = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", _Open),
        ("xDelete", _Delete),
        *((name, c_void_p) for name in ("xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose")),
        *((name, c_void_p) for name in ("xRandomness", "xSleep", "xCurrentTime", "xGetLastError")),
        *((name, c_void_p) for name in ("xCurrentTimeInt64", "xSetSystemCall", "xGetSystemCall", "xNextSystemCall")),
    ]


class _Methods(Structure):
    """`sqlite3_io_methods`."""

    _fields_ = [
        ("iVersion", c_int),
        ("xClose", _Close),
        ("xRead", c_void_p),
        ("xWrite", _WriteAt),
        ("xTruncate", _TruncateTo),
        ("xSync", _SyncFile),
        *((name, c_void_p) for name in ("xFileSize", "xLock", "xUnlock", "xCheckReservedLock", "xFileControl")),
        *((name, c_void_p) for name in ("xSectorSize", "xDeviceCharacteristics")),
        *((name, c_void_p) for name in ("xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap", "xFetch", "xUnfetch")),
    ]


_kept: list[Any] = []
"""SQLite may hold pointers into these as long as a file is open, so they live as long as the process."""


def _library() -> Any:
    """The SQLite inside Python's module, found through the module's own file. Raises `VfsUnavailable`."""
    try:
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        library.sqlite3_vfs_find.argtypes = [c_char_p]
        library.sqlite3_vfs_register.argtypes = [POINTER(_Vfs), c_int]
        library.sqlite3_vfs_unregister.argtypes = [POINTER(_Vfs)]
    except (AttributeError, OSError) as error:
        raise VfsUnavailable(f"this Python's SQLite is built in and hides its functions ({error})") from error
    if library.sqlite3_libversion_number is None:
        raise VfsUnavailable("this Python's SQLite hides its functions")
    return library


class _Recorder:
    """One VFS in front of the platform's."""

    def __init__(self, base: _Vfs, folder: Path, journal: Journal) -> None:
        self._base = base
        self._folder = str(folder.resolve())
        self._journal = journal
        self._paths: dict[int, str] = {}
        self._folder_unsynced: set[str] = set()
        self._tables: dict[int, _Methods] = {}
        self._methods: dict[int, _Methods] = {}
        self.vfs = _Vfs.from_buffer_copy(base)
        self.vfs.zName = b"recorder"
        self.vfs.pNext = None
        self.vfs.xOpen = _Open(self._open)
        self.vfs.xDelete = _Delete(self._delete)
        _kept.append(self)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
        path = ctypes.string_at(name).decode() if name is not None else ""
        new = path != "" and not Path(path).exists()
        found: int = self._base.xOpen(vfs, name, file, flags, out)
        if found != _OK or not path.startswith(self._folder):
            return found
        if new and flags & _OPEN_CREATE:
            self._journal.events.append(Create(path))
            if flags & _OPEN_JOURNAL_OR_WAL:
                self._folder_unsynced.add(path)
        self._paths[file] = path
        slot = ctypes.cast(file, POINTER(c_void_p))
        slot[0] = ctypes.addressof(self._exchanged(slot[0]))
        return found

    def _exchanged(self, table: int) -> _Methods:
        """A copy of the platform's methods with ours in it."""
        if table not in self._tables:
            original = _Methods.from_address(table)
            copy = _Methods.from_buffer_copy(original)
            copy.xClose = _Close(lambda file: self._close(original, file))
            copy.xWrite = _WriteAt(lambda file, data, count, at: self._write(original, file, data, count, at))
            copy.xTruncate = _TruncateTo(lambda file, size: self._truncate(original, file, size))
            copy.xSync = _SyncFile(lambda file, flags: self._sync(original, file, flags))
            self._tables[table] = copy
        return self._tables[table]

    def _close(self, original: _Methods, file: int) -> int:
        self._paths.pop(file, None)
        return int(original.xClose(file))

    def _write(self, original: _Methods, file: int, data: int, count: int, at: int) -> int:
        if self._journal.refuses():
            return _FULL
        self._journal.events.append(Write(self._paths[file], at, ctypes.string_at(data, count)))
        return int(original.xWrite(file, data, count, at))

    def _truncate(self, original: _Methods, file: int, size: int) -> int:
        if self._journal.refuses():
            return _IOERR_TRUNCATE
        self._journal.events.append(Truncate(self._paths[file], size))
        return int(original.xTruncate(file, size))

    def _sync(self, original: _Methods, file: int, flags: int) -> int:
        if self._journal.refuses():
            return _IOERR_FSYNC
        # The real disk need not sync: what would be durable is computed from the journal.
        path = self._paths[file]
        self._journal.events.append(Sync(path))
        if path in self._folder_unsynced:
            self._folder_unsynced.discard(path)
            self._journal.events.append(SyncFolder(str(Path(path).parent)))
        return _OK

    def _delete(self, vfs: int, name: bytes, sync_folder: int) -> int:
        path = name.decode()
        existed = Path(path).exists()
        found: int = self._base.xDelete(vfs, name, 0)
        if found == _OK and existed and path.startswith(self._folder):
            self._journal.events.append(Unlink(path))
            if sync_folder:
                self._journal.events.append(SyncFolder(str(Path(path).parent)))
        return found


@contextmanager
def recording(folder: Path, journal: Journal) -> Iterator[None]:
    """All that SQLite does to files below `folder`, in any thread, goes into the journal. Raises `VfsUnavailable`."""
    library = _library()
    base = library.sqlite3_vfs_find(None)
    if not base:
        raise VfsUnavailable("SQLite has no VFS of the platform")
    recorder = _Recorder(base.contents, folder, journal)
    library.sqlite3_vfs_register(ctypes.byref(recorder.vfs), 1)
    try:
        yield
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(recorder.vfs))
        library.sqlite3_vfs_register(base, 1)
