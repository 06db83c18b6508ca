"""What happens to a message on its way, drawn from the seed: lost, late, twice, out of order, or blocked."""

from dataclasses import dataclass
from random import Random

from node.base.types import OrgId
from node.testing.simulation.labels import name_message


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is. Probabilities are per message."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_ms_min: int = 2
    delay_ms_max: int = 20
    slow: float = 0.0
    """How often a message is late by up to `slow_ms_max`, and so overtaken by others."""
    slow_ms_max: int = 3_000


CALM = Weather()


class Network:
    """Decides when copies of a message arrive."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.weather = CALM
        self.blocked: set[tuple[OrgId, OrgId]] = set()
        self.starved: dict[str, set[OrgId]] = {}
        """Kinds of message that do not reach these receivers: what comes of a prepare that only one member hears."""

    def arrivals(self, sender: OrgId, receiver: OrgId, message: bytes) -> list[int]:
        """After how many ms the message arrives: never, once or twice."""
        if (sender, receiver) in self.blocked:
            return []
        if self.starved and receiver in self.starved.get(name_message(message), ()):
            return []
        rng, weather = self._rng, self.weather
        copies = 2 if weather.duplication and rng.random() < weather.duplication else 1
        return [self._delay_ms() for _ in range(copies) if not weather.loss or rng.random() >= weather.loss]

    def _delay_ms(self) -> int:
        rng, weather = self._rng, self.weather
        spread = weather.delay_ms_max - weather.delay_ms_min + 1
        delay_ms = weather.delay_ms_min + int(rng.random() * spread)
        if weather.slow and rng.random() < weather.slow:
            delay_ms += int(rng.random() * weather.slow_ms_max)
        return delay_ms

    def cut(self, orgs: tuple[OrgId, ...]) -> None:
        """Block some directions between two groups; not always both ways."""
        group = set(self._rng.sample(orgs, self._rng.randint(1, max(1, len(orgs) - 1))))
        one_way = self._rng.random() < 0.4
        for sender in orgs:
            for receiver in orgs:
                if (sender in group) != (receiver in group) and (sender in group or not one_way):
                    self.blocked.add((sender, receiver))

    def starve(self, kind: str, orgs: tuple[OrgId, ...]) -> None:
        """Keep a kind of message from all but a few members."""
        fed = self._rng.sample(orgs, self._rng.randint(1, max(1, len(orgs) // 3)))
        self.starved[kind] = set(orgs) - set(fed)

    def heal(self) -> set[tuple[OrgId, OrgId]]:
        """Unblock everything; returns what was blocked."""
        healed, self.blocked = self.blocked, set()
        self.starved = {}
        return healed
