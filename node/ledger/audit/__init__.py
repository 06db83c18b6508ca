"""The audit: who had access to what, when, why, under which agreement, for what; proven to who holds the genesis alone.

`concern` which transactions are about a data set or an organisation; `proof` an audit's bytes, and when they hold;
`account` what they say, for people; `claims` what an audit shows to be whole, and what nobody can show.
"""

from node.ledger.audit.account import Row, Use, rows, uses
from node.ledger.audit.claims import UNPROVEN, Claim, claims, standing_keys
from node.ledger.audit.concern import AUDITED, Concern, Subject
from node.ledger.audit.proof import ENTRIES_MAX, Audit, AuditedBlock, Standing, verify_audit

__all__ = [
    "AUDITED",
    "ENTRIES_MAX",
    "UNPROVEN",
    "Audit",
    "AuditedBlock",
    "Claim",
    "Concern",
    "Row",
    "Standing",
    "Subject",
    "Use",
    "claims",
    "rows",
    "standing_keys",
    "uses",
    "verify_audit",
]
