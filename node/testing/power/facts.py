"""What a member with an engine was told, and has told others, by a moment of the journal."""

from dataclasses import dataclass

from node.base.types import Height
from node.testing.power.journal import Mark


@dataclass(frozen=True, slots=True)
class Begun:
    """The store was asked to write this height."""

    height: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """No crash may take this height away any more."""

    height: int


@dataclass(frozen=True, slots=True)
class Signed:
    """What a member signed for one height and round."""

    height: Height
    round: int
    kind: str
    message: bytes
    """Its exact bytes."""


@dataclass(frozen=True, slots=True)
class Sent:
    """It left the member."""

    signed: Signed


@dataclass(frozen=True, slots=True)
class Kept:
    """A chunk of a snapshot that is being fetched is on disk; None: none need be there any more."""

    index: int | None


class EngineFacts:
    """All of it."""

    def __init__(self) -> None:
        self.durable = -1
        """The height that must be there; -1 before the database was made."""
        self.begun = 0
        self.sent: dict[tuple[Height, int, str], bytes] = {}
        self.chunks: set[int] = set()

    def take(self, mark: Mark) -> None:
        """One more."""
        match mark.fact:
            case Begun(height):
                self.begun = max(self.begun, height)
            case Acknowledged(height):
                self.durable = max(self.durable, height)
            case Sent(signed):
                known = self.sent.setdefault((signed.height, signed.round, signed.kind), signed.message)
                assert known == signed.message, f"it sent two different {signed.kind} of height {signed.height}"
            case Kept(index):
                if index is None:
                    self.chunks.clear()
                else:
                    self.chunks.add(index)
