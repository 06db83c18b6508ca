"""The proof file: JSON for people around the proof's exact bytes; the readable part is compared with the bytes.

What a proof shows and when it holds is the ledger's word (`node.ledger.offline`).
"""

import base64
import json
from pathlib import Path
from typing import Any, cast

from node.base.codec import decode, encode
from node.base.errors import ExplainedError
from node.base.types import header_digest
from node.ledger.offline import Proof, StateKeyProof

FORMAT = "lepton proof 1"
FILE_BYTES_MAX = 32 << 20
_PROOF = cast("type[Proof]", Proof)


class ProofFileError(ExplainedError):
    """The file is no proof; the text says why."""


def proof_text(proof: Proof) -> str:
    """The file's content."""
    return json.dumps({**readable(proof), "proof": base64.b64encode(encode(proof, _PROOF)).decode()}, indent=2) + "\n"


def read_shown(path: Path) -> dict[str, Any]:
    """The JSON of a proof's or an audit's file, not verified. Raises `ProofFileError`."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ProofFileError(f"cannot read {path} ({error.strerror}): check that it exists and may be read") from error
    if len(content) > FILE_BYTES_MAX:
        raise ProofFileError(f"{path} is larger than {FILE_BYTES_MAX} bytes: it is no proof")
    try:
        shown = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProofFileError(f"{path} is not JSON: it is no proof, or was cut short") from error
    if not isinstance(shown, dict):
        raise ProofFileError(f"{path} is not a file of the form {FORMAT!r}")
    return shown


def proof_in(path: Path, shown: dict[str, Any]) -> Proof:
    """The proof that the file's JSON holds, not verified. Raises `ProofFileError`."""
    if shown.get("format") != FORMAT or not isinstance(shown.get("proof"), str):
        raise ProofFileError(f"{path} is not a file of the form {FORMAT!r}")
    try:
        proof = decode(_PROOF, base64.b64decode(shown.pop("proof"), validate=True))
    except ValueError as error:
        # Also for text that is not base64, or not even ASCII.
        raise ProofFileError(f"the proof in {path} is damaged: {error}") from error
    if json.dumps(shown, sort_keys=True) != json.dumps(readable(proof), sort_keys=True):
        raise ProofFileError(f"the readable part of {path} is not what the proof itself says: do not trust this file")
    return proof


def read_proof(path: Path) -> Proof:
    """The proof in the file, not verified. Raises `ProofFileError`."""
    return proof_in(path, read_shown(path))


def readable(proof: Proof) -> dict[str, Any]:
    """What the proof claims, for people and programs."""
    certified = proof.path.target
    header = certified.header
    shown = {
        "format": FORMAT,
        "kind": "state" if isinstance(proof, StateKeyProof) else "transaction",
        "chain": header.chain.hex(),
        "height": header.height,
        "time_ms": header.time_ms,
        "block": header_digest(header).hex(),
        "signed_by": [signed.org for signed in certified.certificate.signatures],
        "member_changes": [step.certified.header.height + 1 for step in proof.path.steps],
    }
    if isinstance(proof, StateKeyProof):
        value = proof.value
        return {**shown, "key": shown_bytes(proof.key), "value": None if value is None else value.hex()}
    entry = proof.entry
    body, receipt = entry.transaction.body, entry.receipt
    return {
        **shown,
        "transaction": entry.transaction.id.hex(),
        "org": body.org,
        "contract": body.contract,
        "method": body.method,
        "payload": body.payload.hex(),
        "accepted": receipt.accepted,
        "code": receipt.code,
        "reason": receipt.reason,
        "events": [f"{event.contract}.{event.name}" for event in receipt.events],
    }


def shown_bytes(key: bytes) -> str:
    """A key for people: text where it is text, else hexadecimal after `0x`."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return f"0x{key.hex()}"
    return text if text.isprintable() and not text.startswith("0x") else f"0x{key.hex()}"


def key_bytes(text: str) -> bytes:
    """The reverse of `shown_bytes`. Raises `ProofFileError`."""
    if not text.startswith("0x"):
        return text.encode()
    try:
        return bytes.fromhex(text[2:])
    except ValueError as error:
        raise ProofFileError(f"{text!r} is no key: after 0x come pairs of hexadecimal digits") from error
