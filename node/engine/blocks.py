"""A replica's blocks: built by this member, put together from proposals, executed once, handed out to be written."""

from node.base.types import Block, Certificate, CertifiedBlock, OrgId, Proposal
from node.core import consensus, gossip
from node.engine.parts import Parts
from node.engine.replica_io import CommitBlock, PeerFault
from node.ledger.apply import Executed
from node.ledger.errors import InvalidBlock


class Blocks(Parts):
    """From a proposal or a fetched block to `CommitBlock`."""

    def _build_held(self) -> None:
        if self._held is None or (len(self._mempool) == 0 and self._now.mono_ms < self._listen_until_ms):
            return
        wanted, self._held = self._held, None
        count_max = self._pace.transactions_max(wanted.round)
        built = self._head.build(self._mempool.candidates(wanted.height), self._now, count_max)
        self._queue.append(consensus.Built(wanted.round, built.block))

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
