"""The consensus machine: QBFT (Moniz, arXiv 2002.03613), one instance per height.

Responsible for which round this member is in, what it signs, and when a block is decided. Leaves to others: what a
block means (`ExecuteProposal`), what goes into one (`Build`), bodies, catch-up, and the disk.

Where this differs from the paper: a round change does not carry the block that it claims; a `PreparedBlock` goes
with it to the one member that needs it. A justified proposal of a later round moves a member into that round. The
round-0 timer starts only when there is a reason for a block, so that an idle network is silent.
"""

from typing import assert_never

from node.base.ports import Keyring, Verifier
from node.base.types import (
    Block,
    Digest,
    Height,
    Instant,
    MemberSet,
    OrgId,
    Parameters,
    PreparedBlock,
    Proposal,
    RoundChange,
    Vote,
    VoteKind,
    header_digest,
    statement_of,
    vote_signing_bytes,
)
from node.core.consensus.agreement import Agreement
from node.core.consensus.effects import (
    Broadcast,
    Build,
    Decide,
    Effect,
    Equivocated,
    ExecuteBlock,
    ExecuteProposal,
    PeerFault,
    PersistVotes,
    SendTo,
)
from node.core.consensus.inputs import (
    Built,
    ConsensusMessage,
    Executed,
    Input,
    Overtaken,
    PeerLinked,
    Received,
    Restored,
    SignFrom,
    StartHeight,
    Tick,
    ToldOf,
    WorkAvailable,
    height_of,
)
from node.core.consensus.justification import (
    Context,
    check_prepared_block,
    check_proposal,
    check_round_change,
    choose,
)
from node.core.consensus.pen import Pen, Signed
from node.core.consensus.standing import Standing, standing
from node.core.consensus.witness import Proof, Witness

ROUND_MAX = 1 << 32
"""Rounds above are refused: no honest member comes there, and a round above it still fits every field."""
_DOUBLINGS_MAX = 32


