"""What must hold at every moment of a simulation, whatever the faults and whoever lies.

- Agreement: one block per height. Validity: what it carries was submitted, once, and its certificate holds for the
  set in force, by the oracle's word.
- No vote contradicts an earlier one, also across restarts; nothing is sent before it is on disk; no member prepares
  what is not justified, commits without a quorum of prepares, or forgets its lock in a round change.
- The state is the header's on every member, and so are the receipts.
- A correct member is not accused of what only liars do. Memory is bounded.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from node.base.codec import DecodeError, encode
from node.base.ports import Verifier
from node.base.types import (
    CertifiedBlock,
    Digest,
    Genesis,
    MemberSet,
    OrgId,
    PeerMessage,
    PreparedBlock,
    Proposal,
    Receipt,
    RoundChange,
    Transaction,
    Vote,
    VoteKind,
    header_digest,
    member_set_digest,
)
from node.engine.replica import PeerFault, Replica
from node.ledger.apply import members_at_head
from node.ledger.genesis import genesis_members
from node.ledger.memory import MemoryState
from node.ledger.tree import state_root, updated
from node.testing.simulation import coverage
from node.testing.simulation.coverage import Coverage
from node.testing.simulation.disk import Disk
from node.testing.simulation.entrance import Entrance
from node.testing.simulation.oracle import Oracle, proposer, quorum

_MESSAGE: Any = PeerMessage
STEPS_PER_MEMORY_CHECK = 32
KEPT_PER_MEMBER_MAX = 24
"""Messages that a consensus machine keeps, per member of the set: four rounds of prepares and of commits, a round
change, four kinds of early ones; the rest is slack."""
TIME_SLACK_MS = 60_000
"""Between hearing of a fresh block, when its time is checked, and preparing it."""
BLAMELESS = (
    "did not answer a request for blocks",
    "ms from this member's clock",
    "lowered its tip from",
    "answered a request for blocks from",
)
"""What a member may say of a correct one, because loss, skewed clocks and late messages look like it."""


class Broken(AssertionError):
    """A rule that must always hold does not."""


def require(holds: bool, words: str) -> None:
    """Raises `Broken` with the words unless it holds."""
    if not holds:
        raise Broken(words)


class Checkers:
    """Sees every vote, every send, every accusation and every commit of all members."""

    def __init__(self, chain: Digest, genesis: Genesis, verify: Verifier, read: Callable[[Any, bytes], Any]) -> None:
        """`read` is the codec's `decode`, or what gives the same."""
        self._read = read
        self.coverage = Coverage()
        self._chain = chain
        self.liars: frozenset[OrgId] = frozenset()
        """Members that keep no rule; the others must keep all of them all the same."""
        self.rotating = False
        """Whether a member presented a card with a new node key."""
        self.wiped: set[OrgId] = set()
        """Members that lost their vote logs and have not voted since."""
        self.decided: dict[int, Digest] = {}
        self.included: dict[Digest, int] = {}
        self.submitted: dict[Digest, Transaction] = {}
        self.sets: dict[int, MemberSet] = {1: genesis_members(genesis)}
        """The member set in force at each height, as the chain says it."""
        self._tolerance_ms = genesis.body.parameters.time_tolerance_ms
        self._oracle = Oracle(chain, verify)
        self._entrance = Entrance(read)
        self._receipts: dict[int, bytes] = {}
        self._seen: set[bytes] = set()
        self._prepares: dict[tuple[int, int, Digest], list[Vote]] = defaultdict(list)
        self._proposals: dict[tuple[int, int], list[Proposal]] = defaultdict(list)
        self._signed: dict[tuple[OrgId, VoteKind, int, int], bytes] = {}
        self._rounds: dict[tuple[OrgId, int], int] = {}
        self._persisted: set[tuple[OrgId, bytes]] = set()
        self._locks: dict[int, dict[OrgId, dict[int, Digest]]] = defaultdict(lambda: defaultdict(dict))
        self._steps = 0

    @property
    def newest_set(self) -> MemberSet:
        """The set in force at the highest height that anybody has agreed on or is agreeing on."""
        return self.sets[max(self.sets)]

    # What members do

    def posted(self, data: bytes) -> None:
        """Anybody, liar or not, sends this to anybody."""
        if data in self._seen:
            return
        self._seen.add(data)
        try:
            message: PeerMessage = self._read(_MESSAGE, data)
        except DecodeError:
            return
        self._learn(message)

    def persisted(self, org: OrgId, entry: bytes, walls_ms: tuple[int, int]) -> None:
        """An entry is in the member's vote log, synced; its clock shows something between these."""
        if org in self.liars:
            return
        self._persisted.add((org, entry))
        if org in self.wiped:
            self.wiped.discard(org)
            self.coverage.note(coverage.SILENT_RETURN)
        message: PeerMessage = self._read(_MESSAGE, entry)
        self._learn(message)
        match message:
            case PreparedBlock():
                self._check_lock(org, message)
            case Proposal():
                self._check_signed(org, VoteKind.PREPARE, message.header.height, message.round, entry)
                self._check_proposal(message)
            case RoundChange():
                self._check_signed(org, VoteKind.ROUND_CHANGE, message.height, message.round, entry)
                self._check_round_change(message)
            case Vote():
                self._check_signed(org, message.kind, message.height, message.round, entry)
                self._check_vote(message, walls_ms)
            case _:
                require(False, f"{org} keeps a {type(message).__name__} in its vote log")

    def sent(self, org: OrgId, data: bytes) -> None:
        """A member sends a message."""
        if org in self.liars or (org, data) in self._persisted:
            return
        message: PeerMessage = self._read(_MESSAGE, data)
        if isinstance(message, Proposal | Vote | RoundChange):
            require(message.org == org, f"{org} sends a message signed by {message.org}")
            require(False, f"{org} sends a {type(message).__name__} before it is on its disk")

    def accused(self, org: OrgId, fault: PeerFault) -> None:
        """A member says that a peer did what no correct member does."""
        if org in self.liars or fault.peer in self.liars:
            return
        blameless = any(words in fault.reason for words in BLAMELESS)
        # Who is a block behind does not know a new key yet, and cannot tell its signature from a bad one.
        blameless = blameless or (self.rotating and "bad-signature" in fault.reason)
        require(blameless, f"{org} accuses the correct member {fault.peer}: {fault.reason}")

    def stepped(self, org: OrgId, replica: Replica) -> None:
        """A member took an input."""
        self._steps += 1
        if self._steps % STEPS_PER_MEMORY_CHECK == 0:
            bound = KEPT_PER_MEMBER_MAX * (len(self.sets[1].members) + 1)
            require(replica.kept <= bound, f"{org} keeps {replica.kept} messages, more than {bound}")

    def committed(self, org: OrgId, certified: CertifiedBlock, receipts: Sequence[Receipt], disk: Disk) -> None:
        """A member has written a block."""
        if org in self.liars:
            return
        header, certificate = certified.block.header, certified.certificate
        height = header.height
        digest = self.decided.setdefault(height, certified.block.digest)
        require(digest == certified.block.digest, f"{org} decides another block at height {height} than others did")
        require(certificate.height == height and certificate.block == digest, "a certificate is for its block")
        certified_by_set = self._oracle.certified(self.sets[height], certificate, VoteKind.COMMIT)
        require(certified_by_set, f"{org} commits height {height} without a certificate of the set in force")
        require(state_root(disk.state) == header.state_root, f"the state of {org} is not that of header {height}")
        told = self._receipts.setdefault(height, b"".join(encode(receipt) for receipt in receipts))
        require(told == b"".join(encode(r) for r in receipts), f"{org} has other receipts of height {height}")
        self._entrance.see(certified, receipts, self.sets[height])
        self._check_sets(org, certified, disk)
        self._check_parent(certified)
        for transaction in certified.block.transactions:
            author = transaction.body.org
            known = transaction.id in self.submitted or author in self.liars
            require(transaction.body.chain == self._chain, f"height {height} includes a transaction of another chain")
            require(transaction.body.valid_until_ms >= header.time_ms, f"height {height} includes what was over")
            require(known, f"nobody submitted a transaction of {author} in height {height}")
            first = self.included.setdefault(transaction.id, height)
            require(first == height, f"a transaction of height {first} is included again at height {height}")
        if certificate.round > 0:
            self.coverage.note(coverage.LATER_ROUND)
        if (org, height) not in self._rounds:
            self.coverage.note(coverage.CATCH_UP)

    def check_state(self, disk: Disk) -> None:
        """At the end: the whole state, hashed from nothing, is what the nodes on disk say."""
        root = updated(MemoryState(), disk.state.values.items()).root
        require(root == state_root(disk.state), "the tree on disk is not that of the state's keys and values")

    # What it is held against

    def _learn(self, message: PeerMessage) -> None:
        if isinstance(message, Proposal):
            self._proposals[message.header.height, message.round].append(message)
            self._learn(message.prepare)
        elif isinstance(message, Vote) and message.kind is VoteKind.PREPARE:
            self._prepares[message.height, message.round, message.block].append(message)

    def _check_signed(self, org: OrgId, kind: VoteKind, height: int, round_: int, entry: bytes) -> None:
        known = self._signed.setdefault((org, kind, height, round_), entry)
        require(known == entry, f"{org} signed two {kind.name} messages at height {height} round {round_}")
        last = self._rounds.setdefault((org, height), round_)
        require(last <= round_, f"{org} goes back from round {last} to {round_} at height {height}")
        self._rounds[org, height] = round_

    def _check_lock(self, org: OrgId, message: PreparedBlock) -> None:
        certificate = message.certificate
        height, round_, block = certificate.height, certificate.round, certificate.block
        holds = self._oracle.certified(self.sets[height], certificate, VoteKind.PREPARE)
        require(holds and block == message.block.digest, f"{org} locks on a block that no quorum prepared")
        self._locks[height][org][round_] = block
        held = {locks[max(locks)] for locks in self._locks[height].values()}
        if len(held) > 1:
            self.coverage.note(coverage.TWO_LOCKS)

    def _check_proposal(self, proposal: Proposal) -> None:
        members = self.sets[proposal.header.height]
        if proposal.prepared is not None:
            self.coverage.note(coverage.REPROPOSAL)
        require(self._oracle.justified(members, proposal), f"{proposal.org} proposes without justification")

    def _check_vote(self, vote: Vote, walls_ms: tuple[int, int]) -> None:
        members = self.sets[vote.height]
        where = f"block {vote.block.hex()[:8]} at height {vote.height} round {vote.round}"
        if vote.kind is VoteKind.PREPARE:
            proposals = [p for p in self._proposals[vote.height, vote.round] if header_digest(p.header) == vote.block]
            good = any(self._oracle.justified(members, p) and self._in_time(p, walls_ms) for p in proposals)
            require(good, f"{vote.org} prepares {where}, which no justified proposal of the proposer names in time")
        else:
            prepares = self._prepares[vote.height, vote.round, vote.block]
            count = len({prepare.org for prepare in prepares if self._oracle.signed_vote(members, prepare)})
            require(count >= quorum(len(members.members)), f"{vote.org} commits {where}, which {count} prepared")

    def _in_time(self, proposal: Proposal, walls_ms: tuple[int, int]) -> bool:
        if proposal.prepared is not None:
            return True
        slack_ms = self._tolerance_ms + TIME_SLACK_MS
        near = walls_ms[0] - slack_ms <= proposal.header.time_ms <= walls_ms[1] + slack_ms
        return near and proposal.header.author == proposal.org

    def _check_round_change(self, change: RoundChange) -> None:
        locks = self._locks[change.height].get(change.org, {})
        highest = max(locks, default=None)
        claimed = None if change.prepared_round is None else (change.prepared_round, change.prepared)
        wanted = None if highest is None else (highest, locks[highest])
        require(claimed == wanted, f"{change.org} is locked on {wanted} and says {claimed} in a round change")

    def _check_parent(self, certified: CertifiedBlock) -> None:
        height, carried = certified.block.header.height, certified.block.last_certificate
        if height == 1:
            require(carried is None, "the first block carries a certificate")
            return
        good = (
            carried is not None
            and (carried.height, carried.block) == (height - 1, self.decided[height - 1])
            and self._oracle.certified(self.sets[height - 1], carried, VoteKind.COMMIT)
        )
        require(good, f"height {height} carries no certificate of its parent")

    def _check_sets(self, org: OrgId, certified: CertifiedBlock, disk: Disk) -> None:
        header = certified.block.header
        in_force, following = self.sets[header.height], members_at_head(disk.state)
        require(header.members == member_set_digest(in_force), f"header {header.height} names another member set")
        require(header.next_members == member_set_digest(following), f"{org} has another next set than its header")
        is_new = header.height + 1 not in self.sets
        known = self.sets.setdefault(header.height + 1, following)
        require(known == following, f"{org} has another member set for height {header.height + 1}")
        before, after = in_force.keys, following.keys
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        allowed = max(1, (len(before) - 1) // 3)
        require(bool(after), f"height {header.height} leaves the member set empty")
        require(len(changed) <= allowed, f"height {header.height} changes {len(changed)} members, at most {allowed}")
        for name in changed - set(before) if is_new else ():
            require(name in self._entrance.ready, f"{name} votes, whom no quorum admitted or who was not ready")
            self._entrance.forget(name)
            self.coverage.note(coverage.ADMISSION)
        for name in changed & set(before):
            if name in after:
                self.coverage.note(coverage.ROTATION)
            else:
                self.coverage.note(coverage.REMOVAL)
                turns = (header.author, proposer(in_force, header.height, certified.certificate.round))
                if name in turns or name == proposer(in_force, header.height + 1, 0):
                    self.coverage.note(coverage.PROPOSER_REMOVED)
