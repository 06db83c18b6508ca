"""Tactics of voting: for everything, differently to different members, in wrong rounds, in others' names."""

from collections.abc import Iterable
from dataclasses import replace

from node.base.types import OrgId, PeerMessage, Proposal, RoundChange, Vote, VoteKind, header_digest
from node.testing.simulation.liars.kit import Kit
from node.testing.simulation.liars.tactic import Said, Tactic

ROUNDS = (-(2**63), -1, 0, 1, 2, 3, 5, 100, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1)
"""Rounds that no member is in, most of them, and the edges of what fits."""


class VotesForAll(Tactic):
    """Prepares and commits every block that anybody proposes, in every round, whatever it signed before."""

    def hears(self, peer: OrgId, message: PeerMessage) -> None:
        """A proposal: vote for it, twice."""
        if isinstance(message, Proposal) and message.header.height == self.kit.height:
            self._vote(message)

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """An own proposal gets the same votes."""
        if not isinstance(message, Proposal):
            return (message,)
        digest = header_digest(message.header)
        return (message, *(self.kit.vote(kind, message.round, digest) for kind in (VoteKind.PREPARE, VoteKind.COMMIT)))

    def acts(self) -> None:
        """Once more for all that is known at the height."""
        for proposal in self.kit.heard.proposals[-4:]:
            self._vote(proposal)

    def _vote(self, proposal: Proposal) -> None:
        digest = header_digest(proposal.header)
        self.kit.post_all(
            *(self.kit.vote(kind, proposal.round, digest) for kind in (VoteKind.PREPARE, VoteKind.COMMIT))
        )


class VotesTwoWays(Tactic):
    """Votes for the proposed block towards some, and for another towards the others."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._misled = kit.half()

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Another block to the misled."""
        if not isinstance(message, Vote) or peer not in self._misled:
            return (message,)
        other = self.kit.vote(message.kind, message.round, self.kit.any_digest(), message.height)
        return (other, message) if self.kit.rng.random() < 0.3 else (other,)


class ForgetsItsLock(Tactic):
    """Says in every round change that it prepared nothing."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """The same wish without its claim."""
        if not isinstance(message, RoundChange):
            return (message,)
        return (self.kit.round_change(message.round, height=message.height),)


class ClaimsLocks(Tactic):
    """Claims in round changes to have prepared what it did not: other rounds, other blocks, nothing that exists."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """A claim of its own, another one for each peer."""
        if not isinstance(message, RoundChange):
            return (message,)
        claimed = self.kit.rng.choice((message.round - 1, 0, message.round, message.round + 7))
        return (self.kit.round_change(message.round, max(0, claimed), self.kit.any_digest(), message.height),)


class WrongRounds(Tactic):
    """Votes and asks for rounds that nobody is in, up to the edge of 64 bits."""

    def acts(self) -> None:
        """One of each kind."""
        kit, rng = self.kit, self.kit.rng
        kit.post_all(
            kit.vote(rng.choice((VoteKind.PREPARE, VoteKind.COMMIT)), rng.choice(ROUNDS), kit.any_digest()),
            kit.round_change(rng.choice(ROUNDS)),
        )


class WrongHeights(Tactic):
    """Votes for heights that are over and for heights far away."""

    def acts(self) -> None:
        """One of each kind."""
        kit, rng = self.kit, self.kit.rng
        height = rng.choice((kit.height - 1, kit.height + 1, kit.height + 2, kit.height + 10**6, 0, 2**63 - 1))
        kind = rng.choice((VoteKind.PREPARE, VoteKind.COMMIT, VoteKind.ROUND_CHANGE))
        kit.post_all(
            kit.vote(kind, rng.randint(0, 3), kit.any_digest(), height),
            kit.round_change(rng.randint(0, 3), None, None, height),
        )


class SpeaksForOthers(Tactic):
    """Passes others' messages on as its own, in their name with its signature, and in its name with theirs."""

    def hears(self, peer: OrgId, message: PeerMessage) -> None:
        """A vote or round change: three ways of stealing it."""
        kit = self.kit
        if not isinstance(message, Vote | RoundChange) or message.height != kit.height or kit.rng.random() < 0.5:
            return
        stolen: list[PeerMessage] = [message, replace(message, org=kit.org)]
        if isinstance(message, Vote):
            mine = kit.vote(message.kind, message.round, kit.any_digest())
            stolen.append(replace(mine, org=kit.rng.choice(kit.peers)))
            stolen.append(replace(message, kind=VoteKind(3 if message.kind == 2 else 2), org=message.org))
        kit.post(kit.rng.choice(kit.peers), *stolen)


TACTICS: tuple[type[Tactic], ...] = (
    VotesForAll,
    VotesTwoWays,
    ForgetsItsLock,
    ClaimsLocks,
    WrongRounds,
    WrongHeights,
    SpeaksForOthers,
)
