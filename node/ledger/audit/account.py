"""What an audit says, for people: every transaction as a row, and every use of data on what it stood.

All follows from the audit's bytes alone, so whoever verifies them reads the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from node.base.codec import decode
from node.base.types import Digest, Header, OrgId, header_digest
from node.ledger.audit.concern import LEFT_OUT, event_of, own_data, payload_of
from node.ledger.audit.proof import Audit
from node.ledger.contracts import access, agreements, sharing
from node.ledger.contracts.access import AccessEvent
from node.ledger.contracts.training import JobEvent
from node.ledger.offline import Entry

_DECIDED = ("granted", "refused")
_BASES = ("access.request", "sharing.authorize")


@dataclass(frozen=True, slots=True)
class Row:
    """One transaction. What it says nothing of is empty."""

    height: int
    time_ms: int
    block: Digest
    transaction: Digest
    org: OrgId
    """Who signed it."""
    call: str
    """`access.fetch`."""
    accepted: bool
    code: str
    reason: str
    events: tuple[str, ...]
    data: tuple[str, ...] = ()
    recipient: str = ""
    basis: bytes = b""
    """The request or authorisation that it is about."""
    agreement: bytes = b""
    job: bytes = b""
    purpose: str = ""
    operation: str = ""
    version: int = 0
    rule_line: int = 0
    words: str = ""
    used: tuple["Used", ...] = ()
    """What data an approval of a job brings in."""


@dataclass(frozen=True, slots=True)
class Used:
    """A version of a data set in a training job."""

    data: str
    version: int
    basis: bytes
    """Empty for a member's own data."""


@dataclass(slots=True)
class Use:
    """One request or authorisation: who may have what, why, since when, until when, and what came of it."""

    basis: bytes
    data: str
    recipient: str
    purpose: str = ""
    operation: str = ""
    agreement: bytes = b""
    words: str = ""
    asked: Row | None = None
    decided: Row | None = None
    ended: Row | None = None
    """Revoked, cancelled, withdrawn, or the agreement withdrawn."""
    now: str = ""
    """How it stands at the audit's head, where that is proven."""
    fetched: list[Row] = field(default_factory=list)
    trained: list[Row] = field(default_factory=list)


def rows(audit: Audit) -> list[Row]:
    """Every transaction, in the chain's order."""
    bases: dict[bytes, Row] = {}
    found = []
    for block in audit.blocks:
        for entry in block.entries:
            row = _row(block.certified.header, entry)
            found.append(_on_basis(row, bases.get(row.basis)))
            if row.call in _BASES and row.accepted:
                bases[row.basis] = found[-1]
    return found


def uses(audit: Audit, found: list[Row]) -> list[Use]:
    """What the rows come to, by the order of asking."""
    known: dict[bytes, Use] = {}
    for row in found:
        if row.accepted and row.call in _TOLD:
            _TOLD[row.call](known, row)
    for standing in audit.standings:
        _stand(known, standing.key, standing.value)
    return list(known.values())


def _row(header: Header, entry: Entry) -> Row:
    body, receipt = entry.transaction.body, entry.receipt
    row = Row(
        height=header.height,
        time_ms=header.time_ms,
        block=header_digest(header),
        transaction=entry.transaction.id,
        org=body.org,
        call=f"{body.contract}.{body.method}",
        accepted=receipt.accepted,
        code=receipt.code,
        reason=receipt.reason,
        events=tuple(event.name for event in receipt.events),
    )
    row = _with_payload(row, payload_of(entry.transaction))
    for emitted in receipt.events:
        event = event_of(emitted.contract, emitted.body)
        if isinstance(event, JobEvent) and emitted.name == LEFT_OUT:
            row = replace(row, words="; ".join(filter(None, (row.words, f"left out: {event.detail}"))))
        if isinstance(event, AccessEvent):
            row = replace(
                row,
                data=(event.data,),
                recipient=event.recipient,
                basis=event.basis,
                version=event.version or row.version,
                rule_line=event.rule_line or row.rule_line,
                # A fetch's words are its own id.
                words=row.words or ("" if row.call == "access.fetch" else event.words),
            )
    return row


def _on_basis(row: Row, basis: Row | None) -> Row:
    """The row with what the request or authorisation said that it is about."""
    if basis is None:
        return row
    return replace(
        row,
        data=row.data or basis.data,
        recipient=row.recipient or basis.recipient,
        agreement=row.agreement or basis.agreement,
        purpose=row.purpose or basis.purpose,
        operation=row.operation or basis.operation,
    )


