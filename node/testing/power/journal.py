"""What happened to a disk, in order. Names are paths; `Mark` says what the program was told to be durable by then."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Create:
    """A new, empty file under this name."""

    path: str


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file has this size now."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """What was written to the file is durable."""

    path: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """The name is gone."""

    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    """The file, or the folder with all in it, has another name; what had that one is gone."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """The names in the folder are durable."""

    folder: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Not for the disk: the program goes on, believing this."""

    fact: Any


Event = Create | Write | Truncate | Sync | Unlink | Rename | SyncFolder | Mark


@dataclass(slots=True)
class Journal:
    """Events in order, from several recorders. `refuse` may turn the disk full."""

    events: list[Event] = field(default_factory=list)
    changes: int = 0
    """Writes, truncations and syncs so far."""
    refuse_from: int | None = None
    """From this change on the disk refuses all of them."""

    def refuses(self) -> bool:
        """Count one change; whether the disk refuses it."""
        self.changes += 1
        return self.refuse_from is not None and self.changes > self.refuse_from

    def mark(self, fact: Any) -> None:
        """Note what the program may rely on from here on."""
        self.events.append(Mark(fact))
