"""Gathers an audit out of a member's ledger on disk, beside its daemon: nothing here runs in the daemon's loop.

The database finds the blocks that may hold something by their bytes; only those are decoded, one after the other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from node.base.codec import encode
from node.base.types import CertifiedBlock, Digest, Height, MemberSet, Receipt
from node.edge.storage import SqliteReader
from node.ledger import system
from node.ledger.audit import AUDITED, ENTRIES_MAX, Audit, AuditedBlock, Concern, Standing, Subject, rows, standing_keys
from node.ledger.audit.proof import STANDINGS_MAX
from node.ledger.errors import Unprovable
from node.ledger.light import build_path, kept_header
from node.ledger.offline import Entry, entry_of
from node.ledger.tree import prove_key


def gather(
    reader: SqliteReader,
    subject: Subject,
    *,
    from_ms: int = 0,
    until_ms: int | None = None,
    progress: Callable[[int], None] = lambda height: None,
) -> Audit:
    """All that this member holds about the subject; `reader` is frozen. `progress` hears of heights.

    Raises `Unprovable` where there is no block yet, or more than an audit holds.
    """
    head = reader.height()
    if head == 0:
        raise Unprovable("there is no block yet, so there is nothing to audit")
    members = list(system.set_history(reader))
    path = build_path(members, reader.certified_header, head)
    found = _Found(reader, subject, from_ms, until_ms)
    for height in reader.heights_holding([encode(name) for name in AUDITED]):
        found.look(height)
        progress(height)
    found.explain()
    blocks = tuple(
        AuditedBlock(
            kept_header(reader.certified_header, height, _members_at(members, height)),
            tuple(entry for _, entry in sorted(entries.items())),
        )
        for height, entries in sorted(found.entries.items())
    )
    audit = Audit(subject, from_ms, until_ms, reader.base(), path.steps, blocks, path.target, ())
    keys = list(standing_keys(subject, rows(audit), members[-1][1].orgs))
    standings = tuple(Standing(key, reader.get(key), prove_key(reader, key)) for key in keys[:STANDINGS_MAX])
    return Audit(subject, from_ms, until_ms, audit.base, path.steps, blocks, path.target, standings)


@dataclass
class _Found:
    """What was found so far: entries by height and index."""

    reader: SqliteReader
    subject: Subject
    from_ms: int
    until_ms: int | None
    entries: dict[Height, dict[int, Entry]] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.concern = Concern(self.subject)

    def look(self, height: Height) -> None:
        """Take what is about the subject. All is looked at: a request before the times explains a fetch in them."""
        certified, receipts = self._block(height)
        for index, (transaction, receipt) in enumerate(zip(certified.block.transactions, receipts, strict=True)):
            if self.concern.takes(transaction, receipt):
                self._keep(certified, receipts, index)

    def explain(self) -> None:
        """Take what those name that are about the subject: a job's proposal, the request that a stranger granted."""
        for id_ in sorted(self.concern.named):
            record = self.reader.transaction(Digest(id_))
            if record is not None and record.index not in self.entries.get(record.height, {}):
                self._keep(*self._block(record.height), record.index)

    def _keep(self, certified: CertifiedBlock, receipts: tuple[Receipt, ...], index: int) -> None:
        header = certified.block.header
        if header.time_ms < self.from_ms or (self.until_ms is not None and header.time_ms >= self.until_ms):
            return
        self.count += 1
        if self.count > ENTRIES_MAX:
            raise Unprovable(f"an audit holds {ENTRIES_MAX} transactions at most: narrow it with --from and --to")
        entry = entry_of(certified.block.transactions, receipts, index)
        self.entries.setdefault(header.height, {})[index] = entry

    def _block(self, height: Height) -> tuple[CertifiedBlock, tuple[Receipt, ...]]:
        certified, receipts = self.reader.block(height), self.reader.receipts(height)
        assert certified is not None, "the database has just named this height"
        assert receipts is not None, "a block that is kept whole has its receipts"
        return certified, receipts


def _members_at(history: list[tuple[Height, MemberSet]], height: Height) -> MemberSet:
    return next(members for first, members in reversed(history) if first <= height)