def _with_payload(row: Row, payload: Any) -> Row:
    """The row with what its payload says under names that the contracts share."""
    if payload is None:
        return row
    named = getattr(payload, "data", ())
    data = named if isinstance(named, tuple) else (named,) if isinstance(named, str) else ()
    used = tuple(Used(use.data, use.version, use.basis or b"") for use in getattr(payload, "used", ()))
    data = (*data, *own_data(row.org, payload), *(use.data for use in used))
    basis: bytes = getattr(payload, "basis", b"") or getattr(payload, "request", b"")
    if row.call in _BASES:
        basis = row.transaction
    agreement = row.transaction if row.call == "agreements.draft" else getattr(payload, "agreement", None) or b""
    operation = getattr(payload, "operation", None)
    return replace(
        row,
        data=tuple(dict.fromkeys(data)),
        recipient=getattr(payload, "recipient", "") or getattr(payload, "holder", ""),
        basis=basis,
        agreement=agreement,
        job=row.transaction if row.call == "training.propose" else getattr(payload, "job", b""),
        purpose=getattr(payload, "purpose", "") or "; ".join(getattr(payload, "purposes", ())),
        operation="" if operation is None else operation.name.lower(),
        version=getattr(payload, "version", 0),
        words=getattr(payload, "words", "") or getattr(payload, "why", "") or getattr(payload, "title", ""),
        used=used,
    )


def _ask(known: dict[bytes, Use], row: Row) -> None:
    (data, *_) = row.data
    use = Use(row.basis, data, row.org, row.purpose, row.operation, row.agreement, row.words, asked=row)
    if any(name in _DECIDED for name in row.events):
        use.decided = row
    known[row.basis] = use


def _authorize(known: dict[bytes, Use], row: Row) -> None:
    known[row.basis] = Use(row.basis, row.data[0], row.recipient, asked=row, decided=row)


def _of(known: dict[bytes, Use], row: Row) -> Use:
    """The use that a row is about; its beginning may lie before the audit's times."""
    return known.setdefault(row.basis, Use(row.basis, row.data[0] if row.data else "", row.recipient))


def _decide(known: dict[bytes, Use], row: Row) -> None:
    _of(known, row).decided = row


def _end(known: dict[bytes, Use], row: Row) -> None:
    _of(known, row).ended = row


def _unauthorize(known: dict[bytes, Use], row: Row) -> None:
    for use in known.values():
        given = use.asked is not None and use.asked.call == "sharing.authorize"
        if given and use.ended is None and (use.data, use.recipient) == (row.data[0], row.recipient):
            use.ended = row


def _withdraw(known: dict[bytes, Use], row: Row) -> None:
    for use in known.values():
        if use.agreement == row.agreement and use.ended is None:
            use.ended = row


def _fetch(known: dict[bytes, Use], row: Row) -> None:
    _of(known, row).fetched.append(row)


def _train(known: dict[bytes, Use], row: Row) -> None:
    for used in row.used:
        own = Use(b"", used.data, row.org, operation="train")
        use = known.setdefault(
            used.basis or used.data.encode(), Use(used.basis, used.data, row.org) if used.basis else own
        )
        use.trained.append(row)


def _stand(known: dict[bytes, Use], key: bytes, value: bytes | None) -> None:
    """How a request stands at the head, or the agreement that it names."""
    contract, _, rest = key.partition(b"/")
    kind, _, name = rest.partition(b"/")
    if value is None:
        return
    if (contract, kind) == (access.NAME.encode(), b"request"):
        use = known.get(bytes.fromhex(name.decode()))
        if use is not None and not use.now:
            use.now = decode(access.Request, value).state.name.lower()
    if (contract, kind) == (agreements.NAME.encode(), b"agreement"):
        withdrawn = decode(agreements.Agreement, value).withdrawn
        for use in known.values():
            if withdrawn is not None and use.agreement.hex() == name.decode():
                use.now = f"agreement withdrawn by {withdrawn.org}"
    if (contract, kind) == (sharing.NAME.encode(), b"grant"):
        grant = decode(sharing.Grant, value)
        for use in known.values():
            if (use.data, use.recipient) == tuple(name.decode().rsplit("/", 1)) and _is_authorization(use):
                in_force = grant.in_force and grant.transaction == use.basis
                use.now = "authorised" if in_force else "withdrawn"


def _is_authorization(use: Use) -> bool:
    return use.asked is not None and use.asked.call == "sharing.authorize"


_TOLD = {
    "access.request": _ask,
    "access.grant": _decide,
    "access.refuse": _decide,
    "access.revoke": _end,
    "access.cancel": _end,
    "access.fetch": _fetch,
    "agreements.withdraw": _withdraw,
    "sharing.authorize": _authorize,
    "sharing.unauthorize": _unauthorize,
    "training.approve": _train,
}


def references(found: list[Row]) -> Iterator[tuple[bytes, bytes]]:
    """(request, agreement) of every row; empty where there is none."""
    for row in found:
        yield (row.basis if row.call.startswith("access.") else b"", row.agreement)
