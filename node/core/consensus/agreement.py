"""What this member knows about one height, bounded whatever its peers send. Decides nothing."""

from node.base.types import Block, Digest, OrgId, PreparedBlock, Proposal, VoteKind
from node.core.consensus.justification import Context
from node.core.consensus.pen import Pen
from node.core.consensus.votes import RoundChangeBook, VoteBook

BLOCKS_KEPT_MAX = 4
"""Executed blocks, and prepared blocks of others, kept at one height."""


class Agreement:
    """Everything that one height knows; dropped whole when the next begins."""

    def __init__(self, context: Context, pen: Pen) -> None:
        self.context = context
        self.pen = pen
        self.round = 0
        self.deadline_ms: int | None = None
        self.has_work = False
        self.decided = False
        self.active: set[OrgId] = set()
        self.rounds: dict[OrgId, int] = {}
        """The highest round that each member was heard in."""
        self.joined = True
        """Whether a quorum is in this round or a later one, this member counted; nobody waits for that in round 0."""
        self.waits = 0
        """How often the time-out of this round passed without that."""
        self.contradicted: set[OrgId] = set()
        """Who was told, in this round, that its proposal is not the one that this member follows."""
        self.proposal: Proposal | None = None
        """The round's, once accepted; set together with `proposed`."""
        self.proposed: Digest | None = None
        """Its block's digest, which every vote is held against."""
        self.lock: PreparedBlock | None = None
        self.building_round: int | None = None
        self.prepares = VoteBook()
        self.seconded: set[OrgId] = set()
        """Who also prepared what this member is locked on, after its quorum: by their link's word, not verified."""
        self.commits = VoteBook()
        self.round_changes = RoundChangeBook()
        self.evidence: dict[tuple[int, Digest], PreparedBlock] = {}
        self.executed: dict[Digest, Block] = {}

    def votes(self, kind: VoteKind) -> VoteBook:
        """The prepares, or the commits."""
        return self.prepares if kind is VoteKind.PREPARE else self.commits

    def is_locked_by(self, round_: int, block: Digest) -> bool:
        """Whether this member is locked on this block by prepares of this round, its own."""
        lock = self.lock
        return lock is not None and self.round == round_ == lock.certificate.round and lock.certificate.block == block

    def note_round(self, org: OrgId, round_: int) -> None:
        """A member is in this round, or was."""
        self.rounds[org] = max(round_, self.rounds.get(org, 0))

    def is_quorum_here(self, own: OrgId) -> bool:
        """Whether this member and those heard in its round or a later one are a quorum."""
        here = {org for org, round_ in self.rounds.items() if round_ >= self.round} | {own}
        return len(here) >= self.context.members.quorum

    def keep_executed(self, block: Block) -> None:
        """Remember a valid block; of too many, one that is neither proposed nor locked goes."""
        self.executed[block.digest] = block
        needed = {block.digest}
        if self.proposed is not None:
            needed.add(self.proposed)
        if self.lock is not None:
            needed.add(self.lock.block.digest)
        for digest in [d for d in self.executed if d not in needed][: max(0, len(self.executed) - BLOCKS_KEPT_MAX)]:
            del self.executed[digest]

    def keep_evidence(self, prepared: PreparedBlock) -> None:
        """Remember a certified claim; of too many, the lowest round goes."""
        self.evidence[prepared.certificate.round, prepared.certificate.block] = prepared
        if len(self.evidence) > BLOCKS_KEPT_MAX:
            del self.evidence[min(self.evidence)]
