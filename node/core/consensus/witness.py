"""Recognises two different statements that one member signed for one kind, height and round.

What was heard is kept for the height that is being agreed on and for the one before, bounded: of each member and kind
the highest rounds, so that a member only pushes out its own. Nothing is verified before two statements differ: then
both are, and one that nobody signed is forgotten.
"""

from node.base.ports import Verifier
from node.base.types import (
    Certificate,
    Digest,
    Height,
    MemberSet,
    OrgId,
    Statement,
    VoteKind,
    statement_signing_bytes,
)

ROUNDS_KEPT_MAX = 8
"""Rounds of one member and kind at one height."""
HEIGHTS_KEPT = 2

Proof = tuple[Statement, Statement]


class _Heard:
    """What was heard of one height."""

    def __init__(self, members: MemberSet) -> None:
        self.members = members
        self.statements: dict[tuple[OrgId, VoteKind], dict[int, Statement]] = {}
        self.proven: set[OrgId] = set()


class Witness:
    """Give it every statement of the members; the two that contradict each other come out, once a member and height."""

    def __init__(self, org: OrgId, chain: Digest, verify: Verifier) -> None:
        self._org = org
        self._chain = chain
        self._verify = verify
        self._heights: dict[Height, _Heard] = {}

    def __len__(self) -> int:
        return sum(len(rounds) for heard in self._heights.values() for rounds in heard.statements.values())

    def begin(self, height: Height, members: MemberSet) -> None:
        """A height begins; of the ones before, the last is kept."""
        self._heights[height] = _Heard(members)
        for old in [known for known in self._heights if known <= height - HEIGHTS_KEPT]:
            del self._heights[old]

    def knows(self, height: Height) -> bool:
        """Whether statements of this height can still be compared."""
        return height in self._heights

    def hear(self, statement: Statement) -> Proof | None:
        """Keep the statement; returns it with an earlier one when both are signed and differ."""
        heard = self._heights.get(statement.height)
        if heard is None or statement.org == self._org or statement.org not in heard.members.keys:
            return None
        if not _has_a_layout(statement):
            return None
        rounds = heard.statements.setdefault((statement.org, statement.kind), {})
        known = rounds.get(statement.round)
        if known is None:
            rounds[statement.round] = statement
            if len(rounds) > ROUNDS_KEPT_MAX:
                del rounds[min(rounds)]
            return None
        return self._compare(heard, known, statement)

    def hear_of(self, statement: Statement) -> Proof | None:
        """A statement that another member passes on: it is only compared, so that nobody fills another's place."""
        heard = self._heights.get(statement.height)
        known = None if heard is None else heard.statements.get((statement.org, statement.kind), {})
        if heard is None or known is None or statement.round not in known or not _has_a_layout(statement):
            return None
        return self._compare(heard, known[statement.round], statement)

    def hear_certificate(self, kind: VoteKind, certificate: Certificate) -> list[Proof]:
        """The votes of a certificate whose signatures hold."""
        votes = (
            Statement(
                kind, signed.org, certificate.height, certificate.round, certificate.block, None, None, signed.signature
            )
            for signed in certificate.signatures
        )
        return [proof for vote in votes if (proof := self.hear(vote)) is not None]

    def _compare(self, heard: _Heard, known: Statement, other: Statement) -> Proof | None:
        known_bytes, other_bytes = (statement_signing_bytes(self._chain, said) for said in (known, other))
        if known_bytes == other_bytes or known.org in heard.proven:
            return None
        key = heard.members.keys[known.org]
        if not self._verify(key, other_bytes, other.signature):
            return None
        if not self._verify(key, known_bytes, known.signature):
            heard.statements[known.org, known.kind][known.round] = other
            return None
        heard.proven.add(known.org)
        return known, other


def _has_a_layout(statement: Statement) -> bool:
    """Whether its fields fit what a signature covers; what does not was never signed."""
    claimed = statement.prepared_round
    return claimed is None or 0 <= claimed < statement.round
