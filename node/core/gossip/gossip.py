"""The gossip machine: tips, catch-up, fan-out of transactions, requests for missing bodies.

Tips go out when a link comes up, after a block, though not after each of a quick row, and in turn to one peer every
few seconds, so that a lost one is repaired without a storm (p2pfl#87). Bodies travel once: `outbox` says how.
"""

from dataclasses import dataclass
from typing import assert_never

from node.base.types import (
    FIRST_HEIGHT,
    BlocksRequest,
    BlocksResponse,
    BodiesRequest,
    CertifiedBlock,
    Digest,
    Height,
    Instant,
    OrgId,
    Tip,
    Transaction,
    Transactions,
    earliest,
)
from node.core.gossip.bodies import Bodies
from node.core.gossip.catch_up import CatchUp
from node.core.gossip.outbox import Outbox, message_of

TIP_INTERVAL_MS = 1_000
"""Blocks may follow each other faster than anybody needs to hear of it; votes tell who is with us."""
REPEAT_MS = 5_000
"""So often a tip and what waits are sent again, to one peer after the other, whether blocks come or not: who restarted
has lost what waited, and who does not vote can put nothing into a block itself."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The own chain's head; also given once at the start."""

    height: Height
    head: Digest
    base: Height = FIRST_HEIGHT
    """The lowest block that this member can serve."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A link came up or went down."""

    peer: OrgId
    up: bool


@dataclass(frozen=True, slots=True)
class TipReceived:
    """A peer says how far it is."""

    peer: OrgId
    tip: Tip


@dataclass(frozen=True, slots=True)
class BlocksReceived:
    """A peer answered a request for blocks."""

    peer: OrgId
    response: BlocksResponse


@dataclass(frozen=True, slots=True)
class BlockRefused:
    """A block that `Apply` handed out is not true."""

    peer: OrgId
    reason: str


@dataclass(frozen=True, slots=True)
class NewTransactions:
    """Transactions that the mempool has just taken, this member's own or others'."""

    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The bodies that are missing now, and whom to ask, the proposer first; none end the search."""

    ids: tuple[Digest, ...]
    sources: tuple[OrgId, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """Whether blocks are not to be fetched now, because a snapshot is."""

    active: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """`wake_at` has come."""


Input = Advanced | Linked | TipReceived | BlocksReceived | BlockRefused | NewTransactions | Wanted | Held | Tick


@dataclass(frozen=True, slots=True)
class Send:
    """Send to one peer."""

    peer: OrgId
    message: Tip | BlocksRequest | BodiesRequest | Transactions


@dataclass(frozen=True, slots=True)
class SendPending:
    """Send the peer waiting transactions: the own organisation's, or all.

    All, when no block comes: their origin may have crashed and forgotten what it sent to this member alone.
    """

    peer: OrgId
    own_only: bool


@dataclass(frozen=True, slots=True)
class Apply:
    """Check this block, the next of the chain, and commit it; answered by `Advanced` or `BlockRefused`."""

    peer: OrgId
    certified: CertifiedBlock
    followed: bool
    """Whether the block after it is fetched already, so that this one need not be durable by itself."""


@dataclass(frozen=True, slots=True)
class PeerFault:
    """A peer sent what no correct member sends."""

    peer: OrgId
    reason: str


Effect = Send | SendPending | Apply | PeerFault


class Gossip:
    """One member's gossip. `step` is synchronous and deterministic."""

    def __init__(self, org: OrgId) -> None:
        self._org = org
        self._catch_up = CatchUp()
        self._bodies = Bodies()
        self._outbox = Outbox(org)
        self._head: Tip | None = None
        self._links: set[OrgId] = set()
        self._repeat_at_ms: int | None = None
        self._repeats = 0
        self._told_ms: int | None = None
        self._tell_at_ms: int | None = None
        self._applying: Height | None = None

    @property
    def tips(self) -> dict[OrgId, Tip]:
        """What each linked peer last said of its chain."""
        return dict(self._catch_up.tips)

    @property
    def links(self) -> frozenset[OrgId]:
        """The peers with a link."""
        return frozenset(self._links)

    @property
    def asked(self) -> OrgId | None:
        """The peer whose answer to a request for blocks is awaited."""
        return self._catch_up.asked

    @property
    def wake_at(self) -> int | None:
        """When a `Tick` is due, in `mono_ms`."""
        own = earliest(self._repeat_at_ms, self._tell_at_ms) if self._links else None
        return earliest(own, self._catch_up.wake_at, self._bodies.wake_at, self._outbox.wake_at)

    def step(self, input: Input, *, now: Instant) -> list[Effect]:
        """Take one input; returns what must happen, in this order."""
        effects: list[Effect] = []
        match input:
            case Advanced(height, head, base):
                effects += self._advance(Tip(height, head, base), now)
            case Linked(peer, up):
                effects += self._link(peer, up, now)
            case TipReceived(peer, tip):
                reason = self._catch_up.take_tip(peer, tip, now.mono_ms)
                effects += [] if reason is None else [PeerFault(peer, reason)]
            case BlocksReceived(peer, response):
                reason = self._catch_up.take_blocks(peer, response, now.mono_ms)
                effects += [] if reason is None else [PeerFault(peer, reason)]
            case BlockRefused(peer, reason):
                self._applying = None
                self._catch_up.refuse(peer, now.mono_ms)
                effects.append(PeerFault(peer, reason))
            case NewTransactions(transactions):
                for transaction in transactions:
                    self._outbox.add(transaction, now.mono_ms)
            case Wanted(ids, sources):
                self._bodies.want(ids, sources, now.mono_ms)
            case Held(active):
                self._catch_up.hold(active)
            case Tick():
                effects += self._tell(now) + self._repeat(now)
            case _:
                assert_never(input)
        return effects + self._ask(now)

    def _ask(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = [
            Send(peer, message)
            for peers, batch in self._outbox.take(now.mono_ms)
            # One message for all of them, so that it is encoded once.
            for message in (message_of(batch),)
            for peer in peers
        ]
        bodies = self._bodies.next_request(self._links, now.mono_ms)
        if bodies is not None:
            effects.append(Send(*bodies))
        silent = self._catch_up.give_up(now.mono_ms)
        if silent is not None:
            effects.append(PeerFault(silent, "did not answer a request for blocks"))
        # The next request goes out before the last answer is applied.
        request = self._catch_up.next_request(now.mono_ms)
        if request is not None:
            effects.append(Send(*request))
        found = self._catch_up.next_block()
        if found is not None and self._applying != found.certified.block.header.height:
            self._applying = found.certified.block.header.height
            effects.append(Apply(found.peer, found.certified, found.followed))
        return effects

    def _advance(self, tip: Tip, now: Instant) -> list[Effect]:
        self._head = tip
        self._applying = None
        self._catch_up.advance(tip.height, now.mono_ms)
        if self._catch_up.next_block() is not None:
            # In the middle of catching up: nobody needs to hear of each block.
            return []
        if not self._links:
            # Who links up later is told then.
            return []
        self._tell_at_ms = now.mono_ms if self._told_ms is None else max(now.mono_ms, self._told_ms + TIP_INTERVAL_MS)
        return self._tell(now)

    def _tell(self, now: Instant) -> list[Effect]:
        """Say the own tip to all, if that is due."""
        if self._head is None or self._tell_at_ms is None or now.mono_ms < self._tell_at_ms:
            return []
        self._told_ms, self._tell_at_ms = now.mono_ms, None
        return [Send(peer, self._head) for peer in sorted(self._links)]

    def _link(self, peer: OrgId, up: bool, now: Instant) -> list[Effect]:
        if not up:
            self._links.discard(peer)
            self._outbox.relink(self._links)
            self._catch_up.drop_peer(peer)
            return []
        self._links.add(peer)
        self._outbox.relink(self._links)
        if self._repeat_at_ms is None or self._repeat_at_ms <= now.mono_ms:
            self._repeat_at_ms = now.mono_ms + REPEAT_MS
        hello: list[Effect] = [] if self._head is None else [Send(peer, self._head)]
        return [*hello, SendPending(peer, own_only=True)]

    def _repeat(self, now: Instant) -> list[Effect]:
        if self._repeat_at_ms is None or now.mono_ms < self._repeat_at_ms or not self._links:
            return []
        self._repeat_at_ms = now.mono_ms + REPEAT_MS
        peers = sorted(self._links)
        peer = peers[self._repeats % len(peers)]
        self._repeats += 1
        tip: list[Effect] = [] if self._head is None else [Send(peer, self._head)]
        return [*tip, SendPending(peer, own_only=False)]
