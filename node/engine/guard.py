"""Judges what a peer sends before anything of it is decoded: limits by kind, a score of faults, and when to cut it off.

A pure machine: it is told the time and performs nothing. `engine.loop` asks it about each message and carries out its
`Cut`. The limits lie far above what an honest member sends under full load or while another catches up, so that only
a flood meets them; what is dropped all the same comes again by the peers' own retries.

- Each peer has an allowance for each kind of message. A message takes one from it, a long one more. The allowance
  grows back at a steady rate up to what may come at once.
- Each fault and each message beyond an allowance adds to the peer's score, which falls by `FORGIVEN_PER_S`. At
  `SCORE_MAX` the peer is cut off for `CUT_FIRST_S`, and for twice as long each time it goes on, up to `CUT_MAX_S`.
- What honest members do in trouble (a wrong clock, an answer that came too late) stays below the forgiven rate.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import get_args

from node.base.types import (
    BlocksRequest,
    BlocksResponse,
    BodiesRequest,
    BodiesResponse,
    CertifiedTip,
    Heard,
    OrgId,
    PeerMessage,
    PreparedBlock,
    Proposal,
    RoundChange,
    Statement,
    Tip,
    TipRequest,
    Transactions,
    Vote,
)


@dataclass(frozen=True, slots=True)
class Limit:
    """The allowance of one kind of message."""

    per_s: int
    """How much grows back in a second."""
    at_once: int
    """How much may be saved up."""
    bytes_each: int
    """A message takes one, and one more for each of these."""


LIMITS: dict[type, Limit] = {
    # Two votes a height and round, and all of a height again on connection.
    Vote: Limit(1_000, 2_000, 1 << 10),
    RoundChange: Limit(100, 400, 1 << 10),
    Proposal: Limit(400, 1_600, 16 << 10),
    PreparedBlock: Limit(200, 800, 64 << 10),
    # A member alone may bring the whole network's load.
    Transactions: Limit(8_000, 16_000, 256),
    Tip: Limit(50, 200, 1 << 10),
    BlocksRequest: Limit(100, 400, 1 << 10),
    BlocksResponse: Limit(4_000, 16_000, 64 << 10),
    BodiesRequest: Limit(400, 1_600, 4 << 10),
    BodiesResponse: Limit(4_000, 16_000, 4 << 10),
    Heard: Limit(50, 200, 1 << 10),
    # Asked once a second, answered as often.
    TipRequest: Limit(20, 80, 1 << 10),
    CertifiedTip: Limit(20, 80, 16 << 10),
    # One for each prepare that contradicts a proposal.
    Statement: Limit(100, 400, 1 << 10),
}
"""For each kind in a control frame. Per peer, not per network: a flood uses up nobody's allowance but its own."""
OTHER = Limit(20, 20, 1 << 10)
"""For bytes that name no kind; each is a fault besides."""

SCORE_MAX = 50.0
FORGIVEN_PER_S = 1.0
BEYOND_LIMIT_SCORE = 0.02
"""For one message beyond its allowance: 2,500 of them at once cut the peer off."""
BEYOND_LIMIT_BYTES = 16 << 10
"""A long message counts as one more for each of these: some twenty of the longest cut the peer off."""
FAULT_SCORE = 1.0
PASSED_ON_SCORE = 0.1
"""For a bad transaction: another organisation may have made it, and keys change between two members' looks at it."""
BROKE_PROTOCOL_SCORE = 10.0
"""For a stream that ended because the peer broke the protocol of frames: no race explains that."""
LINK_SCORE = 0.4
"""For one link that came up: a peer whose network fails is back every two seconds at the most."""
CUT_FIRST_S = 10
CUT_MAX_S = 3_600
CUTS_FORGIVEN_MS = 10 * CUT_MAX_S * 1_000
"""After so long without another cut, the next one is a first one again."""
PEERS_MAX = 1_024
"""Peers that are remembered; beyond, those that were heard first are forgotten."""

_KINDS: tuple[type, ...] = get_args(PeerMessage)
_NAMES = (*(kind.__name__ for kind in _KINDS), "unknown")
_LIMITS = (*(LIMITS[kind] for kind in _KINDS), OTHER)
_BYTES_EACH = tuple(limit.bytes_each for limit in _LIMITS)
_UNKNOWN = len(_KINDS)
TRANSACTIONS = _KINDS.index(Transactions)
BLOCKS = _KINDS.index(BlocksResponse)


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the peer off for so long; what waits of it is dropped, too."""

    peer: OrgId
    seconds: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one message."""

    admitted: bool
    cut: Cut | None


