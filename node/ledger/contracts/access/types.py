"""What members ask of the contract, and what it keeps: requests, sealed envelopes, fetches, counts."""

import enum
from dataclasses import dataclass

from node.base.types import Digest, OrgId
from node.ledger.contracts.agreements import Operation

PURPOSE_CHARACTERS_MAX = 200
WORDS_CHARACTERS_MAX = 1_000
WHY_CHARACTERS_MAX = 300
OPEN_MAX = 64
"""Requests of one member for one data set that wait or are granted: no queue at the owner grows without end."""


class State(enum.IntEnum):
    """Where a request stands. Only a waiting or granted one changes any more."""

    WAITING = 1
    GRANTED = 2
    REFUSED = 3
    REVOKED = 4
    CANCELLED = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """`request`: the caller wants to use a data set. The request's id is the transaction's digest."""

    data: str
    """`owner/name`."""
    purpose: str
    """Under an agreement one of its purposes, letter by letter."""
    operation: Operation
    agreement: Digest | None
    words: str
    """To the owner; for people."""


@dataclass(frozen=True, slots=True)
class Grant:
    """`grant`: the owner allows what a waiting request asks."""

    request: Digest


@dataclass(frozen=True, slots=True)
class Refuse:
    """`refuse`: the owner does not."""

    request: Digest
    why: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """`revoke`: the owner takes a grant back. What was received before, its recipient has."""

    request: Digest
    why: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """`cancel`: the requester takes back its request, waiting or granted."""

    request: Digest


@dataclass(frozen=True, slots=True)
class Seal:
    """`seal`: the owner's daemon has sealed a version's key to the recipient."""

    basis: Digest
    version: int
    envelope: Digest
    """Of the whole envelope, which goes over the link alone."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """`fetch`: the recipient is about to receive a version. The fetch's id is the transaction's digest."""

    basis: Digest
    """A granted request, or an `authorize` of sharing."""
    version: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stands."""

    data: str
    requester: OrgId
    purpose: str
    operation: Operation
    agreement: Digest | None
    words: str
    asked_ms: int
    state: State
    changed_ms: int
    why: str
    """The owner's or its rule's words on the last change; empty where there are none."""
    rule_line: int
    """The line of the owner's rules that decided; 0 where a person did, or the rules' default: then `why` names it."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """That a version's key was sealed for a basis."""

    envelope: Digest
    time_ms: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """One fetch, for as long as its basis stands."""

    basis: Digest
    version: int
    recipient: OrgId
    data: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What came of requests for a data set so far; never goes down."""

    grants: int = 0
    fetches: int = 0


@dataclass(frozen=True, slots=True)
class Basis:
    """What a use of data stands on: a request, or an `authorize` of sharing."""

    id: Digest
    data: str
    recipient: OrgId
    operation: Operation | None
    """None: any, as an `authorize` says nothing of it."""
    purpose: str
    agreement: Digest | None


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """The body of every event: requested, granted, refused, revoked, cancelled, sealed, fetched."""

    basis: Digest
    data: str
    recipient: OrgId
    version: int
    """0 where it is about no version."""
    words: str
    rule_line: int
