"""Which round this member is in, and how long it stays there."""

from node.base.types import OrgId, VoteKind
from node.core.consensus.effects import Broadcast, PersistVotes, SendTo
from node.core.consensus.seat import Seat

ROUND_MAX = 1 << 32
"""Rounds above are refused: no honest member comes there, and a round above it still fits every field."""
_DOUBLINGS_MAX = 32


class Rounds(Seat):
    """QBFT's timers and round changes."""

    def _timeout_ms(self, round_: int) -> int:
        doubled = self._parameters.round_timeout_ms << min(round_, _DOUBLINGS_MAX)
        return min(doubled, self._parameters.round_timeout_max_ms)

    def _start_timer(self) -> None:
        at = self._agreement
        if at.deadline_ms is None and not at.decided:
            at.deadline_ms = self._now.mono_ms + self._timeout_ms(at.round)

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

    def _heard(self, org: OrgId, round_: int) -> None:
        at = self._agreement
        at.active.add(org)
        at.note_round(org, round_)
        self._note_quorum()
        # One member alone may have no reason; f + 1 contain a correct one.
        if self._is_voter and len(at.active) > self._members.faults_max:
            self._start_timer()

    def _enter(self, round_: int) -> None:
        at = self._agreement
        at.round = round_
        at.proposal = at.proposed = None
        at.contradicted.clear()
        at.seconded.clear()
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
