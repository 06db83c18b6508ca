"""What happens to a message on its way, drawn from the seed: lost, late, twice, out of order, or blocked."""

from dataclasses import dataclass
from random import Random

from node.base.types import OrgId


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is. Probabilities are per message."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_ms_min: int = 2
    delay_ms_max: int = 20
    slow: float = 0.0
    """How often a message is late by up to `slow_ms_max`, and so overtaken by others."""
    slow_ms_max: int = 1_500


CALM = Weather()


class Network:
    """Decides when copies of a message arrive."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.weather = CALM
        self.blocked: set[tuple[OrgId, OrgId]] = set()

    def arrivals(self, sender: OrgId, receiver: OrgId) -> list[int]:
        """After how many ms the message arrives: never, once or twice."""
        if (sender, receiver) in self.blocked:
            return []
        rng, weather = self._rng, self.weather
        copies = 2 if rng.random() < weather.duplication else 1
        return [self._delay_ms() for _ in range(copies) if rng.random() >= weather.loss]

    def _delay_ms(self) -> int:
        rng, weather = self._rng, self.weather
        delay_ms = rng.randint(weather.delay_ms_min, weather.delay_ms_max)
        if rng.random() < weather.slow:
            delay_ms += rng.randint(0, weather.slow_ms_max)
        return delay_ms

    def cut(self, orgs: tuple[OrgId, ...]) -> None:
        """Block some directions between two groups; not always both ways."""
        group = set(self._rng.sample(orgs, self._rng.randint(1, max(1, len(orgs) - 1))))
        one_way = self._rng.random() < 0.4
        for sender in orgs:
            for receiver in orgs:
                if (sender in group) != (receiver in group) and (sender in group or not one_way):
                    self.blocked.add((sender, receiver))

    def heal(self) -> set[tuple[OrgId, OrgId]]:
        """Unblock everything; returns what was blocked."""
        healed, self.blocked = self.blocked, set()
        return healed
