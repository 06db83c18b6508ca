"""Which versions of the protocol between members a node speaks, and the one that two of them use.

Each side states its range in the call and in its hello; both come to the highest version that they have in common.
"""

from dataclasses import dataclass

VERSION_DIGITS_MAX = 5


@dataclass(frozen=True, slots=True)
class Versions:
    """All versions from `lowest` to `highest`."""

    lowest: int
    highest: int

    def common(self, other: "Versions") -> int | None:
        """The highest version in both ranges; None for none."""
        highest = min(self.highest, other.highest)
        return highest if highest >= max(self.lowest, other.lowest) else None

    def __str__(self) -> str:
        return f"{self.lowest}-{self.highest}"


def parse_versions(text: str) -> Versions | None:
    """The range that `str` wrote; None for what is none."""
    parts = text.split("-")
    if len(parts) != 2 or not all(_is_number(part) for part in parts):
        return None
    found = Versions(int(parts[0]), int(parts[1]))
    return found if 0 < found.lowest <= found.highest else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= VERSION_DIGITS_MAX
