"""The consensus machine: QBFT (Moniz, arXiv 2002.03613), one instance per height.

Responsible for which round this member is in, what it signs, and when a block is decided. Leaves to others: what a
block means (`ExecuteProposal`), what goes into one (`Build`), bodies, catch-up, and the disk.

Where this differs from the paper: a round change does not carry the block that it claims; a `PreparedBlock` goes
with it to the one member that needs it. A justified proposal of a later round moves a member into that round. The
round-0 timer starts only when there is a reason for a block, so that an idle network is silent.
"""

from typing import assert_never

from node.base.types import Instant, OrgId, PreparedBlock, VoteKind
from node.core.consensus.agreement import Agreement
from node.core.consensus.effects import Effect, ExecuteBlock, SendTo
from node.core.consensus.inputs import (
    Built,
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
from node.core.consensus.justification import Context
from node.core.consensus.messages import Messages
from node.core.consensus.pen import Pen
from node.core.consensus.standing import Standing, standing


class Consensus(Messages):
    """Agrees on one block after the other. `step` is synchronous and deterministic; memory is bounded per member."""

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
        kept, at = len(self._early) + len(self._witness), self._at
        if at is not None:
            kept += len(at.prepares) + len(at.commits) + len(at.round_changes) + len(at.evidence)
        return kept

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
                if self._at is not None:  # None: started halted, and no height has begun
                    self._at.decided = True
                    self._at.deadline_ms = None
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
        for kind in (VoteKind.ROUND_CHANGE, VoteKind.PREPARE, VoteKind.COMMIT):
            message = at.pen.signed(kind)
            if message is not None:
                self._effects.append(SendTo(peer, message))
