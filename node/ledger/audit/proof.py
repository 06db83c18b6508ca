"""An audit's bytes: transactions with their receipts, bound to certified headers over one shared way of trust."""

from dataclasses import dataclass

from node.base import crypto
from node.base.ports import Verifier
from node.base.types import CertifiedHeader, Digest, Genesis, Height
from node.ledger.audit.concern import Concern, Subject
from node.ledger.errors import Untrusted
from node.ledger.light import Step, Trusted, verify_headers
from node.ledger.offline import Entry, check_entry
from node.ledger.tree import StateProof, verify_key

ENTRIES_MAX = 20_000
STANDINGS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class AuditedBlock:
    """What of one block the audit is about."""

    certified: CertifiedHeader
    entries: tuple[Entry, ...]
    """In the block's order."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands under a key at the audit's head; None: nothing does."""

    key: bytes
    value: bytes | None
    proof: StateProof


@dataclass(frozen=True, slots=True)
class Audit:
    """All that a member found about a subject."""

    subject: Subject
    from_ms: int
    """Block times from here on; 0 for all."""
    until_ms: int | None
    """Block times before this; None for all."""
    base: Height
    """The lowest block that the exporting member holds: of those below it nothing could be found."""
    steps: tuple[Step, ...]
    blocks: tuple[AuditedBlock, ...]
    """Ascending."""
    head: CertifiedHeader
    standings: tuple[Standing, ...]

    @property
    def is_windowed(self) -> bool:
        """Whether times were left out."""
        return bool(self.from_ms) or self.until_ms is not None


def verify_audit(genesis: Genesis, audit: Audit, verify: Verifier = crypto.verify) -> Trusted:
    """The head that the audit reaches. Raises `Untrusted` unless:

    - every header follows from the genesis, its certificate signed by the members of its height;
    - every transaction, once, and its receipt stand in their block, which is within the audit's times;
    - every transaction is about the subject, as far as an audit of all times shows it;
    - every standing is what the head's state root covers.
    """
    if sum(len(block.entries) for block in audit.blocks) > ENTRIES_MAX or len(audit.standings) > STANDINGS_MAX:
        raise Untrusted(f"an audit has at most {ENTRIES_MAX} transactions and {STANDINGS_MAX} standings")
    if bool(audit.subject.data) == bool(audit.subject.org):
        raise Untrusted("an audit is about a data set or about an organisation")
    headers = [block.certified for block in audit.blocks]
    if not headers or headers[-1].header.height != audit.head.header.height:
        headers.append(audit.head)
    elif headers[-1] != audit.head:
        raise Untrusted("the audit has two headers for its head")
    trusted = verify_headers(genesis, audit.steps, headers, verify)
    seen: set[Digest] = set()
    for block, at in zip(audit.blocks, trusted, strict=False):
        _check_block(audit, block, at, seen)
    if not audit.is_windowed:
        _check_concern(audit)
    keys = [standing.key for standing in audit.standings]
    if len(set(keys)) < len(keys):
        raise Untrusted("two standings have one key")
    for standing in audit.standings:
        if not verify_key(trusted[-1].header.state_root, standing.key, standing.value, standing.proof):
            raise Untrusted("what stands under a key is not what the head's state root covers")
    return trusted[-1]


def _check_block(audit: Audit, block: AuditedBlock, trusted: Trusted, seen: set[Digest]) -> None:
    header = trusted.header
    if header.time_ms < audit.from_ms or (audit.until_ms is not None and header.time_ms >= audit.until_ms):
        raise Untrusted(f"the block of height {header.height} is outside of the audit's times")
    if header.height < audit.base:
        raise Untrusted(f"the block of height {header.height} is below the audit's lowest, {audit.base}")
    for entry in block.entries:
        check_entry(trusted, entry)
        if entry.transaction.id in seen:
            raise Untrusted("a transaction stands in the audit twice")
        seen.add(entry.transaction.id)


def _check_concern(audit: Audit) -> None:
    concern = Concern(audit.subject)
    entries = [entry for block in audit.blocks for entry in block.entries]
    others = {entry.transaction.id for entry in entries if not concern.takes(entry.transaction, entry.receipt)}
    # What is named explains: the job that data take part in, the request that somebody tried to grant.
    if not others <= concern.named:
        raise Untrusted("a transaction of the audit is not about its subject")
