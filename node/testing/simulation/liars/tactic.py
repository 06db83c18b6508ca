"""The shape of every tactic: what becomes of an own message, what is learned from others', what is added."""

from collections.abc import Iterable

from node.base.types import OrgId, PeerMessage
from node.testing.simulation.liars.kit import Kit

Said = PeerMessage | bytes
"""A message, or bytes that need not be one."""


class Tactic:
    """By itself an honest member."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """What goes to the peer in place of the replica's message."""
        return (message,)

    def hears(self, peer: OrgId, message: PeerMessage) -> None:
        """A peer's message arrived; the kit has learned it."""

    def acts(self) -> None:
        """From time to time: post anything."""
