"""Which faults happen in which order: drawn from a seed, so that a run can be had again. Nothing is done here."""

import enum
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from node.base.types import OrgId


class FaultKind(enum.Enum):
    """What can be done to members and links; the value is shown."""

    KILL = "kill -9"
    STOP = "SIGSTOP"
    DISK_FULL = "disk full"
    CUT = "link cut"
    RESET = "link reset"
    SLOW = "link slow"
    ISOLATE = "member cut off"
    WIPE = "wiped"
    ROTATE = "keys rotated"
    MANY = "kill -9 of more than a third"


@dataclass(frozen=True, slots=True)
class Episode:
    """One kind of fault, for some time; then everything is healed and must go on."""

    number: int
    kind: FaultKind
    orgs: tuple[OrgId, ...]
    """Who is struck; of links, both ends."""
    lasts_s: float
    delay_s: float = 0.0
    """Of a slow link: how late each piece comes."""


LASTS_S = (2.0, 14.0)
"""From a blink to more than the 10 s after which a silent link is given up."""
DELAY_S = (0.02, 0.25)


def episodes(seed: int, orgs: Sequence[OrgId], kinds: Sequence[FaultKind]) -> Iterator[Episode]:
    """Faults without end. Every kind comes once before any comes again.

    Of n members at most f = (n - 1) // 3 are struck at a time, but by `MANY`, which strikes f + 1 or more. The first
    member is never killed, so that its memory is seen over the whole run.
    """
    chance = random.Random(seed)
    faults_max = (len(orgs) - 1) // 3
    steady, others = orgs[0], list(orgs[1:])
    number = 0
    while True:
        deck = list(kinds)
        chance.shuffle(deck)
        for kind in deck:
            number += 1
            lasts_s = round(chance.uniform(*LASTS_S), 1)
            if kind in (FaultKind.CUT, FaultKind.RESET, FaultKind.SLOW):
                yield Episode(number, kind, tuple(chance.sample(list(orgs), 2)), lasts_s, chance.uniform(*DELAY_S))
            elif kind is FaultKind.MANY:
                count = chance.randint(faults_max + 1, len(others))
                yield Episode(number, kind, tuple(sorted(chance.sample(others, count))), lasts_s)
            elif kind in (FaultKind.STOP, FaultKind.ISOLATE):
                count = chance.randint(1, max(1, faults_max))
                yield Episode(number, kind, tuple(sorted(chance.sample([steady, *others], count))), lasts_s)
            else:
                count = chance.randint(1, max(1, faults_max)) if kind is FaultKind.KILL else 1
                yield Episode(number, kind, tuple(sorted(chance.sample(others, count))), lasts_s)
