"""Proof that a member signed two contradicting statements, and what follows from it.

==============================================  ==============================================
key                                             value
==============================================  ==============================================
``fault/<organisation>/<height>/<round>/<kind>``  `Fault`: the first proof that was brought
==============================================  ==============================================

Refusals: already-reported, bad-signature, not-comparable, same-statement, unknown-height, unknown-signer.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from node.base.codec import decode, encode
from node.base.types import Height, MemberSet, OrgId, Statement, statement_signing_bytes
from node.ledger import system
from node.ledger.contracts import membership
from node.ledger.contracts.contract import Context, Contract, Method, Rejected, View

NAME = "evidence"


@dataclass(frozen=True, slots=True)
class Report:
    """`report`: the same member signed both, of one kind, for one height and round."""

    first: Statement
    second: Statement


@dataclass(frozen=True, slots=True)
class Fault:
    """A proven contradiction."""

    first: Statement
    second: Statement
    reporter: OrgId
    time_ms: int
    suspends: bool
    """Whether it made the member leave the set, by the network's parameters."""


def faults(evidence: View) -> Iterator[Fault]:
    """All proven faults, by organisation, height and round."""
    for _, value in evidence.scan("fault/"):
        yield decode(Fault, value)


def is_reported(evidence: View, statement: Statement) -> bool:
    """Whether a contradiction at this member's height, round and kind stands on the ledger."""
    return evidence.get(_key(statement)) is not None


def _key(statement: Statement) -> str:
    return f"fault/{statement.org}/{statement.height:020d}/{statement.round:020d}/{statement.kind.name.lower()}"


def _report(context: Context, call: Report) -> None:
    first, second = call.first, call.second
    place = (first.org, first.kind, first.height, first.round)
    if place != (second.org, second.kind, second.height, second.round) or first.round < 0:
        raise Rejected("not-comparable", "Both statements must be of one member, kind, height and round.")
    if is_reported(context, first):
        raise Rejected("already-reported", "This fault stands on the ledger already.")
    signer = _members_at(context, first.height).keys.get(first.org)
    if signer is None:
        raise Rejected("unknown-signer", "The organisation was no member at that height.")
    # Compared by what was signed: a field that the signature does not cover proves nothing against its signer.
    messages = [statement_signing_bytes(context.frame.chain, statement) for statement in (first, second)]
    if messages[0] == messages[1]:
        raise Rejected("same-statement", "Both signatures are for the same words; there is no contradiction.")
    for message, statement in zip(messages, (first, second), strict=True):
        if not context.frame.verify(signer, message, statement.signature):
            raise Rejected("bad-signature", "A signature is not that of the member's node key at that height.")
    suspends = context.frame.parameters.suspend_equivocators and membership.suspend_now(
        context.acting_on(membership.NAME), first.org
    )
    context.store(_key(first), Fault(first, second, context.org, context.time_ms, suspends))
    context.emit("fault", encode(call))


def _members_at(context: Context, height: Height) -> MemberSet:
    """The set in force at a height that has been agreed on or is being agreed on."""
    found = system.members_at(context.ledger, height) if 0 < height <= context.height else None
    if found is None:
        raise Rejected("unknown-height", "The chain has no such height yet.")
    return found


EVIDENCE = Contract(NAME, {"report": Method(Report, _report)})
