"""A liar: some tactics, one behind the other."""

from collections.abc import Iterable
from random import Random
from typing import Any, Protocol

from node.base.codec import DecodeError
from node.base.types import OrgId, PeerMessage
from node.testing.simulation.founding import Founded
from node.testing.simulation.liars import justifying, noise, proposing, silence, syncing, voting
from node.testing.simulation.liars.kit import Kit, to_bytes
from node.testing.simulation.liars.tactic import Said, Tactic
from node.testing.simulation.member import Member
from node.testing.simulation.reading import SharedReader

TACTICS: tuple[type[Tactic], ...] = (
    *silence.TACTICS,
    *voting.TACTICS,
    *proposing.TACTICS,
    *justifying.TACTICS,
    *syncing.TACTICS,
    *noise.TACTICS,
)
_MESSAGE: Any = PeerMessage


class Liar:
    """Stands between a member's replica and the network."""

    def __init__(self, kit: Kit, tactics: Iterable[type[Tactic]]) -> None:
        self._kit = kit
        self.tactics = [tactic(kit) for tactic in tactics]

    def says(self, peer: OrgId, data: bytes) -> list[bytes]:
        """What leaves the member in place of `data`."""
        message: PeerMessage = self._kit.read(_MESSAGE, data)
        self._kit.learn(message)
        said: list[Said] = [message]
        for tactic in self.tactics:
            said = [out for item in said for out in ([item] if isinstance(item, bytes) else tactic.says(peer, item))]
        return [data if item is message else to_bytes(item) for item in said]

    def hears(self, peer: OrgId, data: bytes) -> None:
        """What arrives at the member."""
        try:
            message: PeerMessage = self._kit.read(_MESSAGE, data)
        except DecodeError:
            return
        self._kit.learn(message)
        for tactic in self.tactics:
            tactic.hears(peer, message)

    def acts(self) -> None:
        """What it does of itself, from time to time."""
        for tactic in self.tactics:
            tactic.acts()


class World(Protocol):
    """What a liar needs of the simulation."""

    rng: Random
    founded: Founded
    read: SharedReader
    members: dict[OrgId, Member]

    def post(self, slot: OrgId, receiver: OrgId, message: bytes) -> None:
        """Put bytes on their way."""
        ...


def make_kit(org: OrgId, world: World) -> Kit:
    """The member's hands."""
    member = world.members[org]
    return Kit(
        org,
        world.founded,
        member.disk,
        world.rng,
        world.read,
        lambda: member.wall_ms,
        lambda peer, data: world.post(org, peer, data),
    )


def draw_liar(org: OrgId, world: World) -> Liar:
    """A liar with one to three tactics by chance."""
    return Liar(make_kit(org, world), world.rng.sample(TACTICS, world.rng.choice((1, 1, 2, 3))))
