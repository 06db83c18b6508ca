"""Whom to ask for the transactions that a proposal names and this member does not hold."""

from node.base.types import BodiesRequest, Digest, OrgId

ANSWER_MS_MAX = 300
"""After this long another member is asked."""
GRACE_MS = 50
"""Bodies may be under way when a proposal names them; asked for at once, they would travel twice."""
IDS_PER_REQUEST_MAX = 2_000


class Bodies:
    """One set of wanted ids at a time: that of the proposal under consideration."""

    def __init__(self) -> None:
        self._ids: tuple[Digest, ...] = ()
        self._sources: tuple[OrgId, ...] = ()
        self._turn = 0
        self._until_ms = 0

    @property
    def wake_at(self) -> int | None:
        """When the next member is to be asked."""
        return self._until_ms if self._ids and self._sources else None

    def want(self, ids: tuple[Digest, ...], sources: tuple[OrgId, ...], now_ms: int) -> None:
        """Ask for these after a moment, the sources in their order; no ids end the search."""
        if sources != self._sources:
            self._turn = 0
        if sources != self._sources or not self._ids:
            self._until_ms = now_ms + GRACE_MS
        self._ids = ids[:IDS_PER_REQUEST_MAX]
        self._sources = sources

    def next_request(self, links: set[OrgId], now_ms: int) -> tuple[OrgId, BodiesRequest] | None:
        """Whom to ask now; only who has a link is asked."""
        if not self._ids or now_ms < self._until_ms:
            return None
        self._until_ms = now_ms + ANSWER_MS_MAX
        for _ in self._sources:
            peer = self._sources[self._turn % len(self._sources)]
            self._turn += 1
            if peer in links:
                return peer, BodiesRequest(self._ids)
        return None
