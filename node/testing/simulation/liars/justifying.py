"""Tactics of justifying: in a later round of its own, a liar proposes a block of its choice with every wrong reason.

Each reason is one that a careless check would take: too few round changes, one counted twice, forged ones, old ones, a
claim left out, a certificate that is stale, short, forged or made of other votes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from node.base.types import Block, Certificate, OrgId, PeerMessage, Proposal, RoundChange, SignedBy, VoteKind
from node.testing.simulation.liars.kit import Kit
from node.testing.simulation.liars.tactic import Said, Tactic

ROUNDS_AHEAD = 3
ROUNDS_HEARD_MAX = 1 << 32
"""Later ones were made up by another liar, up to what the byte form can say."""


@dataclass(frozen=True, slots=True)
class _Case:
    """What a wrong reason is made of."""

    kit: Kit
    round: int
    asked: tuple[RoundChange, ...]
    """True round changes for the round: few, a quorum, or none."""
    block: Block

    @property
    def own(self) -> RoundChange:
        """The liar's own round change, which claims nothing."""
        return self.kit.round_change(self.round)

    @property
    def silent(self) -> tuple[RoundChange, ...]:
        """Those that claim nothing."""
        return tuple(change for change in self.asked if change.prepared_round is None)


_Reason = Callable[[_Case], tuple[tuple[RoundChange, ...], Certificate | None]]


def _forged_change(case: _Case, org: OrgId) -> RoundChange:
    return RoundChange(case.kit.height, case.round, None, None, org, case.kit.forged())


def _none(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    return (), None


def _too_few(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    few = {change.org: change for change in (*case.silent, case.own)}
    return tuple(few[org] for org in sorted(few))[: case.kit.members.quorum - 1], None


def _twice(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    return (*case.silent, *[case.own] * case.kit.members.quorum), None


def _forged(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    return (case.own, *(_forged_change(case, org) for org in case.kit.peers)), None


def _stolen(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    return tuple(replace(case.own, org=org) for org in case.kit.members.orgs), None


def _old(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    changes = sorted(case.kit.heard.round_changes.items())
    newest = {org: change for (_, org), change in changes}
    return tuple(newest[org] for org in sorted(newest)), None


def _claims_left_out(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    return tuple(
        change if change.prepared_round is None else replace(change, prepared_round=None, prepared=None)
        for change in case.asked
    ), None


def _ignored(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    return case.asked, None


def _quorum_of(case: _Case, changes: Iterable[RoundChange]) -> tuple[RoundChange, ...]:
    by_org = {change.org: change for change in (*case.asked, *changes)}
    return tuple(by_org[org] for org in sorted(by_org))


def _own_claim(case: _Case, certificate: Certificate) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    claim = case.kit.round_change(case.round, certificate.round, certificate.block)
    return _quorum_of(case, (claim,)), certificate


def _short_certificate(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    kit = case.kit
    vote = kit.vote(VoteKind.PREPARE, case.round - 1, case.block.digest)
    signatures = (SignedBy(kit.org, vote.signature),)
    return _own_claim(case, Certificate(kit.height, case.round - 1, case.block.digest, signatures))


def _certificate_counted_twice(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    changes, short = _short_certificate(case)
    assert short is not None, "the one before makes it"
    return changes, replace(short, signatures=short.signatures * case.kit.members.quorum)


def _forged_certificate(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    signatures = tuple(SignedBy(org, case.kit.forged()) for org in case.kit.members.orgs)
    return _own_claim(case, Certificate(case.kit.height, case.round - 1, case.block.digest, signatures))


def _stale_certificate(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    """Of the chain's last block: a quorum signed it, as commits, at the height below."""
    last = case.kit.disk.block(case.kit.disk.height())
    if last is None:
        return _none(case)
    changes, _ = _own_claim(case, replace(last.certificate, round=case.round - 1, block=case.block.digest))
    return changes, replace(last.certificate, height=case.kit.height, round=case.round - 1, block=case.block.digest)


def _another_block(case: _Case) -> tuple[tuple[RoundChange, ...], Certificate | None]:
    """A true certificate, for another block than the proposed one."""
    prepared = case.kit.heard.prepared
    return (case.asked, prepared[-1].certificate) if prepared else _ignored(case)


REASONS: tuple[_Reason, ...] = (
    _none,
    _too_few,
    _twice,
    _forged,
    _stolen,
    _old,
    _claims_left_out,
    _ignored,
    _short_certificate,
    _certificate_counted_twice,
    _forged_certificate,
    _stale_certificate,
    _another_block,
)


class WrongReasons(Tactic):
    """In place of its true proposals, and before anybody asked, proposes its own block with a wrong reason."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Of an own later round: the block of its choice instead."""
        if not isinstance(message, Proposal) or message.round == 0 or message.header.height != self.kit.height:
            return (message,)
        return (self.reasoned(message.round, self.kit.rng.choice(REASONS)),)

    def acts(self) -> None:
        """For the next rounds that are its own."""
        kit = self.kit
        rounds = {0, *(at for at, _ in kit.heard.round_changes if at <= ROUNDS_HEARD_MAX)}
        for round_ in range(max(1, max(rounds)), max(rounds) + 1 + ROUNDS_AHEAD):
            if kit.members.proposer(kit.height, round_) == kit.org:
                kit.post_all(self.reasoned(round_, kit.rng.choice(REASONS)))

    def reasoned(self, round_: int, reason: _Reason) -> Proposal:
        """The proposal with that reason."""
        kit = self.kit
        case = _Case(kit, round_, tuple(kit.asked_for(round_)), kit.block())
        changes, certificate = reason(case)
        return kit.proposal(round_, case.block, changes, certificate)


TACTICS: tuple[type[Tactic], ...] = (WrongReasons,)
