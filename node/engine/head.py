"""The place after the chain's head: what the next block must follow, building it, and executing it once.

Reads the committed state only; leaves agreement and writing to others.
"""

from collections.abc import Iterable

from node.base.ports import ChainReader, StateReader, Verifier
from node.base.types import (
    Block,
    Certificate,
    CertifiedBlock,
    Digest,
    Genesis,
    Height,
    Instant,
    MemberSet,
    OrgId,
    Transaction,
    VoteKind,
    chain_id,
)
from node.ledger import system
from node.ledger.apply import Executed, Position, build_block, execute_block, members_at_head
from node.ledger.certificates import verify_certificate
from node.ledger.contracts import membership
from node.ledger.contracts.contract import view
from node.ledger.errors import InvalidBlock
from node.ledger.signers import key_in_force
from node.ledger.tree import state_root

EXECUTED_MAX = 8
"""Results of executed blocks of one height that are kept."""


class Head:
    """The last committed block, and what is known of candidates for the next."""

    def __init__(
        self, *, org: OrgId, genesis: Genesis, state: StateReader, chain: ChainReader, verify: Verifier
    ) -> None:
        self.chain_id = chain_id(genesis.body)
        self.parameters = genesis.body.parameters
        self._org = org
        self._state = state
        self._verify = verify
        self._executed: dict[Digest, Executed] = {}
        self._last: CertifiedBlock | None = None
        self.height = Height(0)
        self._chain = chain
        self.base = chain.base()
        self.digest = self.chain_id
        self.time_ms = genesis.body.time_ms
        self._entries = view(state, membership.NAME)
        self._epoch = -1
        self._take_over_members()
        self.state_root = state_root(state)
        if chain.height() > 0:
            last = chain.block(chain.height())
            assert last is not None, "a chain has the block of its own height"
            self.advance(last)

    def advance(self, certified: CertifiedBlock) -> None:
        """Take over a block that has been committed."""
        header = certified.block.header
        self._last = certified
        self._executed = {}
        self.height, self.digest, self.time_ms = header.height, certified.block.digest, header.time_ms
        self._take_over_members()
        self.base = self._chain.base()
        # Not the database's: that is a block ahead of this one between its commit and our hearing of it.
        self.state_root = header.state_root

    def look_at_base(self) -> None:
        """The chain was pruned."""
        self.base = self._chain.base()

    @property
    def certificate(self) -> Certificate | None:
        """What made the last block final; None at height 0."""
        return None if self._last is None else self._last.certificate

    def members_at(self, height: Height) -> MemberSet | None:
        """The set in force at that height; None where this chain does not tell yet."""
        if height <= self.height + 1:
            return system.members_at(self._state, height)
        # A change that waits is applied by the next block, and in force at the one after it.
        is_known = height == self.height + 2 and not membership.has_queue(view(self._state, membership.NAME))
        return self.members if is_known else None

    def is_named(self, org: OrgId, height: Height) -> bool:
        """Whether the ledger names the organisation for a fault at this height or above."""
        prefix = f"evidence/fault/{org}/".encode()
        return any(int(key[len(prefix) :].split(b"/")[0]) >= height for key, _ in self._state.scan(prefix))

    @property
    def cel_version(self) -> str:
        """By which conditions are decided in the next block."""
        return self._adopted or self.parameters.cel_version

    def _take_over_members(self) -> None:
        self._adopted = membership.cel_version_at(self._entries, Height(self.height + 1))
        self.members: MemberSet = members_at_head(self._state)
        self.changes_wait = membership.has_queue(self._entries)
        epoch = membership.epoch(self._entries)
        if epoch != self._epoch:
            self._epoch = epoch
            # Candidates hear what members say to each other, so that one that enters the set is not a block behind.
            orgs = (*self.members.orgs, *membership.candidates(self._entries))
            self.keys = {org: key for org in orgs if (key := key_in_force(self._state, org)) is not None}
            self.audience = tuple(sorted({*orgs} - {self._org}))

    def build(self, candidates: Iterable[Transaction], now: Instant, transactions_max: int) -> Executed:
        """A fresh block by this member, executed."""
        position = self._position(now.wall_ms, self._org, self.certificate)
        return self._keep(
            build_block(self._state, position, candidates, self._verify, transactions_max=transactions_max)
        )

    def execute(self, block: Block) -> Executed:
        """What the block does; each is executed once. Raises `InvalidBlock`."""
        known = self._executed.get(block.digest)
        # The digest covers the transactions by their root, so one digest is one block.
        if known is not None and known.block == block:
            return known
        if block.header.height != self.height + 1:
            raise InvalidBlock(f"height {block.header.height} does not follow {self.height}")
        certificate = block.last_certificate
        position = self._position(block.header.time_ms, block.header.author, certificate)
        return self._keep(execute_block(self._state, position, block, self._verify))

    def executed(self, digest: Digest) -> Executed | None:
        """The result of a block that was executed already."""
        return self._executed.get(digest)

    def check_certified(self, certified: CertifiedBlock) -> Executed:
        """What a fetched block does, when it is final. Raises `InvalidBlock`."""
        certificate = certified.certificate
        if certificate.height != self.height + 1 or certificate.block != certified.block.digest:
            raise InvalidBlock("the certificate is for another block")
        reason = verify_certificate(self.chain_id, self.members, certificate, VoteKind.COMMIT, self._verify)
        if reason is not None:
            raise InvalidBlock(reason)
        return self.execute(certified.block)

    def find_transaction(self, id_: Digest) -> Transaction | None:
        """A transaction of one of the executed candidates."""
        for executed in self._executed.values():
            for transaction in executed.block.transactions:
                if transaction.id == id_:
                    return transaction
        return None

    def _position(self, time_ms: int, author: OrgId, certificate: Certificate | None) -> Position:
        return Position(
            chain=self.chain_id,
            height=Height(self.height + 1),
            time_ms=time_ms,
            parent=self.digest,
            last_certificate=certificate,
            author=author,
            members=self.members,
            parameters=self.parameters,
        )

    def _keep(self, executed: Executed) -> Executed:
        if len(self._executed) >= EXECUTED_MAX:
            del self._executed[next(iter(self._executed))]
        self._executed[executed.block.digest] = executed
        return executed
