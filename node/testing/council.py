"""Consensus machines without ledger, disk or network: tests hand messages over one by one, or let all of them travel.

`Forge` signs anything for anybody, so that a test can be every other member, honest or not.
"""

from collections import deque
from collections.abc import Callable, Iterable

from node.base.ports import Signer
from node.base.types import (
    GENESIS_HEIGHT,
    HEADER_VERSION,
    ZERO_DIGEST,
    Block,
    Certificate,
    Digest,
    Header,
    Height,
    Instant,
    Member,
    MemberSet,
    OrgId,
    Parameters,
    PreparedBlock,
    Proposal,
    PublicKey,
    RoundChange,
    Signature,
    SignedBy,
    Statement,
    Vote,
    VoteKind,
    round_change_signing_bytes,
    transactions_root,
    vote_signing_bytes,
)
from node.core import consensus
from node.testing.signing import HashSigner, HeldSigners, verify_hash

START = Instant(1_000, 1_750_000_000_000)
Deliver = Callable[[OrgId, OrgId, consensus.ConsensusMessage | Statement], bool]


class Forge:
    """The keys of all members of one chain, at height 1 until told otherwise."""

    def __init__(self, members: int, chain: bytes = b"\x01" * 32) -> None:
        self.chain = Digest(chain)
        self.height = Height(1)
        self.signers = {OrgId(f"m{index:03}"): HashSigner(b"%d" % index) for index in range(members)}
        self.members = MemberSet(
            tuple(Member(org, PublicKey(signer.public_key)) for org, signer in self.signers.items())
        )
        self.parameters = Parameters()

    @property
    def orgs(self) -> tuple[OrgId, ...]:
        """The members, ascending."""
        return self.members.orgs

    def proposer(self, round_: int) -> OrgId:
        """Whose turn it is."""
        return self.members.proposer(self.height, round_)

    def block(self, author: OrgId, time_ms: int = START.wall_ms, mark: int = 0) -> Block:
        """An empty block; different marks give different blocks."""
        header = Header(
            version=HEADER_VERSION,
            chain=self.chain,
            height=self.height,
            time_ms=time_ms,
            parent=self.chain,
            last_certificate=ZERO_DIGEST,
            transactions_root=transactions_root(()),
            state_root=Digest(mark.to_bytes(32, "big")),
            receipts_root=ZERO_DIGEST,
            members=ZERO_DIGEST,
            next_members=ZERO_DIGEST,
            parameters=ZERO_DIGEST,
            author=author,
        )
        return Block(header, (), None)

    def proposal(
        self,
        block: Block,
        round_: int = 0,
        round_changes: tuple[RoundChange, ...] = (),
        prepared: Certificate | None = None,
        org: OrgId | None = None,
    ) -> Proposal:
        """A signed proposal, by the round's proposer unless said otherwise."""
        org = org or self.proposer(round_)
        signature = self.vote(org, VoteKind.PREPARE, block, round_).signature
        return Proposal(round_, block.header, (), None, round_changes, prepared, org, signature)

    def vote(self, org: OrgId, kind: VoteKind, block: Block, round_: int = 0) -> Vote:
        """A signed prepare or commit."""
        signature = self._sign(org, vote_signing_bytes(self.chain, kind, self.height, round_, block.digest))
        return Vote(kind, self.height, round_, block.digest, org, signature)

    def round_change(self, org: OrgId, round_: int, prepared: Certificate | None = None) -> RoundChange:
        """A signed round change, with a claim or an explicit none."""
        claimed_round = None if prepared is None else prepared.round
        claimed = None if prepared is None else prepared.block
        signed = round_change_signing_bytes(self.chain, self.height, round_, claimed_round, claimed)
        return RoundChange(self.height, round_, claimed_round, claimed, org, self._sign(org, signed))

    def certificate(self, block: Block, round_: int, kind: VoteKind) -> Certificate:
        """Votes of a quorum."""
        orgs = self.orgs[: self.members.quorum]
        signed = tuple(SignedBy(org, self.vote(org, kind, block, round_).signature) for org in orgs)
        return Certificate(self.height, round_, block.digest, signed)

    def prepared(self, block: Block, round_: int) -> PreparedBlock:
        """The block with a quorum of prepares."""
        return PreparedBlock(block, self.certificate(block, round_, VoteKind.PREPARE))

    def machine(self, org: OrgId, *held: Signer, sign_from: Height | None = GENESIS_HEIGHT) -> consensus.Consensus:
        """The machine of one member, not started; it holds its key in force, or these keys."""
        return consensus.Consensus(
            org=org,
            chain=self.chain,
            keyring=HeldSigners(held or (self.signers[org],)),
            verify=verify_hash,
            parameters=self.parameters,
            sign_from=sign_from,
        )

    def enter_height(self, height: Height, orgs: Iterable[OrgId]) -> None:
        """From now on everything is of this height, which these organisations agree on."""
        for org in orgs:
            self.signers.setdefault(org, HashSigner(org.encode()))
        self.height = height
        self.members = MemberSet(tuple(Member(org, PublicKey(self.signers[org].public_key)) for org in sorted(orgs)))

    def start_height(self) -> consensus.StartHeight:
        """The input that begins this height."""
        return consensus.StartHeight(self.height, self.members, self.chain, START.wall_ms - 1_000)

    def _sign(self, org: OrgId, message: bytes) -> Signature:
        return Signature(self.signers[org].sign(message))


