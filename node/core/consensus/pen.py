"""What this member signs at one height, and the guard that it never signs two different messages for one round.

The pen moves forward only: after `move_to(r)` nothing of a round below r is signed. Leaves to the caller that
whatever it signed is on disk before it is sent.
"""

from typing import TypeVar

from node.base.ports import Signer
from node.base.types import (
    Block,
    Certificate,
    Digest,
    Height,
    OrgId,
    Proposal,
    RoundChange,
    Signature,
    Vote,
    VoteKind,
    round_change_signing_bytes,
    vote_signing_bytes,
)

Signed = Proposal | Vote | RoundChange
_S = TypeVar("_S", Proposal, Vote, RoundChange)


def kind_of(message: Signed) -> VoteKind:
    """The kind of statement that a message is."""
    match message:
        case Proposal():
            return VoteKind.PREPARE
        case Vote():
            return message.kind
        case RoundChange():
            return VoteKind.ROUND_CHANGE


class Pen:
    """Signs for one height."""

    def __init__(self, org: OrgId, chain: Digest, signer: Signer | None, height: Height) -> None:
        """Without a signer this member only listens at this height."""
        self._org = org
        self._chain = chain
        self._signer = signer
        self._height = height
        self._round = 0
        self._signed: dict[VoteKind, Signed] = {}

    @property
    def can_sign(self) -> bool:
        """Whether this member holds the key that counts at this height."""
        return self._signer is not None

    def signed(self, kind: VoteKind) -> Signed | None:
        """What was signed of this kind in the current round; a proposal is its proposer's prepare."""
        return self._signed.get(kind)

    def move_to(self, round_: int) -> None:
        """Leave the current round for good."""
        assert round_ > self._round, "rounds only go up"
        self._round = round_
        self._signed.clear()

    def restore(self, message: Signed) -> None:
        """Take over what an earlier run of this member signed, in the order of the log."""
        if message.round > self._round:
            self.move_to(message.round)
        if message.round == self._round:
            self._signed.setdefault(kind_of(message), message)

    def proposal(
        self,
        block: Block,
        ids: tuple[Digest, ...],
        round_changes: tuple[RoundChange, ...],
        prepared: Certificate | None,
    ) -> Proposal:
        """Sign a proposal of the block in the current round, which prepares it."""
        signature = self._sign(self._vote_bytes(VoteKind.PREPARE, block.digest))
        proposal = Proposal(
            self._round, block.header, ids, block.last_certificate, round_changes, prepared, self._org, signature
        )
        return self._keep(VoteKind.PREPARE, proposal)

    def vote(self, kind: VoteKind, block: Digest) -> Vote:
        """Sign a prepare or commit in the current round."""
        signature = self._sign(self._vote_bytes(kind, block))
        return self._keep(kind, Vote(kind, self._height, self._round, block, self._org, signature))

    def round_change(self, prepared: Certificate | None) -> RoundChange:
        """Sign the wish for the current round, with what this member has prepared."""
        prepared_round = None if prepared is None else prepared.round
        prepared_block = None if prepared is None else prepared.block
        signature = self._sign(
            round_change_signing_bytes(self._chain, self._height, self._round, prepared_round, prepared_block)
        )
        message = RoundChange(self._height, self._round, prepared_round, prepared_block, self._org, signature)
        return self._keep(VoteKind.ROUND_CHANGE, message)

    def _vote_bytes(self, kind: VoteKind, block: Digest) -> bytes:
        return vote_signing_bytes(self._chain, kind, self._height, self._round, block)

    def _sign(self, message: bytes) -> Signature:
        assert self._signer is not None, "who only listens signs nothing"
        return Signature(self._signer.sign(message))

    def _keep(self, kind: VoteKind, message: _S) -> _S:
        # tendermint#5668: a guard that nobody saw working. A second signature would be our own bug: stop, do not send.
        assert kind not in self._signed, f"{kind.name} of height {self._height} round {self._round} is signed already"
        self._signed[kind] = message
        return message
