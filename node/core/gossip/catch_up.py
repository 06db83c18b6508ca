"""Whom to ask for blocks, and which fetched block comes next. Bounded: one request out, one answer held.

A peer that answers wrongly, not at all, or that lowers its tip is shunned for a while and another is asked
(CVE-2025-24371: a peer that lowers its height must not hold the catch-up for ever).
"""

from collections import deque
from dataclasses import dataclass

from node.base.types import BlocksRequest, BlocksResponse, CertifiedBlock, Height, OrgId, Tip

BLOCKS_PER_REQUEST_MAX = 64
ANSWER_MS_MAX = 3_000
"""A peer that has not answered by then is asked nothing for a while."""
SHUN_MS = 10_000
GRACE_MS = 300
"""One block behind is usual while votes are on their way; only after this long is the block asked for."""


@dataclass(frozen=True, slots=True)
class _Asked:
    peer: OrgId
    request: BlocksRequest
    until_ms: int


class CatchUp:
    """Knows the peers' tips and fetches what this member lacks."""

    def __init__(self) -> None:
        self.height = Height(0)
        self.tips: dict[OrgId, Tip] = {}
        self._shunned_until_ms: dict[OrgId, int] = {}
        self._asked: _Asked | None = None
        self._behind_since_ms: int | None = None
        self._fetched: deque[CertifiedBlock] = deque()
        self._fetched_from: OrgId | None = None
        self._last_peer: OrgId | None = None

    @property
    def wake_at(self) -> int | None:
        """When `next_request` should be asked again though nothing arrived."""
        moments = [] if self._asked is None else [self._asked.until_ms]
        if self._asked is None and not self._fetched:
            ahead = [org for org, tip in self.tips.items() if tip.height > self.height]
            moments.extend(max(self._due_ms(org), self._shunned_until_ms.get(org, 0)) for org in ahead)
        return min(moments, default=None)

    def take_tip(self, peer: OrgId, tip: Tip, now_ms: int) -> str | None:
        """Note the tip; returns the reason why the peer is not believed, if it is not."""
        known = self.tips.get(peer)
        self.tips[peer] = tip
        self._note_behind(now_ms)
        if known is None or tip.height > known.height or tip == known:
            return None
        self._shun(peer, now_ms)
        if tip.height < known.height:
            return f"lowered its tip from {known.height} to {tip.height}"
        return f"names two heads at height {tip.height}"

    def drop_peer(self, peer: OrgId) -> None:
        """The link is gone: what the peer said no longer counts."""
        self.tips.pop(peer, None)
        if self._asked is not None and self._asked.peer == peer:
            self._asked = None

    def advance(self, height: Height, now_ms: int) -> None:
        """The own chain has grown, by agreement or by a fetched block."""
        self.height = height
        while self._fetched and self._fetched[0].block.header.height <= height:
            self._fetched.popleft()
        self._behind_since_ms = None
        self._note_behind(now_ms)

    def take_blocks(self, peer: OrgId, response: BlocksResponse, now_ms: int) -> str | None:
        """Hold the answer; returns the reason why it is none, if so. An answer that nobody waits for is ignored."""
        asked = self._asked
        if asked is None or asked.peer != peer or asked.request.start != response.start:
            return None
        self._asked = None
        heights = [certified.block.header.height for certified in response.blocks]
        expected = list(range(response.start, response.start + len(heights)))
        if not heights or len(heights) > asked.request.count or heights != expected:
            self._shun(peer, now_ms)
            return (
                f"answered a request for blocks from {response.start} on with {len(heights)} blocks that are not those"
            )
        self._fetched = deque(certified for certified in response.blocks if certified.block.header.height > self.height)
        self._fetched_from = peer
        return None

    def next_block(self) -> tuple[OrgId, CertifiedBlock] | None:
        """The fetched block that follows the own head."""
        if not self._fetched or self._fetched_from is None:
            return None
        if self._fetched[0].block.header.height != self.height + 1:
            return None
        return self._fetched_from, self._fetched[0]

    def refuse(self, peer: OrgId, now_ms: int) -> None:
        """A block from the peer was not true: drop the rest of its answer, ask another."""
        self._shun(peer, now_ms)
        if self._fetched_from == peer:
            self._fetched.clear()

    def give_up(self, now_ms: int) -> OrgId | None:
        """The peer that has not answered in time, if there is one; it is asked nothing for a while."""
        if self._asked is None or now_ms < self._asked.until_ms:
            return None
        silent = self._asked.peer
        self._shun(silent, now_ms)
        return silent

    def next_request(self, now_ms: int) -> tuple[OrgId, BlocksRequest] | None:
        """Whom to ask for what now; None when there is nothing to ask, or an answer is still awaited."""
        if self._asked is not None or self._fetched:
            return None
        peer = self._choose(now_ms)
        if peer is None:
            return None
        count = min(BLOCKS_PER_REQUEST_MAX, self.tips[peer].height - self.height)
        request = BlocksRequest(Height(self.height + 1), count)
        self._asked = _Asked(peer, request, now_ms + ANSWER_MS_MAX)
        self._last_peer = peer
        return peer, request

    def _choose(self, now_ms: int) -> OrgId | None:
        able = [
            org
            for org, tip in self.tips.items()
            if tip.height > self.height and self._due_ms(org) <= now_ms and self._shunned_until_ms.get(org, 0) <= now_ms
        ]
        # The next one in order after the last asked: a peer that lies costs each turn once.
        last = self._last_peer
        return min(able, key=lambda org: (last is not None and org <= last, org), default=None)

    def _due_ms(self, org: OrgId) -> int:
        since = self._behind_since_ms or 0
        return since if self.tips[org].height > self.height + 1 else since + GRACE_MS

    def _note_behind(self, now_ms: int) -> None:
        behind = any(tip.height > self.height for tip in self.tips.values())
        if behind and self._behind_since_ms is None:
            self._behind_since_ms = now_ms
        elif not behind:
            self._behind_since_ms = None

    def _shun(self, peer: OrgId, now_ms: int) -> None:
        self._shunned_until_ms[peer] = now_ms + SHUN_MS
        if self._asked is not None and self._asked.peer == peer:
            self._asked = None
