"""The transfer machine: hands out runs of missing chunks to sources, and takes back what a source did not bring.

Every chunk proves itself, so a source can only waste time: one that lies is dropped for good, one that breaks off is
asked again later, and what it did not bring is asked of the next. Runs are short, so who is faster is asked more often.
Bounded by the sources and by the runs that are missing.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from node.base.types import Instant, OrgId

RUN_CHUNKS_MAX = 8
"""Chunks of one request."""
ASKS_PER_SOURCE_MAX = 4
"""Requests to one source at a time: the next one's beginning hides the last one's end."""
REST_FIRST_MS = 200
REST_MAX_MS = 10_000
"""A source whose answer broke off is asked nothing for so long, twice as long each time that it brought nothing."""


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who may hold the chunks."""

    org: OrgId
    via: OrgId | None = None
    """The member that carries the answer, where there is no direct link."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Who can be asked now, best first; given at every change."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Came:
    """A chunk of this request is true, and stored."""

    ask: int
    index: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer to this request is over; `fault` says what was wrong with it, empty where nothing was."""

    ask: int
    fault: str = ""
    is_lie: bool = False
    """It brought what cannot be true."""


@dataclass(frozen=True, slots=True)
class Tick:
    """`wake_at` has come."""


Input = Sources | Came | Ended | Tick


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the source for the chunks [start, stop); answered by `Came` for each and one `Ended`."""

    ask: int
    source: Source
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more of this request is wanted: its source is none any more. No `Ended` follows."""

    ask: int


@dataclass(frozen=True, slots=True)
class Drop:
    """This source lied, and is asked nothing more."""

    source: Source
    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """All chunks are there."""


Effect = Ask | Stop | Drop | Finished


@dataclass(slots=True)
class _Asked:
    source: Source
    next: int
    """The first chunk that has not come."""
    stop: int
    brought: bool = False


@dataclass(slots=True)
class _Rest:
    until_ms: int
    ms: int


class Transfer:
    """One data set on its way."""

    def __init__(self, missing: Iterable[int]) -> None:
        """`missing` are the chunks to get, ascending."""
        self._missing = deque(_runs(missing))
        self._sources: tuple[Source, ...] = ()
        self._asked: dict[int, _Asked] = {}
        self._last_ask = 0
        self._rests: dict[Source, _Rest] = {}
        self._liars: set[OrgId] = set()
        self._is_finished = False

    @property
    def wake_at(self) -> int | None:
        """When a `Tick` is due (`mono_ms`); None for never."""
        return min((rest.until_ms for rest in self._rests.values()), default=None) if self._missing else None

    @property
    def sources(self) -> tuple[Source, ...]:
        """Who is being asked now."""
        asked = {asked.source for asked in self._asked.values()}
        return tuple(sorted(asked, key=lambda source: (source.org, source.via or "")))

    @property
    def liars(self) -> frozenset[OrgId]:
        """Who was dropped."""
        return frozenset(self._liars)

    def step(self, input: Input, *, now: Instant) -> list[Effect]:
        """Take one input; what is to be done, in this order."""
        effects: list[Effect] = []
        match input:
            case Sources(sources):
                effects += self._set_sources(sources)
            case Came(ask, index):
                self._came(ask, index)
            case Ended(ask, fault, is_lie):
                effects += self._ended(ask, fault, is_lie, now)
            case Tick():
                pass
            case _:
                assert_never(input)
        return effects + self._next(now)

    def _set_sources(self, sources: tuple[Source, ...]) -> list[Effect]:
        self._sources = sources
        gone = [ask for ask, asked in self._asked.items() if asked.source not in sources]
        for ask in gone:
            self._take_back(self._asked.pop(ask))
        self._rests = {source: rest for source, rest in self._rests.items() if source in sources}
        return [Stop(ask) for ask in gone]

    def _came(self, ask: int, index: int) -> None:
        asked = self._asked.get(ask)
        if asked is None:
            # Its source left meanwhile: the chunk is asked for again, found on disk by nobody, and overwritten.
            return
        assert index == asked.next < asked.stop, "chunks come in the order in which they were asked for"
        asked.next += 1
        asked.brought = True

    def _ended(self, ask: int, fault: str, is_lie: bool, now: Instant) -> list[Effect]:
        asked = self._asked.pop(ask, None)
        if asked is None:
            return []
        self._take_back(asked)
        source = asked.source
        # What a carrier brings is no proof against the one behind it.
        if is_lie and source.via is None:
            self._liars.add(source.org)
            others = [other for other, known in self._asked.items() if known.source.org == source.org]
            for other in others:
                self._take_back(self._asked.pop(other))
            return [Drop(source, fault), *(Stop(other) for other in others)]
        if fault or is_lie or asked.next < asked.stop:
            known = self._rests.get(source)
            ms = REST_FIRST_MS if asked.brought or known is None else min(2 * known.ms, REST_MAX_MS)
            self._rests[source] = _Rest(now.mono_ms + ms, ms)
        else:
            self._rests.pop(source, None)
        return []

    def _take_back(self, asked: _Asked) -> None:
        if asked.next < asked.stop:
            self._missing.appendleft((asked.next, asked.stop))

    def _next(self, now: Instant) -> list[Effect]:
        """Give every free source the next run."""
        if not self._missing and not self._asked and not self._is_finished:
            self._is_finished = True
            return [Finished()]
        effects: list[Effect] = []
        # One each before anybody gets a second.
        for count in range(ASKS_PER_SOURCE_MAX):
            for source in self._sources:
                if self._missing and self._is_free(source, count, now):
                    effects.append(self._ask(source))
        return effects

    def _is_free(self, source: Source, count: int, now: Instant) -> bool:
        rest = self._rests.get(source)
        if source.org in self._liars or (rest is not None and rest.until_ms > now.mono_ms):
            return False
        return sum(asked.source == source for asked in self._asked.values()) <= count

    def _ask(self, source: Source) -> Ask:
        start, stop = self._missing.popleft()
        # Little that is missing is divided among all, so that nobody waits for one.
        honest = sum(other.org not in self._liars for other in self._sources)
        left = stop - start + sum(end - begin for begin, end in self._missing)
        size = min(RUN_CHUNKS_MAX, -(-left // honest))
        if stop - start > size:
            self._missing.appendleft((start + size, stop))
            stop = start + size
        self._last_ask += 1
        self._asked[self._last_ask] = _Asked(source, start, stop)
        return Ask(self._last_ask, source, start, stop)


def _runs(missing: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in missing:
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs
