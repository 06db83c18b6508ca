"""What waits for the replica's next step, shared fairly between peers, bounded in messages and bytes for each.

In order of arrival, but no peer has more than `WINDOW` messages in the row at once: its further ones wait behind and
move up as its earlier ones are taken. So a peer that sends a thousand messages delays another's by `WINDOW` of them,
while under an honest load nothing changes its place.

Votes overtake everything: behind a burst of transactions they would come too late for their round. A proposal does
not, so that the bodies that it names are taken before it.
"""

from collections import deque
from typing import get_args

from node.base.types import OrgId, PeerMessage, RoundChange, Vote
from node.engine.replica_io import Input, OwnInput, PeerSent

MESSAGES_PER_PEER_MAX = 4_096
BYTES_PER_PEER_MAX = 16 << 20
"""Of one peer's messages that wait; more are dropped, and the peer's own retries bring them again."""
WINDOW = 256

_VOTES = frozenset(get_args(PeerMessage).index(kind) for kind in (Vote, RoundChange))


class _Row:
    """First come, first served, within each peer's window."""

    def __init__(self) -> None:
        self._order: deque[Input] = deque()
        self._inside: dict[OrgId, int] = {}
        self._behind: dict[OrgId, deque[PeerSent]] = {}

    def __bool__(self) -> bool:
        return bool(self._order)

    def put(self, sent: PeerSent) -> None:
        peer = sent.peer
        inside = self._inside.get(peer, 0)
        if inside < WINDOW:
            self._inside[peer] = inside + 1
            self._order.append(sent)
        else:
            self._behind.setdefault(peer, deque()).append(sent)

    def put_own(self, item: Input) -> None:
        self._order.append(item)

    def take(self) -> Input:
        item = self._order.popleft()
        if isinstance(item, PeerSent):
            peer = item.peer
            behind = self._behind.get(peer)
            if behind:
                self._order.append(behind.popleft())
            else:
                self._inside[peer] -= 1
        return item

    def drop(self, peer: OrgId) -> None:
        self._order = deque(item for item in self._order if not (isinstance(item, PeerSent) and item.peer == peer))
        self._inside.pop(peer, None)
        self._behind.pop(peer, None)


class Inbox:
    """The replica's waiting inputs."""

    def __init__(self) -> None:
        self._votes = _Row()
        self._rest = _Row()
        self._messages: dict[OrgId, int] = {}
        self._bytes: dict[OrgId, int] = {}

    def __bool__(self) -> bool:
        return bool(self._votes) or bool(self._rest)

    def put(self, peer: OrgId, message: bytes) -> bool:
        """Whether the peer's message still had room."""
        messages, size = self._messages.get(peer, 0), self._bytes.get(peer, 0) + len(message)
        if messages >= MESSAGES_PER_PEER_MAX or size > BYTES_PER_PEER_MAX:
            return False
        self._messages[peer], self._bytes[peer] = messages + 1, size
        row = self._votes if message and message[0] in _VOTES else self._rest
        row.put(PeerSent(peer, message))
        return True

    def put_own(self, item: OwnInput) -> None:
        """What does not come from a peer's bytes: as many as the operator's calls and the links make."""
        self._rest.put_own(item)

    def take(self) -> Input:
        """The next one. Raises `IndexError` when there is none."""
        item = (self._votes or self._rest).take()
        if isinstance(item, PeerSent):
            self._messages[item.peer] -= 1
            self._bytes[item.peer] -= len(item.message)
        return item

    def drop(self, peer: OrgId) -> None:
        """Forget what waits of the peer."""
        for row in (self._votes, self._rest):
            row.drop(peer)
        self._messages.pop(peer, None)
        self._bytes.pop(peer, None)
