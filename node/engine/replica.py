"""One member's replica of the ledger: consensus, mempool, gossip and ledger as one synchronous, deterministic step.

Here messages are told apart by whom they concern, blocks are executed, and effects of the parts become effects for
the edge. The same class runs in the daemon, in N-member tests and in the simulation.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, assert_never

from node.base.codec import DecodeError, decode, encode
from node.base.ports import ChainReader, Keyring, Silence, StateReader, Verifier
from node.base.types import (
    CEL_VERSION,
    Block,
    BlocksRequest,
    BlocksResponse,
    BodiesRequest,
    BodiesResponse,
    Certificate,
    CertifiedBlock,
    CertifiedTip,
    Digest,
    Genesis,
    Heard,
    Height,
    Instant,
    MemberSet,
    OrgId,
    PeerMessage,
    PreparedBlock,
    Proposal,
    RoundChange,
    Signature,
    Statement,
    Tip,
    TipRequest,
    Transaction,
    Transactions,
    Vote,
    earliest,
    transaction_signing_bytes,
)
from node.core import consensus, gossip, mempool
from node.engine.assembly import Assembly
from node.engine.head import Head
from node.engine.pace import Pace
from node.engine.remembered import RememberedState
from node.engine.replica_io import (
    Admitted,
    AppendVotes,
    CommitBlock,
    Committed,
    Effect,
    EndSilence,
    HaltAt,
    HeardFrom,
    HoldBlocks,
    Input,
    KeepSilent,
    LinkChanged,
    PeerFault,
    PeerSent,
    Rebased,
    Refused,
    ReportEvidence,
    Send,
    Started,
    Submitted,
    SyncBlocks,
    Tick,
)
from node.engine.restraint import Restraint
from node.engine.verified import OwnSignatures, VerifiedSignatures
from node.engine.writing import written_together
from node.ledger.apply import Executed, check_transaction
from node.ledger.errors import InvalidBlock

__all__ = [
    "Admitted",
    "AppendVotes",
    "CommitBlock",
    "Committed",
    "Effect",
    "EndSilence",
    "HaltAt",
    "HeardFrom",
    "HoldBlocks",
    "Input",
    "KeepSilent",
    "LinkChanged",
    "PeerFault",
    "PeerSent",
    "Rebased",
    "Refused",
    "Replica",
    "ReportEvidence",
    "Send",
    "Started",
    "Submitted",
    "SyncBlocks",
    "Tick",
]

ANSWER_BYTES_MAX = 1 << 20
"""Blocks or bodies in one answer; a single block may be larger."""
REPEATED_MAX = 100
"""Waiting transactions that are sent again at once."""
LISTEN_MS = 250
"""With nothing to put into a block, a proposer waits so long after a link came up: the peer now says what waits."""
_MESSAGE: Any = PeerMessage
"""How a transaction's message begins; its byte form follows."""

_Inner = consensus.Input | gossip.Input | mempool.Input