class Consensus:
    """Agrees on one block after the other. `step` is synchronous and deterministic; memory is bounded per member."""

    def __init__(
        self,
        *,
        org: OrgId,
        chain: Digest,
        keyring: Keyring,
        verify: Verifier,
        parameters: Parameters,
        sign_from: Height | None,
    ) -> None:
        """At each height the key counts that the member set names; `keyring` finds its signer.

        Below `sign_from` nothing is signed, and nothing at all while it is None: what was signed there is unknown.
        """
        self._org = org
        self._chain = chain
        self._keyring = keyring
        self._verify = verify
        self._parameters = parameters
        self._sign_from = sign_from
        self._witness = Witness(org, chain, verify)
        self._at: Agreement | None = None
        self._restored: tuple[ConsensusMessage, ...] = ()
        self._early: dict[tuple[OrgId, str], ConsensusMessage] = {}
        self._effects: list[Effect] = []
        self._now = Instant(0, 0)

    @property
    def height(self) -> Height:
        """The height that is being agreed on; 0 before the first `StartHeight`."""
        return Height(0) if self._at is None else self._at.context.height

    @property
    def round(self) -> int:
        """The round of that height."""
        return 0 if self._at is None else self._at.round

    @property
    def wake_at(self) -> int | None:
        """When a `Tick` is due, in `mono_ms`."""
        return None if self._at is None else self._at.deadline_ms

    @property
    def standing(self) -> Standing | None:
        """What this member knows of the height; None before the first `StartHeight`."""
        return None if self._at is None else standing(self._at)

    @property
    def kept(self) -> int:
        """How many messages are kept; bounded by a small multiple of the members, whatever they send."""
        at = self._agreement
        books = len(at.prepares) + len(at.commits) + len(at.round_changes) + len(at.evidence)
        return len(self._early) + books + len(self._witness)

    def step(self, input: Input, *, now: Instant) -> list[Effect]:
        """Take one input; returns what must happen, in this order."""
        self._now = now
        self._effects = []
        match input:
            case StartHeight():
                self._start(input)
            case Restored(messages):
                self._restored = messages
                self._restore()
            case Received(peer, message):
                self._receive(peer, message)
            case Overtaken():
                self._agreement.decided = True
                self._agreement.deadline_ms = None
            case ToldOf(_, statement):
                self._prove(self._witness.hear_of(statement))
            case SignFrom(height):
                self._sign_from = height
                self._rejoin()
            case WorkAvailable():
                self._on_work()
            case Built(round_, block):
                self._on_built(round_, block)
            case Executed(block):
                self._on_executed(block)
            case PeerLinked(peer):
                self._resend(peer)
            case Tick():
                self._on_tick()
            case _:
                assert_never(input)
        return self._effects

    # Heights

    @property
    def _agreement(self) -> Agreement:
        assert self._at is not None, "StartHeight comes first"
        return self._at

    @property
    def _members(self) -> MemberSet:
        return self._agreement.context.members

    @property
    def _is_voter(self) -> bool:
        """Whether this member votes at this height: in the set, with its key in force, not silent; else it listens."""
        if self._sign_from is None or self.height < self._sign_from:
            return False
        return self._agreement.pen.can_sign

    def _start(self, start: StartHeight) -> None:
        assert start.height > self.height, "heights only go up"
        context = Context(self._chain, start.height, start.members, start.parent, start.parent_time_ms, self._verify)
        key = start.members.keys.get(self._org)
        signer = None if key is None else self._keyring.signer(key)
        self._at = Agreement(context, Pen(self._org, self._chain, signer, start.height))
        self._witness.begin(start.height, start.members)
        self._restore()
        early, self._early = self._early, {}
        for (peer, _), message in early.items():
            self._receive(peer, message)

    def _restore(self) -> None:
        at = self._agreement
        # A log may still hold what a height that is over left, and already what a height ahead of this ledger needs.
        mine = [message for message in self._restored if height_of(message) == at.context.height]
        self._restored = tuple(message for message in self._restored if height_of(message) > at.context.height)
        for message in mine:
            if isinstance(message, PreparedBlock):
                at.lock = message
                at.keep_evidence(message)
            else:
                assert message.org == self._org, "the vote log holds this member's own messages"
                at.pen.restore(message)
        at.round = max((m.round for m in mine if not isinstance(m, PreparedBlock)), default=0)
        if not mine or not self._is_voter:
            return
        at.deadline_ms = self._now.mono_ms + self._timeout_ms(at.round)
        if at.lock is not None:
            self._effects.append(ExecuteBlock(at.lock.block))
        for message in mine:
            if not isinstance(message, PreparedBlock):
                self._receive(self._org, message)

    def _rejoin(self) -> None:
        """The silence is over, perhaps in the middle of a height that the others agree on."""
        if self._at is None or self._at.decided or not self._is_voter:
            return
        target = self._at.round_changes.supported_above(self._at.round, self._members.faults_max + 1)
        if target is not None:
            # What the others asked for while this member could only listen.
            self._change_round(target)
        elif len(self._at.active) > self._members.faults_max:
            self._start_timer()
        self._advance()
        self._try_propose()

    def _resend(self, peer: OrgId) -> None:
        if self._at is None or self._at.decided or peer not in self._members.keys:
            return
        at = self._at
        change = at.pen.signed(VoteKind.ROUND_CHANGE)
        if change is not None and at.lock is not None and self._members.proposer(at.context.height, at.round) == peer:
            self._effects.append(SendTo(peer, at.lock))
        for kind in (VoteKind.ROUND_CHANGE, VoteKind.PROPOSAL, VoteKind.PREPARE, VoteKind.COMMIT):
            message = at.pen.signed(kind)
            if message is not None:
                self._effects.append(SendTo(peer, message))

    # Time

    def _timeout_ms(self, round_: int) -> int:
        doubled = self._parameters.round_timeout_ms << min(round_, _DOUBLINGS_MAX)
        return min(doubled, self._parameters.round_timeout_max_ms)

    def _on_tick(self) -> None:
        at = self._agreement
        if at.deadline_ms is None or at.deadline_ms > self._now.mono_ms:
            return
        if at.round >= ROUND_MAX:
            at.deadline_ms = None
            return
        if at.joined:
            self._change_round(at.round + 1)
        else:
            self._wait_for_quorum()

    def _wait_for_quorum(self) -> None:
        """Say again what was said in this round, and stay in it until others come.

        PBFT 4.5.2: who goes on alone is a round ahead of the others for ever, once time-outs are capped and so equal.
        """
        at = self._agreement
        at.waits += 1
        at.deadline_ms = self._now.mono_ms + self._timeout_ms(at.round + at.waits)
        said = [message for kind in VoteKind if (message := at.pen.signed(kind)) is not None]
        proposer = self._members.proposer(at.context.height, at.round)
        if at.lock is not None and proposer != self._org:
            self._effects.append(SendTo(proposer, at.lock))
        self._effects.extend(Broadcast(message) for message in said)

    def _note_quorum(self) -> None:
        """The round's time begins when a quorum is in it."""
        at = self._agreement
        if at.joined or not self._is_voter or not at.is_quorum_here(self._org):
            return
        at.joined = True
        at.deadline_ms = self._now.mono_ms + self._timeout_ms(at.round)

    def _start_timer(self) -> None:
        at = self._agreement
        if at.deadline_ms is None and not at.decided:
            at.deadline_ms = self._now.mono_ms + self._timeout_ms(at.round)

    def _on_work(self) -> None:
        at = self._agreement
        if at.decided or at.has_work or not self._is_voter:
            return
        at.has_work = True
        self._start_timer()
        self._try_propose()

    def _heard(self, org: OrgId, round_: int) -> None:
        at = self._agreement
        at.active.add(org)
        at.note_round(org, round_)
        self._note_quorum()
        # One member alone may have no reason; f + 1 contain a correct one.
        if self._is_voter and len(at.active) > self._members.faults_max:
            self._start_timer()

    # Messages

    def _fault(self, peer: OrgId, reason: str) -> None:
        if peer == self._org:
            # After a long stop, the own restored proposal can be too old for its own check; it is then not followed.
            return
        self._effects.append(PeerFault(peer, reason))

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
        book = at.prepares if vote.kind is VoteKind.PREPARE else at.commits
        known = book.find(vote.org, vote.round)
        if known is not None:
            if known.block != vote.block:
                self._fault(vote.org, f"signed two {vote.kind.name.lower()}s in round {vote.round}")
            return
        signed = vote_signing_bytes(self._chain, vote.kind, vote.height, vote.round, vote.block)
        if not self._verify(self._members.keys[vote.org], signed, vote.signature):
            self._fault(vote.org, f"its {vote.kind.name.lower()} in round {vote.round} carries no signature of it")
            return
        book.add(vote)
        self._heard(vote.org, vote.round)
        self._contradict(vote)
        self._advance()

    def _contradict(self, vote: Vote) -> None:
        """Whoever prepares another block was told otherwise by the proposer: show it what was proposed here."""
        at = self._agreement
        if at.proposal is None or vote.round != at.round or vote.block == at.proposed:
            return
        if vote.org in at.contradicted or vote.org in (at.proposal.org, self._org):
            return
        at.contradicted.add(vote.org)
        self._effects.append(SendTo(vote.org, statement_of(at.proposal)))

    def _prove(self, *proofs: Proof | None) -> None:
        self._effects.extend(Equivocated(*proof) for proof in proofs if proof is not None)

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

    # Rounds

    def _enter(self, round_: int) -> None:
        at = self._agreement
        at.round = round_
        at.proposal = at.proposed = None
        at.contradicted.clear()
        at.building_round = None
        at.pen.move_to(round_)
        at.deadline_ms = self._now.mono_ms + self._timeout_ms(round_) if self._is_voter else None
        at.joined = at.is_quorum_here(self._org)
        at.waits = 0

    def _change_round(self, round_: int) -> None:
        """QBFT, algorithm 3: set the round, start its timer, say so with what is prepared."""
        at = self._agreement
        self._enter(round_)
        message = at.pen.round_change(None if at.lock is None else at.lock.certificate)
        self._effects.append(PersistVotes((message,)))
        proposer = self._members.proposer(at.context.height, round_)
        if at.lock is not None and proposer != self._org:
            self._effects.append(SendTo(proposer, at.lock))
        self._send_own(message)

    def _send_own(self, *messages: Signed) -> None:
        """Send what was persisted, then pass it through the same checks as everybody's."""
        self._effects.extend(Broadcast(message) for message in messages)
        for message in messages:
            self._receive(self._org, message)

    def _try_propose(self) -> None:
        at = self._agreement
        if at.decided or not self._is_voter or self._members.proposer(at.context.height, at.round) != self._org:
            return
        if at.pen.signed(VoteKind.PROPOSAL) is not None or at.proposal is not None or at.building_round == at.round:
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

    def _on_built(self, round_: int, block: Block) -> None:
        at = self._agreement
        if at.decided or at.round != round_ or at.building_round != round_:
            return
        at.building_round = None
        if at.pen.signed(VoteKind.PROPOSAL) is None and at.proposal is None:
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
        if at.pen.signed(VoteKind.PREPARE) is not None:
            self._effects.append(PersistVotes((proposal,)))
            return self._send_own(proposal)
        prepare = at.pen.vote(VoteKind.PREPARE, block.digest)
        self._effects.append(PersistVotes((proposal, prepare)))
        return self._send_own(proposal, prepare)

    # Blocks

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
