"""Agreements: what organisations have signed about each other's data, in force or not.

An agreement names its parties, the data sets, what they may be used for and in which ways, its expiry, and conditions
in words. It is in force when all parties have signed, until it expires or any party withdraws; withdrawal takes no
notice and cannot be taken back. Whatever stands on an agreement asks `why_not_in_force` at each use, so both act at
once. All of it is seen by all members for ever.

============================  ===============================================
key                           value
============================  ===============================================
``agreement/<id>``            `Agreement`: terms, who signed, who withdrew
============================  ===============================================

Refusals: bad-terms, not-party, not-member, not-owner-party, unknown-agreement, already-signed, withdrawn, expired,
bad-reason.
"""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from node.base.codec import decode, encode
from node.base.types import Digest, OrgId, data_owner
from node.ledger.contracts.contract import Context, Contract, Method, Refusal, Rejected, View, is_text

NAME = "agreements"

TITLE_CHARACTERS_MAX = 200
PARTIES_MAX = 64
DATA_MAX = 64
PURPOSES_MAX = 16
PURPOSE_CHARACTERS_MAX = 200
CONDITIONS_CHARACTERS_MAX = 8_000
WHY_CHARACTERS_MAX = 300
TERM_MS_MAX = 100 * 366 * 24 * 3_600_000


class Operation(enum.IntEnum):
    """A way of using data."""

    TRAIN = 1
    EVALUATE = 2
    STATISTICS = 3
    DOWNLOAD = 4
    """Having the rows in the clear."""
    COMPUTE = 5


@dataclass(frozen=True, slots=True)
class Terms:
    """`draft`: the agreement's words. The caller is a party and signs with it; the id is the transaction's digest."""

    title: str
    parties: tuple[OrgId, ...]
    """Ascending, two at least."""
    data: tuple[str, ...]
    """`owner/name` each, ascending; every owner is a party."""
    purposes: tuple[str, ...]
    """Ascending. A request under the agreement names one of them, letter by letter."""
    operations: tuple[Operation, ...]
    """Ascending."""
    expires_ms: int
    """Block time from which it is no longer in force."""
    conditions: str
    """For people; no machine reads them. May have several lines."""


@dataclass(frozen=True, slots=True)
class Sign:
    """`sign`: the caller agrees."""

    agreement: Digest


@dataclass(frozen=True, slots=True)
class Withdraw:
    """`withdraw`: the caller does not, or no longer. It ends the agreement for all parties."""

    agreement: Digest
    why: str


