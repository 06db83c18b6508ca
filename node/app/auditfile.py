"""The audit's file: JSON for people around the audit's exact bytes; the readable part is compared with the bytes.

What an audit shows and when it holds is the ledger's word (`node.ledger.audit`).
"""

import base64
import json
from pathlib import Path
from typing import Any

from node.app.prooffile import FILE_BYTES_MAX, ProofFileError
from node.base.codec import decode, encode
from node.base.types import header_digest
from node.ledger.audit import UNPROVEN, Audit, Row, Use, claims, rows, uses

FORMAT = "lepton audit 1"


def audit_text(audit: Audit) -> str:
    """The file's content. Raises `ProofFileError` where it would be too large to be read again."""
    text = json.dumps({**readable_audit(audit), "proof": base64.b64encode(encode(audit)).decode()}, indent=2) + "\n"
    if len(text) > FILE_BYTES_MAX:
        raise ProofFileError(
            f"the audit has {len(text)} bytes, {FILE_BYTES_MAX} at most: narrow it with --from and --to"
        )
    return text


def audit_in(path: Path, shown: dict[str, Any]) -> Audit:
    """The audit that the file's JSON holds, not verified: only then can it be read. Raises `ProofFileError`."""
    if shown.get("format") != FORMAT or not isinstance(shown.get("proof"), str):
        raise ProofFileError(f"{path} is not a file of the form {FORMAT!r}")
    try:
        return decode(Audit, base64.b64decode(shown["proof"], validate=True))
    except ValueError as error:
        # Also for text that is not base64, or not even ASCII.
        raise ProofFileError(f"the proof in {path} is damaged: {error}") from error


def check_readable(path: Path, shown: dict[str, Any], audit: Audit) -> None:
    """Hold the readable part of the file's JSON against its audit, which was verified. Raises `ProofFileError`."""
    claimed = {name: value for name, value in shown.items() if name != "proof"}
    if json.dumps(claimed, sort_keys=True) != json.dumps(readable_audit(audit), sort_keys=True):
        raise ProofFileError(f"the readable part of {path} is not what the audit itself says: do not trust this file")


def readable_audit(audit: Audit) -> dict[str, Any]:
    """What an audit says that was verified, or gathered here; in another one anything may stand."""
    header = audit.head.header
    found = rows(audit)
    return {
        "format": FORMAT,
        "chain": header.chain.hex(),
        "data": audit.subject.data,
        "org": audit.subject.org,
        "from_ms": audit.from_ms,
        "until_ms": audit.until_ms,
        "lowest_block": audit.base,
        "head": {"height": header.height, "time_ms": header.time_ms, "block": header_digest(header).hex()},
        "access": [_use(use) for use in uses(audit, found)],
        "transactions": [_row(row) for row in found],
        "whole": [
            {"what": claim.what, "counted": claim.counted, "shown": claim.shown, "whole": claim.is_whole}
            for claim in claims(audit, found)
        ],
        "not_proven": list(not_proven(audit)),
    }


def not_proven(audit: Audit) -> tuple[str, ...]:
    """What the audit cannot show, in sentences."""
    lacks = []
    if audit.base > 1:
        lacks.append(f"The member that exported this holds no block below height {audit.base}: all of it is missing.")
    if audit.is_windowed:
        lacks.append("Only the times that were asked for are here; nothing is said of what was before or after them.")
    return (*lacks, *UNPROVEN)


def _row(row: Row) -> dict[str, Any]:
    return {
        "height": row.height,
        "time_ms": row.time_ms,
        "block": row.block.hex(),
        "transaction": row.transaction.hex(),
        "org": row.org,
        "call": row.call,
        "accepted": row.accepted,
        "code": row.code,
        "reason": row.reason,
        "events": list(row.events),
        "data": list(row.data),
        "recipient": row.recipient,
        "basis": row.basis.hex(),
        "agreement": row.agreement.hex(),
        "job": row.job.hex(),
        "purpose": row.purpose,
        "operation": row.operation,
        "version": row.version,
        "rule_line": row.rule_line,
        "words": row.words,
        "used": [{"data": use.data, "version": use.version, "basis": use.basis.hex()} for use in row.used],
    }


def _use(use: Use) -> dict[str, Any]:
    return {
        "basis": use.basis.hex(),
        "data": use.data,
        "recipient": use.recipient,
        "purpose": use.purpose,
        "operation": use.operation,
        "agreement": use.agreement.hex(),
        "words": use.words,
        "asked": _place(use.asked),
        "decided": _place(use.decided),
        "outcome": "" if use.decided is None else _outcome(use.decided),
        "ended": _place(use.ended),
        "at_head": use.now,
        "fetched": [_place(row) for row in use.fetched],
        "trained": [{**(_place(row) or {}), "job": row.job.hex()} for row in use.trained],
    }


def _outcome(row: Row) -> str:
    by = f"line {row.rule_line} of {row.data[0].partition('/')[0]}'s rules" if row.rule_line else row.org
    for name in ("granted", "refused", "authorized"):
        if name in row.events:
            return f"{name} by {by}"
    return ""


def _place(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"height": row.height, "time_ms": row.time_ms, "transaction": row.transaction.hex()}
