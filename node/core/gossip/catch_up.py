"""Whom to ask for blocks, and which fetched block comes next. Bounded: one request out, two answers held.

The next request goes out while the last answer is being applied, to the next peer in order. A peer that answers
wrongly, not at all, or that lowers its tip is shunned for a while and another is asked (CVE-2025-24371: a peer that
lowers its height must not hold the catch-up for ever).
"""

from collections import deque
from dataclasses import dataclass

from node.base.types import BlocksRequest, BlocksResponse, CertifiedBlock, Height, OrgId, Tip

BLOCKS_PER_REQUEST_MAX = 64
ANSWERS_HELD_MAX = 2
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


@dataclass(frozen=True, slots=True)
class _Answer:
    """Blocks of one peer, ascending without a gap; never empty."""

    peer: OrgId
    blocks: deque[CertifiedBlock]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The block after the own head, from whom it came, and whether the block after it is held, too."""

    peer: OrgId
    certified: CertifiedBlock
    followed: bool


class CatchUp:
    """Knows the peers' tips and fetches what this member lacks."""

    def __init__(self) -> None:
        self.height = Height(0)
        self.tips: dict[OrgId, Tip] = {}
        self._shunned_until_ms: dict[OrgId, int] = {}
        self._asked: _Asked | None = None
        self._behind_since_ms: int | None = None
        self._answers: deque[_Answer] = deque()
        self._last_peer: OrgId | None = None
        self._held = False

    @property
    def wake_at(self) -> int | None:
        """When `next_request` should be asked again though nothing arrived."""
        if self._asked is not None:
            return self._asked.until_ms
        if self._answers or self._held or self._behind_since_ms is None:
            return None
        ahead = [org for org, tip in self.tips.items() if tip.base <= self.height + 1 <= tip.height]
        return min((max(self._due_ms(org), self._shunned_until_ms.get(org, 0)) for org in ahead), default=None)

    @property
    def asked(self) -> OrgId | None:
        """The peer whose answer is awaited."""
        return None if self._asked is None else self._asked.peer

    def hold(self, active: bool) -> None:
        """Ask for nothing and hand out nothing, or go on."""
        self._held = active
        if active:
            self._answers.clear()
            self._asked = None

    def take_tip(self, peer: OrgId, tip: Tip, now_ms: int) -> str | None:
        """Note the tip; returns the reason why the peer is not believed, if it is not."""
        known = self.tips.get(peer)
        self.tips[peer] = tip
        self._note_behind(now_ms)
        if known is None or tip.height > known.height or (tip.height, tip.head) == (known.height, known.head):
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
        while self._answers and self._answers[0].blocks[0].block.header.height <= height:
            self._answers[0].blocks.popleft()
            if not self._answers[0].blocks:
                self._answers.popleft()
        if self._asked is not None:
            # While blocks are applied nobody looks whether the next answer is there; the peer's time begins anew.
            self._asked = _Asked(self._asked.peer, self._asked.request, now_ms + ANSWER_MS_MAX)
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
        if not heights:
            # It may have pruned them since its last tip: no fault, but nothing to ask it for now.
            self._shun(peer, now_ms)
            return None
        if len(heights) > asked.request.count or heights != expected:
            self._shun(peer, now_ms)
            return (
                f"answered a request for blocks from {response.start} on with {len(heights)} blocks that are not those"
            )
        new = deque(certified for certified in response.blocks if certified.block.header.height > self._held_height)
        if new:
            self._answers.append(_Answer(peer, new))
        return None

    def next_block(self) -> Fetched | None:
        """The fetched block that follows the own head."""
        if not self._answers or self._answers[0].blocks[0].block.header.height != self.height + 1:
            return None
        first = self._answers[0]
        return Fetched(first.peer, first.blocks[0], len(first.blocks) + len(self._answers) > 2)

    def refuse(self, peer: OrgId, now_ms: int) -> None:
        """A block from the peer was not true: drop what is held, ask another from there on."""
        self._answers.clear()
        self._asked = None
        self._shun(peer, now_ms)

    def give_up(self, now_ms: int) -> OrgId | None:
        """The peer that has not answered in time, if there is one; it is asked nothing for a while."""
        if self._asked is None or now_ms < self._asked.until_ms:
            return None
        silent = self._asked.peer
        self._shun(silent, now_ms)
        return silent

    def next_request(self, now_ms: int) -> tuple[OrgId, BlocksRequest] | None:
        """Whom to ask for what now; None when there is nothing to ask, or enough is held or awaited."""
        if self._held or self._asked is not None or len(self._answers) >= ANSWERS_HELD_MAX:
            return None
        if self._behind_since_ms is None:
            return None
        peer = self._choose(now_ms)
        if peer is None:
            return None
        held = self._held_height
        request = BlocksRequest(Height(held + 1), min(BLOCKS_PER_REQUEST_MAX, self.tips[peer].height - held))
        self._asked = _Asked(peer, request, now_ms + ANSWER_MS_MAX)
        self._last_peer = peer
        return peer, request

    @property
    def _held_height(self) -> Height:
        """The height of the last block that is committed or fetched."""
        return self._answers[-1].blocks[-1].block.header.height if self._answers else self.height

    def _choose(self, now_ms: int) -> OrgId | None:
        held = self._held_height
        able = [
            org
            for org, tip in self.tips.items()
            if tip.base <= held + 1 <= tip.height
            and self._due_ms(org) <= now_ms
            and self._shunned_until_ms.get(org, 0) <= now_ms
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