@dataclass(frozen=True, slots=True)
class Signed:
    """One party's signature."""

    org: OrgId
    time_ms: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What ended an agreement."""

    org: OrgId
    why: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """An agreement as it stands."""

    terms: Terms
    drafter: OrgId
    signed: tuple[Signed, ...]
    """In the order of signing; the drafter first."""
    withdrawn: Withdrawn | None

    @property
    def missing(self) -> tuple[OrgId, ...]:
        """Parties that have not signed."""
        signed = {signature.org for signature in self.signed}
        return tuple(org for org in self.terms.parties if org not in signed)


@dataclass(frozen=True, slots=True)
class AgreementEvent:
    """The body of every event: drafted, signed, in-force, withdrawn."""

    agreement: Digest
    org: OrgId
    words: str


def agreement(agreements: View, id_: Digest) -> Agreement | None:
    """One agreement."""
    return agreements.load(Agreement, _key(id_))


def all_agreements(agreements: View) -> Iterator[tuple[Digest, Agreement]]:
    """All agreements with their ids, in the order of ids."""
    for key, value in agreements.scan("agreement/"):
        yield Digest(bytes.fromhex(key.removeprefix("agreement/"))), decode(Agreement, value)


def why_not_in_force(found: Agreement, *, time_ms: int) -> Refusal | None:
    """What keeps the agreement from being in force at this block time; None while it is."""
    if found.withdrawn is not None:
        return Refusal("withdrawn", f"{found.withdrawn.org} withdrew from the agreement; draft a new one.")
    if time_ms >= found.terms.expires_ms:
        return Refusal("expired", "The agreement has expired; draft a new one.")
    if found.missing:
        return Refusal("not-signed", f"The agreement is not in force: {found.missing[0]} has yet to sign it.")
    return None


def _draft(context: Context, terms: Terms) -> None:
    for code, holds, reason in _conditions(context, terms):
        if not holds:
            raise Rejected(code, reason)
    drafted = Agreement(terms, context.org, (Signed(context.org, context.time_ms),), None)
    context.store(_key(context.transaction), drafted)
    _emit(context, "drafted", context.transaction, terms.title)


def _conditions(context: Context, terms: Terms) -> list[tuple[str, bool, str]]:
    purposes_fit = all(purpose and is_text(purpose, PURPOSE_CHARACTERS_MAX) for purpose in terms.purposes)
    owners = [data_owner(data) for data in terms.data]
    return [
        (
            "bad-terms",
            bool(terms.title) and is_text(terms.title, TITLE_CHARACTERS_MAX),
            f"A title is one line of 1 to {TITLE_CHARACTERS_MAX} characters.",
        ),
        (
            "bad-terms",
            _is_list(terms.parties, 2, PARTIES_MAX),
            f"Name 2 to {PARTIES_MAX} parties, each once, in order.",
        ),
        ("bad-terms", _is_list(terms.data, 1, DATA_MAX), f"Name 1 to {DATA_MAX} data sets once, in order."),
        (
            "bad-terms",
            _is_list(terms.purposes, 1, PURPOSES_MAX) and purposes_fit,
            f"Name 1 to {PURPOSES_MAX} purposes of at most {PURPOSE_CHARACTERS_MAX} characters, each once, in order.",
        ),
        (
            "bad-terms",
            _is_list(terms.operations, 1, len(Operation)),
            "Name at least one operation, each once: train, evaluate, statistics, download, compute.",
        ),
        (
            "bad-terms",
            is_text(terms.conditions, CONDITIONS_CHARACTERS_MAX, lines=True),
            f"The conditions have at most {CONDITIONS_CHARACTERS_MAX} characters, without control characters.",
        ),
        (
            "bad-terms",
            context.time_ms < terms.expires_ms <= context.time_ms + TERM_MS_MAX,
            "The expiry lies after the present, by a hundred years at most.",
        ),
        ("not-party", context.org in terms.parties, "Who drafts an agreement is one of its parties."),
        (
            "not-member",
            all(org in context.members.keys for org in terms.parties),
            "Every party must be a member of the network.",
        ),
        (
            "not-owner-party",
            all(owner in terms.parties for owner in owners),
            "A data set is named owner/name, and every owner must be a party.",
        ),
    ]


_Entry = TypeVar("_Entry", str, Operation)


def _is_list(entries: Sequence[_Entry], count_min: int, count_max: int) -> bool:
    """Whether there are neither too few nor too many, each once, ascending."""
    return count_min <= len(entries) <= count_max and list(entries) == sorted(set(entries))


def _sign(context: Context, asked: Sign) -> None:
    found = _open_to_party(context, asked.agreement)
    if context.org not in found.missing:
        raise Rejected("already-signed", "You have signed this agreement.")
    found = replace(found, signed=(*found.signed, Signed(context.org, context.time_ms)))
    context.store(_key(asked.agreement), found)
    _emit(context, "signed", asked.agreement, "")
    if not found.missing:
        _emit(context, "in-force", asked.agreement, "")


def _withdraw(context: Context, asked: Withdraw) -> None:
    found = _open_to_party(context, asked.agreement)
    if not is_text(asked.why, WHY_CHARACTERS_MAX):
        raise Rejected("bad-reason", f"Give the reason in one line of at most {WHY_CHARACTERS_MAX} characters.")
    ended = replace(found, withdrawn=Withdrawn(context.org, asked.why, context.time_ms))
    context.store(_key(asked.agreement), ended)
    _emit(context, "withdrawn", asked.agreement, asked.why)


def _open_to_party(context: Context, id_: Digest) -> Agreement:
    """The agreement, if the caller may still sign or withdraw."""
    found = agreement(context, id_)
    if found is None:
        raise Rejected("unknown-agreement", "No agreement has this id; list the agreements to see theirs.")
    if context.org not in found.terms.parties:
        raise Rejected("not-party", "Only the agreement's parties sign it or withdraw from it.")
    if found.withdrawn is not None:
        raise Rejected("withdrawn", f"{found.withdrawn.org} has withdrawn, which ended the agreement.")
    if context.time_ms >= found.terms.expires_ms:
        raise Rejected("expired", "The agreement has expired; draft a new one.")
    return found


def _key(id_: Digest) -> str:
    return f"agreement/{id_.hex()}"


def _emit(context: Context, name: str, id_: Digest, words: str) -> None:
    context.emit(name, encode(AgreementEvent(id_, context.org, words)))


AGREEMENTS = Contract(
    NAME,
    {
        "draft": Method(Terms, _draft),
        "sign": Method(Sign, _sign),
        "withdraw": Method(Withdraw, _withdraw),
    },
)
