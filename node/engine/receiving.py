"""What peers send a replica: told apart by whom it concerns, and answered where it asks for something."""

from typing import assert_never

from node.base.codec import DecodeError, encode
from node.base.ports import Silence
from node.base.types import (
    BlocksRequest,
    BlocksResponse,
    BodiesRequest,
    BodiesResponse,
    CertifiedBlock,
    CertifiedTip,
    Heard,
    Height,
    OrgId,
    PeerMessage,
    PreparedBlock,
    Proposal,
    RoundChange,
    Statement,
    Tip,
    TipRequest,
    Transaction,
    Transactions,
    Vote,
)
from node.core import consensus, gossip, mempool
from node.engine.parts import MESSAGE
from node.engine.performing import Performing
from node.engine.replica_io import HeardFrom, KeepSilent, PeerFault

ANSWER_BYTES_MAX = 1 << 20
"""Blocks or bodies in one answer; a single block may be larger."""


class Receiving(Performing):
    """Takes messages."""

    def _receive(self, peer: OrgId, data: bytes) -> None:
        try:
            message: PeerMessage = self._read(MESSAGE, data)
        except DecodeError as error:
            self._effects.append(PeerFault(peer, f"sent bytes that are no message: {error}"))
            return
        match message:
            case Proposal() | Vote() | RoundChange() | PreparedBlock():
                self._receive_consensus(peer, message)
            case Transactions():
                self._receive_transactions(peer, message)
            case Tip():
                self._queue.append(gossip.TipReceived(peer, message))
            case BlocksRequest():
                self._serve_blocks(peer, message)
            case BlocksResponse():
                self._queue.append(gossip.BlocksReceived(peer, message))
            case BodiesRequest():
                self._serve_bodies(peer, message)
            case BodiesResponse():
                if self._assembly.add(message.transactions):
                    self._assemble()
            case Heard():
                self._effects.append(HeardFrom(peer, message))
            case TipRequest():
                self._serve_tip(peer, message)
            case CertifiedTip():
                self._search(consensus.Answered(peer, message))
            case Statement():
                self._queue.append(consensus.ToldOf(peer, message))
            case _:
                assert_never(message)

    def _receive_transactions(self, peer: OrgId, message: Transactions) -> None:
        for form in message.forms:
            if self._mempool.holds(form):
                continue
            try:
                transaction = self._read(Transaction, form)
            except DecodeError as error:
                self._effects.append(PeerFault(peer, f"sent bytes that are no transaction: {error}"))
                return
            self._queue.append(mempool.Received(peer, transaction))

    def _receive_consensus(self, peer: OrgId, message: consensus.ConsensusMessage) -> None:
        if consensus.height_of(message) >= self._head.height:
            # One of the last height counts no more, but may contradict another.
            self._queue.append(consensus.Received(peer, message))
        if consensus.height_of(message) <= self._head.height and isinstance(message, RoundChange):
            # Late votes are usual; a round change for a height that is over comes from who does not know that it is.
            self._send(peer, Tip(self._head.height, self._head.digest, self._head.base))

    def _serve_tip(self, peer: OrgId, request: TipRequest) -> None:
        head = self._head
        if self._restraint.is_silent(Height(head.height + 1)):
            # It may have forgotten how far it was; then its word would make another sign too early.
            return
        self._send(peer, CertifiedTip(request.nonce, head.height, head.digest, head.certificate))

    def _serve_blocks(self, peer: OrgId, request: BlocksRequest) -> None:
        blocks: list[CertifiedBlock] = []
        size = 0
        first = max(1, request.start)
        last = min(self._head.height, first + min(request.count, gossip.BLOCKS_PER_REQUEST_MAX) - 1)
        for height in range(first, last + 1):
            certified = self._chain.block(Height(height))
            if certified is None:
                break
            size += len(encode(certified))
            if blocks and size > ANSWER_BYTES_MAX:
                break
            blocks.append(certified)
        self._send(peer, BlocksResponse(request.start, tuple(blocks)))

    def _serve_bodies(self, peer: OrgId, request: BodiesRequest) -> None:
        found: list[Transaction] = []
        size = 0
        for id_ in request.ids[: self._head.parameters.block_transactions_max]:
            transaction = self._find_transaction(id_)
            if transaction is None:
                continue
            size += len(transaction.encoded)
            if found and size > ANSWER_BYTES_MAX:
                break
            found.append(transaction)
        if found:
            self._send(peer, BodiesResponse(tuple(found)))

    def _search(self, input: consensus.RecoveryInput) -> None:
        """Go on looking for the height from which on this member may sign, if it has lost its vote log."""
        for effect in self._restraint.search(input, self._now):
            match effect:
                case consensus.Ask(peer, request):
                    self._send(peer, request)
                case consensus.FalseTip(peer, reason):
                    self._effects.append(PeerFault(peer, reason))
                case consensus.Concluded(until):
                    self._fall_silent(Silence(until))
                case _:
                    assert_never(effect)

    def _fall_silent(self, silence: Silence) -> None:
        self._restraint.fall_silent(silence)
        # Durable before the first signature that it allows.
        self._effects.append(KeepSilent(silence))
        self._work_told = False
        self._queue.append(consensus.SignFrom(silence.until))
