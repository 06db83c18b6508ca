"""Tactics of saying less: nothing at all, nothing to some, never this kind of message."""

from collections.abc import Iterable

from node.base.types import OrgId, PeerMessage
from node.testing.simulation.labels import name_message
from node.testing.simulation.liars.kit import Kit, to_bytes
from node.testing.simulation.liars.tactic import Said, Tactic

_WITHHELD = (
    frozenset({"Prepare"}),
    frozenset({"Commit"}),
    frozenset({"Prepare", "Commit"}),
    frozenset({"Proposal"}),
    frozenset({"RoundChange", "PreparedBlock"}),
    frozenset({"PreparedBlock"}),
    frozenset({"Transactions", "BodiesResponse"}),
    frozenset({"BlocksResponse"}),
    frozenset({"Tip", "BlocksResponse"}),
)


class Silent(Tactic):
    """Says nothing to anybody."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Nothing."""
        return ()


class SilentToSome(Tactic):
    """Says nothing to some, who cannot know whether it lives."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._ignored = kit.half()

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Nothing to those."""
        return () if peer in self._ignored else (message,)


class Withholding(Tactic):
    """Never sends some kind of message: votes, bodies, blocks, proposals; to all, or to some."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._kinds = kit.rng.choice(_WITHHELD)
        self._from = frozenset(kit.peers) if kit.rng.random() < 0.5 else kit.half()

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """All but those."""
        withheld = peer in self._from and name_message(to_bytes(message)) in self._kinds
        return () if withheld else (message,)


TACTICS: tuple[type[Tactic], ...] = (Silent, SilentToSome, Withholding)
