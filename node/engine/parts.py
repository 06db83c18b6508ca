"""The parts of a replica and what it can be asked; what all its layers share.

A replica stands in layers, each a file: `Parts`, `Blocks` (built, put together, executed, committed), `Performing` (the
parts' effects, until none has anything left to say to another), `Receiving` (peers' messages), `Replica` (its life, and
the step). A layer calls those below it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from node.base.codec import decode, encode
from node.base.ports import ChainReader, Keyring, Silence, StateReader, Verifier
from node.base.types import (
    CEL_VERSION,
    Digest,
    Genesis,
    Height,
    Instant,
    MemberSet,
    OrgId,
    PeerMessage,
    Signature,
    Tip,
    Transaction,
    transaction_signing_bytes,
)
from node.core import consensus, gossip, mempool
from node.engine.assembly import Assembly
from node.engine.head import Head
from node.engine.pace import Pace
from node.engine.remembered import RememberedState
from node.engine.replica_io import CommitBlock, Effect, Send
from node.engine.restraint import Restraint
from node.engine.verified import OwnSignatures, VerifiedSignatures
from node.ledger.apply import check_transaction, companions

MESSAGE: Any = PeerMessage
"""How a transaction's message begins; its byte form follows."""

Inner = consensus.Input | gossip.Input | mempool.Input
"""What one part is told, by another or from outside."""


