"""What an audit shows to be whole, and what nobody can show.

A proof shows that something is there. That nothing is left out follows only where the state counts it: grants, fetches
and versions of a data set, and how each request, agreement and authorisation stands at the audit's head.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from node.base.codec import decode
from node.base.types import OrgId
from node.ledger.audit.account import Row, references
from node.ledger.audit.concern import Subject
from node.ledger.audit.proof import Audit
from node.ledger.contracts.access import Counts
from node.ledger.contracts.sharing import DataSet

UNPROVEN = (
    "That nothing was left out of what no counter on the ledger counts (requests that were not granted, refused "
    "attempts, agreements, training jobs) is the word of the member that exported this audit: hold it against another "
    "member's.",
    "What became of data after they were received, and whatever happened outside of the network, stands on no ledger.",
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One count that the ledger keeps, against what the audit holds of it."""

    what: str
    counted: int
    """By the ledger, at the audit's head."""
    shown: int
    """In the audit."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it was left out."""
        return self.counted == self.shown


def standing_keys(subject: Subject, found: list[Row], orgs: Iterable[OrgId]) -> Iterator[bytes]:
    """The keys that say how things stand at the head, each once. `orgs` are the members."""
    keys: dict[str, None] = {}
    if subject.data:
        keys |= dict.fromkeys((f"sharing/data/{subject.data}", f"access/total/{subject.data}"))
        keys |= dict.fromkeys(f"sharing/grant/{subject.data}/{org}" for org in orgs)
    for request, agreement in references(found):
        if request:
            keys[f"access/request/{request.hex()}"] = None
        if agreement:
            keys[f"agreements/agreement/{agreement.hex()}"] = None
    return (key.encode() for key in keys)


def claims(audit: Audit, found: list[Row]) -> list[Claim]:
    """What the ledger counts of the audit's data set; nothing for an organisation, or where times were left out."""
    data = audit.subject.data
    if not data or audit.is_windowed:
        return []
    standing = {standing.key.decode(errors="replace"): standing.value for standing in audit.standings}
    total, newest = f"access/total/{data}", f"sharing/data/{data}"
    made: list[Claim] = []
    if newest in standing:
        value = standing[newest]
        number = 0 if value is None else decode(DataSet, value).number
        made.append(Claim("versions", number, _count(found, data, "registered")))
    if total in standing:
        value = standing[total]
        counts = Counts() if value is None else decode(Counts, value)
        made.append(Claim("grants", counts.grants, _count(found, data, "granted")))
        made.append(Claim("fetches", counts.fetches, _count(found, data, "fetched")))
    return made


def _count(found: list[Row], data: str, event: str) -> int:
    """Of this data set alone: what explains its rows may be another's grant."""
    return sum(row.events.count(event) for row in found if row.data == (data,))
