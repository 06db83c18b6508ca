"""What the members signed at one height, bounded whatever they send.

Signatures are checked before anything comes here.
"""

from node.base.types import Certificate, Digest, Height, OrgId, RoundChange, SignedBy, Vote

ROUNDS_PER_MEMBER_MAX = 4
"""Rounds of one member of which votes are kept. A member only pushes out its own votes (besu GHSA-23rh)."""


class VoteBook:
    """Votes of one kind: one per member and round, of the highest rounds of each member."""

    def __init__(self) -> None:
        self._votes: dict[OrgId, dict[int, Vote]] = {}
        self._counts: dict[int, int] = {}
        """How many votes each round has: every vote asks for a certificate, and for most there are too few."""

    def __len__(self) -> int:
        return sum(len(rounds) for rounds in self._votes.values())

    def find(self, org: OrgId, round_: int) -> Vote | None:
        """The member's vote in the round."""
        return self._votes.get(org, {}).get(round_)

    def rounds_by(self, org: OrgId) -> tuple[int, ...]:
        """The rounds of the member's votes."""
        return tuple(self._votes.get(org, {}))

    def add(self, vote: Vote) -> None:
        """Keep a vote; of more rounds than are kept, the lowest goes."""
        rounds = self._votes.setdefault(vote.org, {})
        if vote.round in rounds:
            return
        rounds[vote.round] = vote
        self._counts[vote.round] = self._counts.get(vote.round, 0) + 1
        if len(rounds) > ROUNDS_PER_MEMBER_MAX:
            lowest = min(rounds)
            del rounds[lowest]
            self._counts[lowest] -= 1
            if not self._counts[lowest]:
                del self._counts[lowest]

    def certificate(self, height: Height, round_: int, block: Digest, quorum: int) -> Certificate | None:
        """All votes for the block in the round, when they are a quorum. One round only: rounds never add up."""
        if self._counts.get(round_, 0) < quorum:
            return None
        matching = sorted((vote.org, vote.signature) for vote in self.of_round(round_) if vote.block == block)
        if len(matching) < quorum:
            return None
        return Certificate(height, round_, block, tuple(SignedBy(org, signature) for org, signature in matching))

    def of_round(self, round_: int) -> list[Vote]:
        """All votes in the round."""
        return [rounds[round_] for rounds in self._votes.values() if round_ in rounds]

    def rounds_with(self, count: int) -> list[int]:
        """The rounds with at least so many votes, ascending."""
        return sorted(round_ for round_, votes in self._counts.items() if votes >= count)


class RoundChangeBook:
    """The highest round change of each member."""

    def __init__(self) -> None:
        self._highest: dict[OrgId, RoundChange] = {}

    def __len__(self) -> int:
        return len(self._highest)

    def find(self, org: OrgId) -> RoundChange | None:
        """The member's highest round change."""
        return self._highest.get(org)

    def add(self, message: RoundChange) -> None:
        """Keep the message if it is the member's highest."""
        known = self._highest.get(message.org)
        if known is None or known.round < message.round:
            self._highest[message.org] = message

    def of_round(self, round_: int) -> tuple[RoundChange, ...]:
        """The round changes for exactly this round, in ascending order of organisation."""
        return tuple(self._highest[org] for org in sorted(self._highest) if self._highest[org].round == round_)

    def supported_above(self, round_: int, count: int) -> int | None:
        """The highest round above `round_` that at least `count` members have reached or passed."""
        # QBFT, algorithm 3: f + 1 round changes above the own round contain one of a correct member.
        above = sorted((m.round for m in self._highest.values() if m.round > round_), reverse=True)
        return above[count - 1] if len(above) >= count else None
