"""One block from proposal to decision: what this member proposes, prepares, commits and holds for final."""

from node.base.types import Block, PreparedBlock, RoundChange, VoteKind
from node.core.consensus.effects import Build, Decide, ExecuteBlock, PersistVotes
from node.core.consensus.justification import choose
from node.core.consensus.rounds import Rounds


class Blocks(Rounds):
    """QBFT's proposals, prepares and commits, as far as this member makes them."""

    def _on_work(self) -> None:
        at = self._agreement
        if at.decided or at.has_work or not self._is_voter:
            return
        at.has_work = True
        self._start_timer()
        self._try_propose()

    def _try_propose(self) -> None:
        at = self._agreement
        if at.decided or not self._is_voter or self._members.proposer(at.context.height, at.round) != self._org:
            return
        if not self._may_propose() or at.building_round == at.round:
            return
        prepared: PreparedBlock | None = None
        if at.round == 0:
            if not at.has_work:
                return
        else:
            choice = choose(at.round_changes.of_round(at.round), self._members.quorum, at.evidence)
            if choice is None:
                return
            prepared = choice.prepared
        if prepared is None:
            at.building_round = at.round
            self._effects.append(Build(at.context.height, at.round))
        elif prepared.block.digest in at.executed:
            self._propose(prepared.block)
        else:
            self._effects.append(ExecuteBlock(prepared.block))

    def _may_propose(self) -> bool:
        """Whether nothing was proposed or prepared in this round, this member's turn."""
        at = self._agreement
        return at.pen.signed(VoteKind.PREPARE) is None and at.proposal is None

    def _on_built(self, round_: int, block: Block) -> None:
        at = self._agreement
        if at.decided or at.round != round_ or at.building_round != round_:
            return
        at.building_round = None
        if self._may_propose():
            at.keep_executed(block)
            self._propose(block)

    def _propose(self, block: Block) -> None:
        at = self._agreement
        round_changes: tuple[RoundChange, ...] = ()
        prepared: PreparedBlock | None = None
        if at.round > 0:
            choice = choose(at.round_changes.of_round(at.round), self._members.quorum, at.evidence)
            # What is prepared may have become known while the block was built; then this one must not be proposed.
            if choice is None or (choice.prepared is not None and choice.prepared.block.digest != block.digest):
                return self._try_propose()
            round_changes, prepared = choice.round_changes, choice.prepared
        ids = tuple(transaction.id for transaction in block.transactions)
        proposal = at.pen.proposal(block, ids, round_changes, None if prepared is None else prepared.certificate)
        self._effects.append(PersistVotes((proposal,)))
        return self._send_own(proposal)

    def _on_executed(self, block: Block) -> None:
        at = self._agreement
        if at.decided or block.header.height != at.context.height:
            return
        if block.last_certificate is not None:
            # Execution has checked it, for the set that signed the parent.
            self._prove(*self._witness.hear_certificate(VoteKind.COMMIT, block.last_certificate))
        at.keep_executed(block)
        self._advance()
        if not at.decided:
            self._try_propose()

    def _advance(self) -> None:
        """Take every step that the votes and the executed blocks allow: prepare, commit, decide."""
        at = self._agreement
        if at.decided:
            return
        proposed = None if at.proposed is None else at.executed.get(at.proposed)
        if proposed is not None and self._is_voter:
            if at.pen.signed(VoteKind.PREPARE) is None:
                prepare = at.pen.vote(VoteKind.PREPARE, proposed.digest)
                self._effects.append(PersistVotes((prepare,)))
                return self._send_own(prepare)
            if at.pen.signed(VoteKind.COMMIT) is None and self._lock(proposed):
                return None
        return self._try_decide()

    def _lock(self, block: Block) -> bool:
        at = self._agreement
        prepares = at.prepares.certificate(at.context.height, at.round, block.digest, self._members.quorum)
        if prepares is None:
            return False
        at.lock = PreparedBlock(block, prepares)
        at.keep_evidence(at.lock)
        commit = at.pen.vote(VoteKind.COMMIT, block.digest)
        # The lock is on disk before the commit: a restart must not forget what a quorum may have made final.
        self._effects.append(PersistVotes((at.lock, commit)))
        self._send_own(commit)
        return True

    def _try_decide(self) -> None:
        at = self._agreement
        rounds = at.commits.rounds_with(self._members.quorum)
        for digest, block in at.executed.items():
            for round_ in rounds:
                certificate = at.commits.certificate(at.context.height, round_, digest, self._members.quorum)
                if certificate is not None:
                    at.decided = True
                    at.deadline_ms = None
                    self._effects.append(Decide(block, certificate))
                    return