class Parts:
    """Consensus, mempool, gossip and the ledger's head of one member."""

    def __init__(
        self,
        *,
        org: OrgId,
        genesis: Genesis,
        keyring: Keyring,
        verify: Verifier,
        state: StateReader,
        chain: ChainReader,
        vote_log: Sequence[bytes],
        silence: Silence | None,
        nonce: Digest,
        halt_at: Height | None = None,
        cel_version: str = CEL_VERSION,
        read: Callable[[Any, bytes], Any] = decode,
    ) -> None:
        """`vote_log` and `silence` are what the vote log holds, None for a missing one; `nonce` is this start's own.

        `cel_version` is the installed one: where the chain wants another, nothing is signed and nothing applied.
        `read` is `decode`, or what gives the same: in one process, members may share what one of them has read.
        """
        self._org = org
        self._state = RememberedState(state)
        self._chain = chain
        self._read = read
        self._vote_log: tuple[consensus.ConsensusMessage, ...] = tuple(decode(MESSAGE, entry) for entry in vote_log)
        if silence is not None and self._vote_log:
            # The chain may be behind the log, repaired or put back: up to there other things may have been signed.
            silence = replace(silence, until=max(silence.until, consensus.height_of(self._vote_log[0])))
        self._verify = VerifiedSignatures(verify)
        self._head = Head(org=org, genesis=genesis, state=self._state, chain=chain, verify=self._verify)
        parameters = genesis.body.parameters
        self.keyring: Keyring = OwnSignatures(keyring, self._verify)
        """What it signs with; signatures that are made through it are not verified here again."""
        self._restraint = Restraint(
            org,
            self._head.chain_id,
            silence=silence,
            halt_at=halt_at,
            nonce=nonce,
            members_at=self._head.members_at,
            verify=self._verify,
            cel_version=cel_version,
        )
        self._consensus = consensus.Consensus(
            org=org,
            chain=self._head.chain_id,
            keyring=self.keyring,
            verify=self._verify,
            parameters=parameters,
            sign_from=None if silence is None else silence.until,
        )
        self._reports = consensus.Reports(org, self._head.is_named)
        self._mempool = self._make_mempool()
        self._gossip = gossip.Gossip(org)
        self._assembly = Assembly(self._find_transaction, parameters.block_transactions_max)
        self._pace = Pace(parameters.block_transactions_max)
        self._heartbeat_at_ms: int | None = None
        self._committing: CommitBlock | None = None
        self._unsynced = False
        self._held: consensus.Build | None = None
        """An empty block that is not built yet: transactions may be on their way."""
        self._listen_until_ms = 0
        self._work_told = False
        self._queue: deque[Inner] = deque()
        self._admitted: list[Transaction] = []
        self._encoded: tuple[PeerMessage | None, bytes] = (None, b"")
        self._effects: list[Effect] = []
        self._now = Instant(0, 0)

    @property
    def height(self) -> Height:
        """The height of the last committed block."""
        return self._head.height

    @property
    def head_digest(self) -> Digest:
        """The digest of the last committed block; the chain's id at height 0."""
        return self._head.digest

    @property
    def state_root(self) -> Digest:
        """The root of the committed state."""
        return self._head.state_root

    @property
    def state(self) -> StateReader:
        """The state after the last committed block, what was read of it remembered."""
        return self._state

    @property
    def members(self) -> MemberSet:
        """In force at the next height."""
        return self._head.members

    @property
    def round(self) -> int:
        """The consensus's round at the next height."""
        return self._consensus.round

    @property
    def standing(self) -> consensus.Standing | None:
        """Where agreement on the next block stands."""
        return self._consensus.standing

    @property
    def head_time_ms(self) -> int:
        """The time of the last committed block; the genesis's at height 0."""
        return self._head.time_ms

    @property
    def tips(self) -> Mapping[OrgId, Tip]:
        """What each linked peer last said of its chain."""
        return self._gossip.tips

    def awaits_blocks(self, peer: OrgId) -> bool:
        """Whether this peer is asked for blocks and has not answered yet."""
        return self._gossip.asked == peer

    def found_good(self, marks: Iterable[bytes]) -> None:
        """Signatures by their marks, verified beside the steps by this process's own helper: they hold.

        No input: what a step does is the same, it only need not verify them again.
        """
        self._verify.found_good(marks)

    @property
    def pending(self) -> int:
        """How many transactions wait."""
        return len(self._mempool)

    @property
    def kept(self) -> int:
        """How many messages the consensus keeps of the height that is being agreed on; bounded, whatever is sent."""
        return self._consensus.kept

    @property
    def silence(self) -> Silence | None:
        """Below which height this member signs nothing; None while that is not known."""
        return self._restraint.silence

    @property
    def silent_until(self) -> Height | None:
        """The height from which on this member signs; None while it is not silent, or while that is not known."""
        silent = self.silence is not None and self._restraint.is_silent(Height(self.height + 1))
        return self.silence.until if silent and self.silence is not None else None

    @property
    def why_silent(self) -> str | None:
        """Why this member signs nothing now, for its operator; None when it does sign."""
        return self._restraint.why_silent(self.height, self._head.members)

    @property
    def recovery_refusal(self) -> str | None:
        """Why `EndSilence` would not be followed now; None when it would."""
        return self._restraint.recovery_refusal(self.height, tuple(self.tips.values()))

    @property
    def halt_at(self) -> Height | None:
        """The height above which this member agrees on nothing."""
        return self._restraint.halt_at

    @property
    def is_halted(self) -> bool:
        """Whether no block may follow the last one here: the operator's halt, or another CEL than the chain's."""
        return self._restraint.is_halted(self._head.height) or self.why_unfit is not None

    @property
    def why_unfit(self) -> str | None:
        """Why this member does not vote though nobody halted it, for its operator."""
        return self._restraint.why_unfit(self._head.cel_version)

    def _make_mempool(self) -> mempool.Mempool:
        return mempool.Mempool(
            check=self._check_transaction,
            renew=self._signed_anew,
            companions=lambda transaction: companions(self._state, transaction),
        )

    def _send(self, peer: OrgId, message: PeerMessage) -> None:
        if message is not self._encoded[0]:
            # What goes to many is encoded once.
            self._encoded = (message, encode(message, MESSAGE))
        self._effects.append(Send(peer, self._encoded[1]))

    def _find_transaction(self, id_: Digest) -> Transaction | None:
        return self._mempool.get(id_) or self._assembly.find(id_) or self._head.find_transaction(id_)

    def _signed_anew(self, transaction: Transaction) -> Transaction | None:
        """This member's own with the key in force; its id stays, because that leaves the signature out."""
        key = self._head.members.keys.get(self._org)
        signer = None if key is None or transaction.body.org != self._org else self.keyring.signer(key)
        if signer is None:
            return None
        return Transaction(transaction.body, Signature(signer.sign(transaction_signing_bytes(transaction.body))))

    def _check_transaction(self, transaction: Transaction, wall_ms: int) -> None:
        head = self._head
        check_transaction(self._state, head.chain_id, wall_ms, head.members, transaction, self._verify)
