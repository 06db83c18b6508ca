"""What the conditions can read: the facts of one request, and the variables that they become.

=========================  =========  ===========================================================================
variable                   kind       what it is
=========================  =========  ===========================================================================
``requester``              text       the organisation that asks
``purpose``                text       what it wants the data for, in its words
``operation``              text       ``train``, ``evaluate``, ``statistics``, ``download`` or ``compute``
``now_ms``                 number     the block's time, milliseconds since 1970
``data.name``              text       the data set, without the owner
``data.owner``             text       whose it is: the one whose rules these are
``data.kind``              text       ``csv``, ``parquet``, ...; empty where the owner published no description
``data.label``             text       as the owner described it
``data.purpose``           text       what the owner published it for
``data.schema``            text       the registered schema that it keeps, ``owner/name/number``; empty for none
``data.version``           number     its newest version
``agreement.present``      truth      whether the request names an agreement
``agreement.id``           text       its id in hex. This and the following are there only with an agreement: reading
                                      them without one decides nothing, which refuses
``agreement.title``        text
``agreement.parties``      texts
``agreement.purposes``     texts
``agreement.operations``   texts
``agreement.in_force``     truth      whether all have signed, nobody withdrew, and it has not expired
``agreement.expires_ms``   number
``counts.granted``         number     requests of this requester for this data set that were granted so far
``counts.fetched``         number     how often it fetched the data set
``counts.granted_all``     number     the same of all requesters
``counts.fetched_all``     number
``dates.<name>``           number     a date that the contract names
=========================  =========  ===========================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass

from node.base.expressions import Kind, Number, Text, Texts, Truth, Value
from node.base.types import Digest, OrgId

_NAME_BYTES_MAX = 64
"""Of an organisation or a data set."""
WORDS_BYTES_MAX = 2_000
"""Of a purpose or a title: 500 characters of four bytes."""
PARTIES_MAX = 64
PURPOSES_MAX = 16
OPERATIONS_MAX = 8

VARIABLES: Mapping[str, Kind] = {
    "requester": Text(_NAME_BYTES_MAX),
    "purpose": Text(WORDS_BYTES_MAX),
    "operation": Text(_NAME_BYTES_MAX),
    "now_ms": Number(),
    "data.name": Text(_NAME_BYTES_MAX),
    "data.owner": Text(_NAME_BYTES_MAX),
    "data.kind": Text(_NAME_BYTES_MAX),
    "data.label": Text(WORDS_BYTES_MAX),
    "data.purpose": Text(WORDS_BYTES_MAX),
    "data.schema": Text(4 * _NAME_BYTES_MAX),
    "data.version": Number(),
    "agreement.present": Truth(),
    "agreement.id": Text(_NAME_BYTES_MAX),
    "agreement.title": Text(WORDS_BYTES_MAX),
    "agreement.parties": Texts(PARTIES_MAX, _NAME_BYTES_MAX),
    "agreement.purposes": Texts(PURPOSES_MAX, WORDS_BYTES_MAX),
    "agreement.operations": Texts(OPERATIONS_MAX, _NAME_BYTES_MAX),
    "agreement.in_force": Truth(),
    "agreement.expires_ms": Number(),
    "counts.granted": Number(),
    "counts.fetched": Number(),
    "counts.granted_all": Number(),
    "counts.fetched_all": Number(),
}


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Of the data set."""

    name: str
    """Without the owner."""
    owner: OrgId
    kind: str = ""
    label: str = ""
    purpose: str = ""
    schema: str = ""
    version: int = 1


@dataclass(frozen=True, slots=True)
class AgreementFacts:
    """Of the agreement that the request names."""

    id: Digest
    title: str
    parties: tuple[str, ...]
    purposes: tuple[str, ...]
    operations: tuple[str, ...]
    in_force: bool
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What came before."""

    granted: int = 0
    fetched: int = 0
    granted_all: int = 0
    fetched_all: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """One request."""

    requester: OrgId
    purpose: str
    operation: str
    data: DataFacts
    agreement: AgreementFacts | None
    now_ms: int
    counts: Counts


def values_of(facts: Facts) -> dict[str, Value]:
    """The variables' values; without an agreement, nothing of one but that it is not there."""
    data, counts, agreement = facts.data, facts.counts, facts.agreement
    values: dict[str, Value] = {
        "requester": facts.requester,
        "purpose": facts.purpose,
        "operation": facts.operation,
        "now_ms": facts.now_ms,
        "data.name": data.name,
        "data.owner": data.owner,
        "data.kind": data.kind,
        "data.label": data.label,
        "data.purpose": data.purpose,
        "data.schema": data.schema,
        "data.version": data.version,
        "agreement.present": agreement is not None,
        "counts.granted": counts.granted,
        "counts.fetched": counts.fetched,
        "counts.granted_all": counts.granted_all,
        "counts.fetched_all": counts.fetched_all,
    }
    if agreement is not None:
        values |= {
            "agreement.id": agreement.id.hex(),
            "agreement.title": agreement.title,
            "agreement.parties": agreement.parties,
            "agreement.purposes": agreement.purposes,
            "agreement.operations": agreement.operations,
            "agreement.in_force": agreement.in_force,
            "agreement.expires_ms": agreement.expires_ms,
        }
    return values
