"""The snapshot machine: idle, asking for offers, opening one, fetching its chunks, installing it.

Every piece proves itself, so a peer can only waste time: one that lies is dropped for this snapshot, one that fails is
asked again later, and chunks come from all that offer the same one. What was fetched is kept when all of them vanish.
Bounded by the members and by the parts of one snapshot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from node.base.types import Digest, Height, Instant, OrgId, Tip

CHUNKS_PER_PEER_MAX = 2
"""Chunks that are asked of one peer at a time."""
OFFERS_PER_PEER_MAX = 4
OFFERS_MS_MAX = 5_000
"""Who has not told its offers by then is not waited for."""
RETRY_MS = 10_000
"""When no offer is good enough, or nobody is left to ask, everybody is asked again after this."""
REST_MS = 3_000
"""A peer whose answer broke off is asked nothing for so long."""
ABANDON_MS = 120_000
"""A snapshot that nobody offers any more for so long is given up for another."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A snapshot that a peer says it has; equal offers are one snapshot."""

    height: Height
    head: Digest
    """Of the bytes of its parts, which follow from the state alone."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The own height and what the linked peers say of theirs; given at every change, or every second."""

    height: Height
    tips: Mapping[OrgId, Tip]


@dataclass(frozen=True, slots=True)
class Offered:
    """The answer to `Ask`."""

    peer: OrgId
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to `Open`: the head is true, and on disk. `missing` are the chunks that are not, ascending."""

    peer: OrgId
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to `Fetch`: the chunk is true, and on disk."""

    peer: OrgId
    index: int


@dataclass(frozen=True, slots=True)
class Failed:
    """What was asked of the peer did not come (`is_fault`: came and was false)."""

    peer: OrgId
    reason: str
    is_fault: bool
    index: int | None = None
    """Of the chunk, if it was one."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The answer to `Install`: it is the member's state now, or why not."""

    reason: str | None


@dataclass(frozen=True, slots=True)
class Tick:
    """`wake_at` has come."""