@dataclass(frozen=True, slots=True)
class Conduct:
    """What is known of a peer, for the operator."""

    dropped: dict[str, int]
    """Messages beyond their allowance, by kind."""
    faults: int
    cuts: int
    last_reason: str


@dataclass(slots=True)
class _Record:
    # Nothing is left since long ago: the first message of each kind finds the whole allowance grown back.
    left: list[int] = field(default_factory=lambda: [0] * len(_LIMITS))
    filled_ms: list[int] = field(default_factory=lambda: [-(1 << 50)] * len(_LIMITS))
    dropped: Counter[int] = field(default_factory=Counter)
    score: float = 0.0
    scored_ms: int = 0
    faults: int = 0
    cuts: int = 0
    """Since the last long quiet; decides how long the next cut is."""
    cuts_in_all: int = 0
    cut_until_ms: int = 0
    last_reason: str = ""


def kind_of(message: bytes) -> int:
    """The place of the message's kind in `PeerMessage`; one beyond the last for none."""
    return message[0] if message and message[0] < _UNKNOWN else _UNKNOWN


class Guard:
    """One member's judgement of its peers. Bounded by `PEERS_MAX` records of fixed size."""

    def __init__(self) -> None:
        self._records: dict[OrgId, _Record] = {}

    def admits(self, peer: OrgId, message: bytes) -> bool:
        """Whether what is left of the allowance covers the message. When it does not, `judge` it by the time.

        Every message comes by here, and reading a clock costs as much as this.
        """
        record = self._records.get(peer) or self._begin(peer)
        kind = message[0] if message and message[0] < _UNKNOWN else _UNKNOWN
        left = record.left[kind] - 1 - len(message) // _BYTES_EACH[kind]
        if left < 0:
            return False
        record.left[kind] = left
        return True

    def judge(self, peer: OrgId, message: bytes, now_ms: int) -> Verdict:
        """What becomes of a message that `admits` did not let through."""
        record, kind = self._records[peer], kind_of(message)
        grown = (now_ms - record.filled_ms[kind]) * _LIMITS[kind].per_s // 1000
        if grown > 0:
            record.left[kind] = min(_LIMITS[kind].at_once, record.left[kind] + grown)
            record.filled_ms[kind] = now_ms
        if self.admits(peer, message):
            return Verdict(True, None)
        record.dropped[kind] += 1
        reason = f"sends more messages of kind {_NAMES[kind]} than any member needs"
        score = BEYOND_LIMIT_SCORE * (1 + len(message) / BEYOND_LIMIT_BYTES)
        return Verdict(False, self._blame(peer, score, reason, now_ms))

    def fault(self, peer: OrgId, score: float, reason: str, now_ms: int) -> Cut | None:
        """Count a fault of the peer against it."""
        record = self._records.get(peer) or self._begin(peer)
        record.faults += 1
        return self._blame(peer, score, reason, now_ms)

    def linked(self, peer: OrgId, now_ms: int) -> Cut | None:
        """Count one link that came up: what it costs to make is not bounded by any allowance."""
        if peer not in self._records:
            self._begin(peer)
        return self._blame(peer, LINK_SCORE, "links up again and again", now_ms)

    def conduct(self, peer: OrgId) -> Conduct | None:
        """What is known of the peer; None while nothing speaks against it."""
        record = self._records.get(peer)
        if record is None or not (record.dropped or record.faults):
            return None
        dropped = {_NAMES[kind]: count for kind, count in sorted(record.dropped.items())}
        return Conduct(dropped, record.faults, record.cuts_in_all, record.last_reason)

    def _blame(self, peer: OrgId, score: float, reason: str, now_ms: int) -> Cut | None:
        record = self._records[peer]
        if record.cut_until_ms > now_ms:
            # What was under way when it was cut off counts once.
            return None
        forgiven = (now_ms - record.scored_ms) * FORGIVEN_PER_S / 1000
        record.score = max(0.0, record.score - forgiven) + score
        record.scored_ms = now_ms
        record.last_reason = reason
        if record.score < SCORE_MAX:
            return None
        if now_ms - record.cut_until_ms > CUTS_FORGIVEN_MS:
            record.cuts = 0
        seconds = min(CUT_FIRST_S << min(record.cuts, 20), CUT_MAX_S)
        record.cuts += 1
        record.cuts_in_all += 1
        record.score = 0.0
        record.cut_until_ms = now_ms + seconds * 1_000
        return Cut(peer, seconds, reason)

    def _begin(self, peer: OrgId) -> _Record:
        while len(self._records) >= PEERS_MAX:
            del self._records[next(iter(self._records))]
        record = _Record()
        self._records[peer] = record
        return record
