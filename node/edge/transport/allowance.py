"""How often strangers may ask: a bucket of tokens for each address and one for all. Pure; bounded in memory."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and one more every `every_s` seconds."""

    at_once: int
    every_s: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float

    def take(self, rate: Rate, now_s: float) -> bool:
        self.tokens = min(rate.at_once, self.tokens + (now_s - self.at_s) / rate.every_s)
        self.at_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Allowance:
    """Grants what both the address's rate and the rate of all allow."""

    def __init__(self, each: Rate, all_: Rate, clock: Callable[[], float], *, addresses_max: int) -> None:
        """`clock` gives seconds that only go up. Of more addresses than `addresses_max`, the oldest is forgotten."""
        self._each = each
        self._all = all_
        self._clock = clock
        self._addresses_max = addresses_max
        self._total = _Bucket(all_.at_once, clock())
        self._buckets: dict[str, _Bucket] = {}

    def take(self, address: str) -> bool:
        """Whether the address may ask now; a refusal costs nobody else anything."""
        now_s = self._clock()
        bucket = self._buckets.pop(address, None) or _Bucket(self._each.at_once, now_s)
        if len(self._buckets) >= self._addresses_max:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[address] = bucket
        return bucket.take(self._each, now_s) and self._total.take(self._all, now_s)
