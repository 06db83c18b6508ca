"""What a soak found."""

from dataclasses import dataclass, field

from node.testing.soak.checks import Check
from node.testing.soak.plan import Episode
from node.testing.soak.watch import Slope


@dataclass(slots=True)
class Outcome:
    """Checks, memory, episodes."""

    checks: list[Check] = field(default_factory=list)
    slopes: list[Slope] = field(default_factory=list)
    episodes: list[tuple[Episode, float]] = field(default_factory=list)
    """With the seconds until all went on."""
    changes: list[tuple[str, float]] = field(default_factory=list)
    """Of the membership, with the seconds until each was in force."""
    acknowledged: int = 0
    unknown: int = 0
    height: int = 0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether all is well."""
        return all(check.holds for check in self.checks)
