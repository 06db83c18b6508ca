"""A disk as a crash finds it: what is durable, and what is on its way and may have got there, in any part and order.

Until a file is synced, each of its 512-byte sectors may hold any of the versions written since, or the old one, or
the first part of a new one in front of the old; its size may be of any moment since. Until a folder is synced, each
change of names in it may have happened or not. Sectors outside a write are never harmed (as SQLite, too, assumes).
"""

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from node.testing.power.journal import Create, Event, Mark, Rename, Sync, SyncFolder, Truncate, Unlink, Write

SECTOR_BYTES = 512


@dataclass(slots=True)
class _File:
    """One file, whatever its name."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def settle(self) -> None:
        """All that was written is there."""
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def crashed(self, chance: random.Random, mood: float) -> bytes:
        """One content that a crash could leave; `mood` is how much of what is pending tends to be there."""
        content = bytearray(self.durable)
        for change in self.pending:
            if isinstance(change, Truncate):
                if chance.random() < mood:
                    _apply(content, change)
                continue
            for start, piece in _sectors(change):
                if chance.random() < mood:
                    part = piece if chance.random() < 0.95 else piece[: chance.randrange(len(piece))]
                    _apply(content, Write(change.path, start, part))
        return bytes(content)


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    if change.data:
        content.extend(bytes(max(0, change.offset - len(content))))
        content[change.offset : change.offset + len(change.data)] = change.data


def _sectors(write: Write) -> list[tuple[int, bytes]]:
    """The write cut where sectors begin."""
    pieces, at, end = [], write.offset, write.offset + len(write.data)
    while at < end:
        stop = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        pieces.append((at, write.data[at - write.offset : stop - write.offset]))
        at = stop
    return pieces


class Disk:
    """Takes the events one by one; `crash` may be asked at any moment."""

    def __init__(self) -> None:
        self._durable: dict[str, _File] = {}
        self._names: dict[str, _File] = {}
        self._moves: list[tuple[Create | Rename | Unlink, _File | None]] = []

    def take(self, event: Event) -> None:
        """One event happens."""
        match event:
            case Create(path):
                self._names[path] = _File()
                self._moves.append((event, self._names[path]))
            case Write(path) | Truncate(path):
                self._names[path].pending.append(event)
            case Sync(path):
                self._names[path].settle()
            case Rename(path):
                file = self._names.get(path)
                _move(self._names, event, file)
                self._moves.append((event, file))
            case Unlink(path):
                self._names.pop(path, None)
                self._moves.append((event, None))
            case SyncFolder(folder):
                self._settle_names(folder)
            case Mark():
                pass

    def _settle_names(self, folder: str) -> None:
        for move, file in self._moves:
            if _folder(move.path) == folder:
                _move(self._durable, move, file)
        self._moves = [(move, file) for move, file in self._moves if _folder(move.path) != folder]

    def crash(self, chance: random.Random) -> dict[str, bytes]:
        """One disk that the power's loss could leave at this moment: files by path."""
        mood = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        names = dict(self._durable)
        for move, file in self._moves:
            if chance.random() < mood:
                _move(names, move, file)
        # Two names of one file, one of them on its way out, hold the same bytes.
        contents = {id(file): file.crashed(chance, mood) for file in names.values()}
        return {path: contents[id(file)] for path, file in names.items()}


def _folder(path: str) -> str:
    return str(Path(path).parent)


def _move(names: dict[str, _File], move: Create | Rename | Unlink, file: _File | None) -> None:
    match move:
        case Create(path):
            assert file is not None, "a new name has a file"
            names[path] = file
        case Rename(path, target):
            if file is not None:
                names.pop(path, None)
                names[target] = file
                return
            # A folder, with those names in it that have got to the disk.
            for name in [name for name in names if name.startswith(path + "/")]:
                names[target + name.removeprefix(path)] = names.pop(name)
        case Unlink(path):
            names.pop(path, None)


def write_image(image: dict[str, bytes], source: Path, target: Path) -> None:
    """Lay the files of a crash, recorded below `source`, out below `target`, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path, content in image.items():
        place = target / Path(path).relative_to(source.resolve())
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