class Council:
    """All members' machines, at height 1 until they advance.

    Messages travel at once, in order, unless `deliver` holds them back.
    """

    def __init__(self, members: int) -> None:
        self.forge = Forge(members)
        self.now = START
        self.deliver: Deliver = lambda sender, receiver, message: True
        """(sender, receiver, message): whether it arrives."""
        self.survives: Callable[[OrgId, consensus.Effect], bool] = lambda org, effect: True
        """Whether the member lives long enough to perform the effect; if not, it restarts from its log."""
        self.machines = {org: self.forge.machine(org) for org in self.forge.orgs}
        self.logs: dict[OrgId, list[consensus.ConsensusMessage]] = {org: [] for org in self.forge.orgs}
        self.decided: dict[OrgId, consensus.Decide] = {}
        self.sent: list[tuple[OrgId, consensus.ConsensusMessage]] = []
        self.faults: list[consensus.PeerFault] = []
        self.proofs: dict[OrgId, list[consensus.Equivocated]] = {}
        self._blocks: dict[Digest, Block] = {}
        self._inputs: deque[tuple[OrgId, consensus.Input]] = deque()
        for org in self.forge.orgs:
            self.give(org, self.forge.start_height())

    def give(self, org: OrgId, input: consensus.Input) -> None:
        """One input, and all that follows from it."""
        self._inputs.append((org, input))
        self.settle()

    def settle(self) -> None:
        """Take the inputs that wait."""
        while self._inputs:
            receiver, item = self._inputs.popleft()
            for effect in self.machines[receiver].step(item, now=self.now):
                if not self.survives(receiver, effect):
                    self.restart(receiver)
                    break
                self._perform(receiver, effect)

    def work(self, *orgs: OrgId) -> None:
        """These members (by default all) know a reason for a block."""
        for org in orgs or self.forge.orgs:
            self.give(org, consensus.WorkAvailable())

    def pass_time(self) -> None:
        """Go on to the next deadline and give everybody whose deadline it is a tick."""
        moments = [at for machine in self.machines.values() if (at := machine.wake_at) is not None]
        if not moments:
            return
        mono_ms = max(min(moments), self.now.mono_ms)
        self.now = Instant(mono_ms, self.now.wall_ms + mono_ms - self.now.mono_ms)
        for org, machine in self.machines.items():
            if machine.wake_at is not None and machine.wake_at <= mono_ms:
                self.give(org, consensus.Tick())

    def advance(self, *orgs: OrgId) -> None:
        """All machines go on to the next height, which these organisations agree on; new ones get a machine."""
        self.forge.enter_height(Height(self.forge.height + 1), orgs)
        self.decided.clear()
        for org in orgs:
            if org not in self.machines:
                self.machines[org], self.logs[org] = self.forge.machine(org), []
        for org in self.machines:
            self._inputs.append((org, self.forge.start_height()))
        self.settle()

    def restart(self, org: OrgId) -> None:
        """Lose everything but the vote log, start from it, and link with everybody."""
        self.machines[org] = self.forge.machine(org)
        self._inputs.appendleft((org, consensus.Restored(tuple(self.logs[org]))))
        self._inputs.appendleft((org, self.forge.start_height()))
        for peer in self.forge.orgs:
            if peer != org:
                self._inputs.append((org, consensus.PeerLinked(peer)))
                self._inputs.append((peer, consensus.PeerLinked(org)))

    def _perform(self, org: OrgId, effect: consensus.Effect) -> None:
        match effect:
            case consensus.PersistVotes(messages):
                self.logs[org].extend(messages)
            case consensus.Broadcast(message):
                self.sent.append((org, message))
                for peer in self.forge.orgs:
                    if peer != org:
                        self._post(org, peer, message)
            case consensus.SendTo(peer, message):
                if isinstance(message, Statement):
                    if self.deliver(org, peer, message):
                        self._inputs.append((peer, consensus.ToldOf(org, message)))
                    return
                self.sent.append((org, message))
                self._post(org, peer, message)
            case consensus.Build(_, round_):
                block = self.forge.block(org, self.now.wall_ms, mark=len(self._blocks) + 1)
                self._blocks[block.digest] = block
                self._inputs.append((org, consensus.Built(round_, block)))
            case consensus.ExecuteProposal(proposal):
                self._inputs.append((org, consensus.Executed(Block(proposal.header, (), proposal.last_certificate))))
            case consensus.ExecuteBlock(block):
                self._inputs.append((org, consensus.Executed(block)))
            case consensus.Decide():
                assert org not in self.decided, "one decision per height"
                self.decided[org] = effect
            case consensus.PeerFault():
                self.faults.append(effect)
            case consensus.Equivocated():
                self.proofs.setdefault(org, []).append(effect)

    def _post(self, sender: OrgId, receiver: OrgId, message: consensus.ConsensusMessage) -> None:
        if self.deliver(sender, receiver, message):
            self._inputs.append((receiver, consensus.Received(sender, message)))