Input = Standing | Offered | Opened | Stored | Failed | Installed | Tick


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the peer which snapshots it has; answered by `Offered` or `Failed`."""

    peer: OrgId


@dataclass(frozen=True, slots=True)
class Open:
    """Fetch and check the head; answered by `Opened` or `Failed`."""

    peer: OrgId
    offer: Offer


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fetch and check a chunk and keep it; answered by `Stored` or `Failed`."""

    peer: OrgId
    offer: Offer
    index: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Whether blocks are not to be fetched now."""

    active: bool


@dataclass(frozen=True, slots=True)
class Install:
    """Everything is there: put the state in the place of the own one; answered by `Installed`."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Discard:
    """Drop what was fetched of the snapshot."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class PeerFault:
    """A peer sent what no correct member sends."""

    peer: OrgId
    reason: str


Effect = Ask | Open | Fetch | Hold | Install | Discard | PeerFault


@dataclass(slots=True)
class _Run:
    """One snapshot on its way."""

    offer: Offer
    sources: set[OrgId]
    seen_ms: int
    """When somebody that is linked was last known to offer it."""
    opening: OrgId | None = None
    missing: list[int] | None = None
    """Chunks that nobody is asked for now, ascending; None before the head is open."""
    asked: dict[int, OrgId] = field(default_factory=dict)
    installing: bool = False


class Sync:
    """One member's machine. `step` is synchronous and deterministic."""

    def __init__(self, *, behind_max: int, begun: Offer | None = None) -> None:
        """A member that is more than `behind_max` blocks behind takes a snapshot; else only if nobody has blocks.

        `begun` is what an earlier run has begun to fetch: it is gone on with while it is offered.
        """
        assert behind_max >= 1, "one block behind is usual"
        self._behind_max = behind_max
        self._begun = begun
        self._height = Height(0)
        self._tips: Mapping[OrgId, Tip] = {}
        self._asked: dict[OrgId, int] = {}
        """Whom offers are awaited of, until when."""
        self._offers: dict[OrgId, tuple[Offer, ...]] = {}
        self._liars: set[OrgId] = set()
        """Until a snapshot is installed or given up."""
        self._ask_at_ms = 0
        self._holding = False
        self._run: _Run | None = None

    @property
    def wake_at(self) -> int | None:
        """When a `Tick` is due, in `mono_ms`; None while nothing is wanted."""
        if self._asked:
            return min(self._asked.values())
        return self._ask_at_ms if self._would_ask else None

    @property
    def progress(self) -> tuple[Height, int] | None:
        """Height of the snapshot that is being fetched, and how many chunks are still to come."""
        run = self._run
        return None if run is None or run.missing is None else (run.offer.height, len(run.asked) + len(run.missing))

    def step(self, input: Input, *, now: Instant) -> list[Effect]:
        """Take one input; returns what must happen, in this order."""
        now_ms = now.mono_ms
        effects: list[Effect] = []
        match input:
            case Standing(height, tips):
                self._height, self._tips = height, dict(tips)
            case Offered(peer, offers):
                if self._asked.pop(peer, None) is not None:
                    self._take_offers(peer, offers[:OFFERS_PER_PEER_MAX])
            case Opened(peer, missing):
                effects += self._open(peer, missing)
            case Stored(peer, index):
                if self._run is not None and self._run.asked.get(index) == peer:
                    del self._run.asked[index]
            case Failed():
                effects += self._fail(input, now_ms)
            case Installed(reason):
                effects += self._end(now_ms, discard=reason is not None)
            case Tick():
                pass
            case _:
                assert_never(input)
        return effects + self._go_on(now_ms)

    # What is wanted

    @property
    def _is_wanted(self) -> bool:
        ahead = any(tip.height > self._height for tip in self._tips.values())
        return ahead and (self._is_far or self._is_stuck)

    @property
    def _is_far(self) -> bool:
        return max((tip.height for tip in self._tips.values()), default=0) - self._height > self._behind_max

    @property
    def _is_stuck(self) -> bool:
        """Whether nobody that is ahead has the next block."""
        return not any(tip.base <= self._height + 1 <= tip.height for tip in self._tips.values())

    @property
    def _gain_min(self) -> int:
        """Below this a snapshot is not worth its bytes: the blocks up to it are fetched faster."""
        return 1 if self._is_stuck else max(1, self._behind_max // 2)

    @property
    def _would_ask(self) -> bool:
        """Whether offers are wanted: to begin, or because there are peers that may have the snapshot, too."""
        if self._run is None:
            return self._is_wanted
        return not self._run.installing and bool(set(self._tips) - self._run.sources - self._liars)

    # Inputs

    def _take_offers(self, peer: OrgId, offers: tuple[Offer, ...]) -> None:
        self._offers[peer] = offers
        run = self._run
        if run is None or peer in self._liars:
            return
        if run.offer in offers:
            run.sources.add(peer)
        else:
            run.sources.discard(peer)

    def _open(self, peer: OrgId, missing: tuple[int, ...]) -> list[Effect]:
        run = self._run
        if run is None or run.opening != peer or run.missing is not None:
            return []
        run.opening = None
        run.missing = list(missing)
        return []

    def _fail(self, failed: Failed, now_ms: int) -> list[Effect]:
        peer, run = failed.peer, self._run
        self._asked.pop(peer, None)
        effects: list[Effect] = []
        if failed.is_fault:
            self._liars.add(peer)
            effects.append(PeerFault(peer, failed.reason))
        if run is None:
            return effects
        # It is a source again when it says so again; a liar never is.
        run.sources.discard(peer)
        self._ask_at_ms = min(self._ask_at_ms, now_ms + REST_MS)
        if run.opening == peer:
            run.opening = None
        if failed.index is not None and run.asked.get(failed.index) == peer and run.missing is not None:
            del run.asked[failed.index]
            run.missing = sorted((*run.missing, failed.index))
        return effects

    def _end(self, now_ms: int, *, discard: bool) -> list[Effect]:
        run, self._run, self._begun = self._run, None, None
        self._liars.clear()
        self._offers.clear()
        self._ask_at_ms = now_ms + RETRY_MS
        return [*self._let_go(), *([Discard(run.offer)] if discard and run is not None else [])]

    def _let_go(self) -> list[Effect]:
        """Blocks are fetched until everybody is asked again."""
        held, self._holding = self._holding, False
        return [Hold(False)] if held else []

    # What to do next

    def _go_on(self, now_ms: int) -> list[Effect]:
        self._forget_absent(now_ms)
        run = self._run
        if run is None:
            return self._choose(now_ms) if self._is_wanted else self._let_go()
        if run.installing:
            return []
        if run.sources:
            run.seen_ms = now_ms
        if run.offer.height <= self._height or now_ms - run.seen_ms > ABANDON_MS:
            return self._end(now_ms, discard=True)
        if run.missing is None:
            return self._open_next(run, now_ms)
        if not run.missing and not run.asked:
            run.installing = True
            return [Install(run.offer)]
        return [*(self._ask_all(now_ms) if self._would_ask else []), *self._fetch_more(run, run.missing)]

    def _forget_absent(self, now_ms: int) -> None:
        self._offers = {peer: offers for peer, offers in self._offers.items() if peer in self._tips}
        self._asked = {peer: at for peer, at in self._asked.items() if at > now_ms and peer in self._tips}
        if self._run is not None:
            self._run.sources &= set(self._tips)

    def _ask_all(self, now_ms: int) -> list[Effect]:
        if self._asked or now_ms < self._ask_at_ms:
            return []
        self._ask_at_ms = now_ms + RETRY_MS
        self._offers.clear()
        peers = [peer for peer in sorted(self._tips) if peer not in self._liars]
        self._asked = dict.fromkeys(peers, now_ms + OFFERS_MS_MAX)
        return [Ask(peer) for peer in peers]

    def _choose(self, now_ms: int) -> list[Effect]:
        """Ask for offers; when all have answered, begin with the highest that is worth it."""
        if asked := self._ask_all(now_ms):
            # Without this the blocks are there before the first answer, and all of them have been fetched for nothing.
            self._holding = True
            return [Hold(True), *asked]
        if self._asked:
            return []
        offered = {offer for peer, offers in self._offers.items() for offer in offers if peer not in self._liars}
        good = {offer for offer in offered if offer.height >= self._height + self._gain_min}
        if not good:
            return self._let_go()
        # Of two heads for one height one is a lie; more offer the true one, and a lie fails when it is opened.
        best = max(good, key=lambda offer: (offer == self._begun, offer.height, len(self._sources(offer)), offer.head))
        self._run = _Run(best, self._sources(best), now_ms)
        return self._open_next(self._run, now_ms)

    def _sources(self, offer: Offer) -> set[OrgId]:
        return {peer for peer, offers in self._offers.items() if offer in offers and peer not in self._liars}

    def _open_next(self, run: _Run, now_ms: int) -> list[Effect]:
        if run.opening is not None:
            return []
        if not run.sources:
            # All that offered it lied or are gone.
            self._run = None
            for peer, offers in self._offers.items():
                self._offers[peer] = tuple(offer for offer in offers if offer != run.offer)
            return self._choose(now_ms)
        run.opening = min(run.sources)
        return [Open(run.opening, run.offer)]

    def _fetch_more(self, run: _Run, missing: list[int]) -> list[Effect]:
        effects: list[Effect] = []
        for _ in range(CHUNKS_PER_PEER_MAX):
            for peer in sorted(run.sources):
                under_way = sum(1 for other in run.asked.values() if other == peer)
                if missing and under_way < CHUNKS_PER_PEER_MAX:
                    index = missing.pop(0)
                    run.asked[index] = peer
                    effects.append(Fetch(peer, run.offer, index))
        return effects