class Replica:
    """Give it `Started` first; perform the effects of each step in order."""

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
        self._vote_log: tuple[consensus.ConsensusMessage, ...] = tuple(decode(_MESSAGE, entry) for entry in vote_log)
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
        self._queue: deque[_Inner] = deque()
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

    @property
    def wake_at(self) -> int | None:
        """When a `Tick` is due, in `mono_ms`."""
        heartbeat = None if self._work_told or self.is_halted else self._heartbeat_at_ms
        held = None if self._held is None else self._listen_until_ms
        of_parts = earliest(
            self._consensus.wake_at,
            self._gossip.wake_at,
            self._mempool.wake_at,
            self._restraint.wake_at,
            self._reports.wake_at,
        )
        return earliest(heartbeat, held, of_parts)

    def step(self, input: Input, *, now: Instant) -> list[Effect]:
        """Take one input; returns what must happen, in this order. After `CommitBlock` only `Committed` may follow."""
        assert (self._committing is None) != isinstance(input, Committed), "Committed follows CommitBlock, and only it"
        self._now = now
        self._state.forget()
        self._effects = []
        match input:
            case Started():
                self._start()
            case PeerSent(peer, message):
                self._receive(peer, message)
            case LinkChanged(peer, up):
                self._link(peer, up)
            case Submitted(transactions):
                self._queue.extend(mempool.Submitted(transaction) for transaction in transactions)
            case Committed(height):
                self._committed(height)
            case HoldBlocks(active):
                self._queue.append(gossip.Held(active))
            case Rebased():
                self._state.replaced()
                self._rebase()
            case Tick():
                self._tick()
            case HaltAt(height):
                self._halt(height)
            case EndSilence():
                if self.recovery_refusal is None:
                    self._fall_silent(Silence(Height(self.height + 1), recovered_at=self.height))
            case _:
                assert_never(input)
        self._drain()
        if self._committing is None and self._unsynced:
            # The fetched row ended before its last block: what is there must be durable before anything is signed.
            self._effects.append(SyncBlocks())
            self._begin_height()
            self._drain()
        if self._committing is None and not self._work_told and not self.is_halted and self._has_work():
            self._work_told = True
            self._queue.append(consensus.WorkAvailable())
            self._drain()
        return written_together(self._effects)

    # Life

    def _start(self) -> None:
        since_ms = max(0, self._now.wall_ms - self._head.time_ms)
        heartbeat_ms = self._head.parameters.heartbeat_ms
        self._heartbeat_at_ms = self._now.mono_ms + max(0, heartbeat_ms - since_ms)
        self._begin_height()

    def _make_mempool(self) -> mempool.Mempool:
        return mempool.Mempool(check=self._check_transaction, renew=self._signed_anew)

    def _rebase(self) -> None:
        """Begin after another block; what waits is held against the state that it comes into."""
        last = self._chain.block(self._chain.height())
        assert last is not None, "a chain has the block of its own height"
        self._head.advance(last)
        self._work_told = False
        self._held = None
        self._assembly.drop()
        self._queue.append(gossip.Wanted((), ()))
        waiting = tuple(self._mempool.candidates())
        self._mempool = self._make_mempool()
        self._begin_height()
        self._queue.extend(mempool.Submitted(transaction) for transaction in waiting)

    def _begin_height(self) -> None:
        head = self._head
        self._unsynced = False
        if not self.is_halted:
            self._queue.append(consensus.StartHeight(Height(head.height + 1), head.members, head.digest, head.time_ms))
            if self._vote_log:
                self._queue.append(consensus.Restored(self._vote_log))
                self._vote_log = ()
        self._queue.append(gossip.Advanced(head.height, head.digest, head.base))
        self._search(consensus.Advanced(head.height))

    def _link(self, peer: OrgId, up: bool) -> None:
        self._queue.append(gossip.Linked(peer, up))
        self._search(consensus.Linked(peer, up))
        if up:
            self._listen_until_ms = self._now.mono_ms + LISTEN_MS
            self._queue.append(consensus.PeerLinked(peer))

    def _halt(self, height: Height | None) -> None:
        """Raise, lower or end the halt. Never into a height that is being agreed on: its votes are given."""
        if height is not None and height < self._head.height + (not self.is_halted):
            return
        was_halted = self.is_halted
        self._restraint.halt_at = height
        if was_halted and not self.is_halted:
            self._work_told = False
            self._begin_height()

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

    def _committed(self, height: Height) -> None:
        commit, self._committing = self._committing, None
        assert commit is not None, "asserted by step"
        certified, block = commit.certified, commit.certified.block
        assert height == block.header.height, "the block that was handed out is the one on disk"
        self._state.committed(commit.writes)
        before = self._head.keys
        self._head.advance(certified)
        self._pace.decided(certified.certificate.round, len(block.transactions))
        after = self._head.keys
        # Also who lost its right to sign: what it left behind is no work that a block could do.
        rekeyed = frozenset(org for org in {*before, *after} if before.get(org) != after.get(org))
        self._heartbeat_at_ms = self._now.mono_ms + self._head.parameters.heartbeat_ms
        self._work_told = False
        self._held = None
        self._assembly.drop()
        self._report()
        self._queue.append(gossip.Wanted((), ()))
        self._queue.append(mempool.Committed(block.transactions, block.header.time_ms, rekeyed))
        if commit.durable:
            self._begin_height()
        else:
            self._unsynced = True
            self._queue.append(consensus.Overtaken())
            self._queue.append(gossip.Advanced(height, block.digest, self._head.base))

    def _tick(self) -> None:
        now_ms = self._now.mono_ms
        if _is_due(self._consensus.wake_at, now_ms):
            self._queue.append(consensus.Tick())
        if _is_due(self._gossip.wake_at, now_ms):
            self._queue.append(gossip.Tick())
        if _is_due(self._mempool.wake_at, now_ms):
            self._queue.append(mempool.Tick())
        if _is_due(self._restraint.wake_at, now_ms):
            self._search(consensus.AskAgain())
        if _is_due(self._reports.wake_at, now_ms):
            self._report()

    def _report(self) -> None:
        self._effects.extend(ReportEvidence(*proof) for proof in self._reports.take_due(self._now))

    def _has_work(self) -> bool:
        # A change of members must not wait for somebody's transaction (quorum#796, besu#8425).
        return self._head.changes_wait or len(self._mempool) > 0 or _is_due(self._heartbeat_at_ms, self._now.mono_ms)

    # Messages

    def _receive(self, peer: OrgId, data: bytes) -> None:
        try:
            message: PeerMessage = self._read(_MESSAGE, data)
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

    def _send(self, peer: OrgId, message: PeerMessage) -> None:
        if message is not self._encoded[0]:
            # What goes to many is encoded once.
            self._encoded = (message, encode(message, _MESSAGE))
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

    # The parts

    def _drain(self) -> None:
        """Run the parts until none has anything left to say to another."""
        self._build_held()
        while self._queue or self._admitted:
            if not self._queue:
                self._pass_on()
            item = self._queue.popleft()
            if isinstance(item, consensus.Input):
                for decision in self._consensus.step(item, now=self._now):
                    self._perform_consensus(decision)
            elif isinstance(item, gossip.Input):
                for chore in self._gossip.step(item, now=self._now):
                    self._perform_gossip(chore)
            else:
                for effect in self._mempool.step(item, now=self._now):
                    self._perform_mempool(effect)

    def _perform_consensus(self, effect: consensus.Effect) -> None:
        match effect:
            case consensus.PersistVotes(messages):
                entries = tuple(encode(message, _MESSAGE) for message in messages)
                self._effects.append(AppendVotes(self._consensus.height, entries))
            case consensus.Broadcast(message):
                data = encode(message, _MESSAGE)
                self._effects.extend(Send(org, data) for org in self._head.audience)
            case consensus.SendTo(peer, message):
                self._send(peer, message)
            case consensus.Build():
                self._held = effect
                self._build_held()
            case consensus.ExecuteProposal(proposal):
                self._begin_assembly(proposal)
            case consensus.ExecuteBlock(block):
                self._execute(block, self._org)
            case consensus.Decide(block, certificate):
                if self._committing is None:
                    self._commit(self._head.execute(block), certificate, durable=True)
            case consensus.PeerFault(peer, reason):
                self._effects.append(PeerFault(peer, reason))
            case consensus.Equivocated(first, second):
                self._reports.add(first, second, self._head.members, self._now)
            case _:
                assert_never(effect)

    def _build_held(self) -> None:
        if self._held is None or (len(self._mempool) == 0 and self._now.mono_ms < self._listen_until_ms):
            return
        wanted, self._held = self._held, None
        count_max = self._pace.transactions_max(wanted.round)
        built = self._head.build(self._mempool.candidates(wanted.height), self._now, count_max)
        self._queue.append(consensus.Built(wanted.round, built.block))

    def _perform_gossip(self, effect: gossip.Effect) -> None:
        match effect:
            case gossip.Send(peer, message):
                self._send(peer, message)
            case gossip.SendPending(peer, own_only):
                for batch in gossip.batches(self._pending_of(self._org if own_only else None)):
                    self._send(peer, gossip.message_of(batch))
            case gossip.Apply():
                self._apply(effect)
            case gossip.PeerFault(peer, reason):
                self._effects.append(PeerFault(peer, reason))
            case _:
                assert_never(effect)

    def _perform_mempool(self, effect: mempool.Effect) -> None:
        match effect:
            case mempool.Admitted(transaction):
                self._admitted.append(transaction)
            case mempool.Refused(id_, code, reason):
                self._effects.append(Refused(id_, code, reason))
            case mempool.PeerFault(peer, reason):
                self._effects.append(PeerFault(peer, reason))
            case _:
                assert_never(effect)

    def _pass_on(self) -> None:
        """What the mempool took in this step goes to others, and into a block that waits for it."""
        admitted, self._admitted = tuple(self._admitted), []
        self._effects.extend(Admitted(transaction.id) for transaction in admitted if transaction.body.org == self._org)
        self._queue.append(gossip.NewTransactions(admitted))
        if self._assembly.add(admitted):
            self._assemble()

    def _pending_of(self, org: OrgId | None) -> list[Transaction]:
        chosen = (waiting for waiting in self._mempool.candidates() if org is None or waiting.body.org == org)
        return list(islice(chosen, REPEATED_MAX))

    # Blocks

    def _begin_assembly(self, proposal: Proposal) -> None:
        reason = self._assembly.begin(proposal)
        if reason is not None:
            self._effects.append(PeerFault(proposal.org, f"its proposal {reason}"))
        self._assemble()

    def _assemble(self) -> None:
        proposer = self._assembly.proposer
        if proposer is None:
            return
        block = self._assembly.finish()
        missing = self._assembly.missing
        others = (org for org in self._head.members.orgs if org not in (proposer, self._org))
        self._queue.append(gossip.Wanted(missing, (proposer, *others) if missing else ()))
        if block is not None:
            self._execute(block, proposer)

    def _execute(self, block: Block, author: OrgId) -> None:
        if self._committing is not None:
            return
        try:
            self._head.execute(block)
        except InvalidBlock as error:
            self._effects.append(PeerFault(author, f"its block of height {block.header.height} is false: {error}"))
            return
        self._queue.append(consensus.Executed(block))

    def _apply(self, apply: gossip.Apply) -> None:
        if self._committing is not None or self.is_halted:
            # Agreement was faster; the fetched block of this height is dropped when the own one is on disk.
            # A halted member keeps it until the halt ends.
            return
        certified = apply.certified
        try:
            executed = self._head.check_certified(certified)
        except InvalidBlock as error:
            reason = f"its block {certified.block.header.height} is false: {error}"
            self._queue.append(gossip.BlockRefused(apply.peer, reason))
            return
        self._commit(executed, certified.certificate, durable=not apply.followed)

    def _commit(self, executed: Executed, certificate: Certificate, *, durable: bool) -> None:
        assert self._committing is None, "one block at a time"
        certified = CertifiedBlock(executed.block, certificate)
        self._committing = CommitBlock(certified, executed.receipts, executed.writes, durable)
        self._effects.append(self._committing)


def _is_due(moment_ms: int | None, now_ms: int) -> bool:
    return moment_ms is not None and moment_ms <= now_ms
