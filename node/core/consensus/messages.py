"""What the members say: each message is checked, blamed on its sender where it is false, and followed."""

from typing import assert_never

from node.base.types import (
    OrgId,
    PreparedBlock,
    Proposal,
    RoundChange,
    Vote,
    VoteKind,
    header_digest,
    statement_of,
    vote_signing_bytes,
)
from node.core.consensus.blocks import Blocks
from node.core.consensus.effects import ExecuteProposal, SendTo
from node.core.consensus.inputs import ConsensusMessage, height_of
from node.core.consensus.justification import check_prepared_block, check_proposal, check_round_change
from node.core.consensus.rounds import ROUND_MAX


class Messages(Blocks):
    """Proposals, votes, round changes and prepared blocks of the height that is being agreed on."""

    def _receive(self, peer: OrgId, message: ConsensusMessage) -> None:
        height = height_of(message)
        if height == self.height + 1 and not isinstance(message, PreparedBlock):
            # One message of each kind and peer is enough to follow; the peer's round changes repeat the rest.
            kind = message.kind.name if isinstance(message, Vote) else type(message).__name__
            self._early[peer, kind] = message
            return
        if self._at is None or height > self.height:
            return
        if not isinstance(message, PreparedBlock) and message.org != peer:
            self._fault(peer, f"sent a message of {message.org} as its own")
            return
        round_ = message.certificate.round if isinstance(message, PreparedBlock) else message.round
        if not 0 <= round_ <= ROUND_MAX:
            self._fault(peer, f"speaks of round {round_}")
            return
        if not isinstance(message, PreparedBlock):
            self._prove(self._witness.hear(statement_of(message)))
        if height < self.height or self._at.decided or peer not in self._members.keys:
            return
        match message:
            case Proposal():
                self._on_proposal(message)
            case Vote():
                self._on_vote(message)
            case RoundChange():
                self._on_round_change(message)
            case PreparedBlock():
                self._on_prepared_block(peer, message)
            case _:
                assert_never(message)

    def _on_proposal(self, proposal: Proposal) -> None:
        at = self._agreement
        if proposal.round < at.round:
            return
        digest = header_digest(proposal.header)
        if proposal.round == at.round and at.proposal is not None:
            if digest != at.proposed:
                self._fault(proposal.org, f"made two proposals in round {proposal.round}")
            return
        reason = check_proposal(at.context, proposal)
        if reason is None and proposal.prepared is None:
            # Only a fresh block's time is held against this clock: a re-proposal is as old as its lock.
            distance_ms = abs(proposal.header.time_ms - self._now.wall_ms)
            if distance_ms > self._parameters.time_tolerance_ms:
                reason = f"is {distance_ms} ms from this member's clock"
        if reason is not None:
            self._fault(proposal.org, f"its proposal for round {proposal.round} {reason}")
            return
        for change in proposal.round_changes:
            self._prove(self._witness.hear(statement_of(change)))
        if proposal.prepared is not None:
            self._prove(*self._witness.hear_certificate(VoteKind.PREPARE, proposal.prepared))
        if proposal.round > at.round:
            self._enter(proposal.round)
        for change in proposal.round_changes:
            at.round_changes.add(change)
            at.note_round(change.org, change.round)
        at.proposal, at.proposed = proposal, digest
        if self._is_first(proposal.prepare):
            at.prepares.add(proposal.prepare)
        self._heard(proposal.org, proposal.round)
        for vote in at.prepares.of_round(at.round):
            self._contradict(vote)
        if digest in at.executed:
            self._advance()
        else:
            self._effects.append(ExecuteProposal(proposal))

    def _on_vote(self, vote: Vote) -> None:
        at = self._agreement
        if vote.kind not in (VoteKind.PREPARE, VoteKind.COMMIT):
            self._fault(vote.org, f"sent a vote of kind {vote.kind.name}")
            return
        if vote.kind is VoteKind.PREPARE and vote.round < at.round:
            return
        if vote.kind is VoteKind.PREPARE and at.is_locked_by(vote.round, vote.block):
            # The quorum's prepares are verified, and another one says nothing new; it is not worth its verification.
            at.seconded.add(vote.org)
            self._heard(vote.org, vote.round)
            return
        if not self._is_first(vote):
            return
        signed = vote_signing_bytes(self._chain, vote.kind, vote.height, vote.round, vote.block)
        if not self._verify(self._members.keys[vote.org], signed, vote.signature):
            self._fault(vote.org, f"its {vote.kind.name.lower()} in round {vote.round} carries no signature of it")
            return
        at.votes(vote.kind).add(vote)
        self._heard(vote.org, vote.round)
        self._contradict(vote)
        self._advance()

    def _is_first(self, vote: Vote) -> bool:
        """Whether nothing of its kind is known of its member in its round; another block in its place is a fault."""
        known = self._agreement.votes(vote.kind).find(vote.org, vote.round)
        if known is not None and known.block != vote.block:
            self._fault(vote.org, f"signed two {vote.kind.name.lower()}s in round {vote.round}")
        return known is None

    def _contradict(self, vote: Vote) -> None:
        """Whoever prepares another block was told otherwise by the proposer: show it what was proposed here."""
        at = self._agreement
        if at.proposal is None or vote.round != at.round or vote.block == at.proposed:
            return
        if vote.org in at.contradicted or vote.org in (at.proposal.org, self._org):
            return
        at.contradicted.add(vote.org)
        self._effects.append(SendTo(vote.org, statement_of(at.proposal)))

    def _on_round_change(self, message: RoundChange) -> None:
        at = self._agreement
        known = at.round_changes.find(message.org)
        if known is not None and known.round >= message.round:
            if known.round == message.round and known != message:
                self._fault(message.org, f"signed two round changes for round {message.round}")
            return
        reason = "asks for round 0" if message.round == 0 else check_round_change(at.context, message)
        if reason is not None:
            self._fault(message.org, f"its round change {reason}")
            return
        at.round_changes.add(message)
        self._heard(message.org, message.round)
        target = at.round_changes.supported_above(at.round, self._members.faults_max + 1)
        if target is not None and self._is_voter:
            self._change_round(target)
        self._try_propose()

    def _on_prepared_block(self, peer: OrgId, message: PreparedBlock) -> None:
        at = self._agreement
        if (message.certificate.round, message.certificate.block) in at.evidence:
            return
        reason = check_prepared_block(at.context, message)
        if reason is not None:
            self._fault(peer, f"its prepared block {reason}")
            return
        self._prove(*self._witness.hear_certificate(VoteKind.PREPARE, message.certificate))
        at.keep_evidence(message)
        self._try_propose()
