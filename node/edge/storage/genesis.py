"""The genesis file: passed from founder to founder until all have signed it.

JSON for people around the exact bytes; the readable part is compared with the bytes on reading. What makes a genesis
valid as a ledger's start (members, parameters) is the ledger's word; here it is that every founder signed it.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.base.codec import encode
from node.base.crypto import verify
from node.base.ports import Signer
from node.base.types import Card, Genesis, GenesisBody, OrgId, Parameters, Signature, chain_id, genesis_signing_bytes
from node.edge.storage.errors import FileDamaged, NotGenuine
from node.edge.storage.files import PUBLIC_MODE, write_atomically
from node.edge.storage.identity import check_card, decode_part, from_json, readable_card, to_json

_GENESIS_FORMAT = "lepton genesis 1"
_GENESIS_FILE_BYTES_MAX = 8 << 20


@dataclass(frozen=True)
class GenesisDraft:
    """A genesis that some of its founders have signed."""

    body: GenesisBody
    signatures: Mapping[OrgId, Signature]
    """Only signatures that hold."""

    @property
    def missing(self) -> tuple[OrgId, ...]:
        """The founders that have not signed yet."""
        return tuple(card.body.org for card in self.body.cards if card.body.org not in self.signatures)

    def complete(self) -> Genesis:
        """The genesis. Raises `NotGenuine` while a signature is missing."""
        if self.missing:
            raise NotGenuine(f"the genesis is not signed by {', '.join(self.missing)}: pass the file on to them")
        return Genesis(
            body=self.body,
            signatures=tuple(self.signatures[card.body.org] for card in self.body.cards),
        )


def draft_genesis(name: str, time_ms: int, cards: Iterable[Card], parameters: Parameters) -> GenesisBody:
    """What founders will sign, its cards in order. Raises `NotGenuine` for a bad or repeated card."""
    ordered = sorted(cards, key=lambda card: card.body.org)
    orgs = [card.body.org for card in ordered]
    if not orgs:
        raise NotGenuine("a network needs at least one card")
    if len(set(orgs)) != len(orgs):
        raise NotGenuine("two cards have the same organisation: keep the newer one")
    for card in ordered:
        check_card(card)
    return GenesisBody(name=name, time_ms=time_ms, cards=tuple(ordered), parameters=parameters)


def write_genesis_draft(path: Path, body: GenesisBody, signatures: Mapping[OrgId, Signature] | None = None) -> None:
    """Write the body with the signatures so far. Raises `OSError`."""
    content = {
        **_readable(body),
        "signatures": {org: base64.b64encode(given).decode() for org, given in sorted((signatures or {}).items())},
        "genesis": base64.b64encode(encode(body)).decode(),
    }
    write_atomically(path, to_json(content), mode=PUBLIC_MODE)


def sign_genesis(path: Path, org: OrgId, organisation: Signer) -> GenesisDraft:
    """Add the organisation's signature to the file. Raises as `read_genesis_draft` does."""
    draft = read_genesis_draft(path)
    keys = {card.body.org: card.body.organisation_key for card in draft.body.cards}
    if keys.get(org) != organisation.public_key:
        raise NotGenuine(f"{path} does not name {org} with this organisation key: send your card to who drafted it")
    signature = Signature(organisation.sign(genesis_signing_bytes(draft.body)))
    signed = GenesisDraft(draft.body, {**draft.signatures, org: signature})
    write_genesis_draft(path, signed.body, signed.signatures)
    return signed


def read_genesis_draft(path: Path) -> GenesisDraft:
    """The draft with its signatures checked. Raises `FileMissing`, `FileDamaged`, `NotGenuine`."""
    content = from_json(path, _GENESIS_FILE_BYTES_MAX)
    body = decode_part(path, content, "genesis", GenesisBody)
    given = content.pop("signatures", None)
    if content != _readable(body):
        raise NotGenuine(f"the readable part of {path} is not what was signed: ask for the file again")
    if draft_genesis(body.name, body.time_ms, body.cards, body.parameters) != body:
        raise NotGenuine(f"the cards in {path} are not in order: ask for the file again")
    return GenesisDraft(body, _checked_signatures(path, body, given))


def read_genesis(path: Path) -> Genesis:
    """The genesis that all its founders signed. Raises `FileMissing`, `FileDamaged`, `NotGenuine`."""
    return read_genesis_draft(path).complete()


def _checked_signatures(path: Path, body: GenesisBody, given: object) -> dict[OrgId, Signature]:
    if not isinstance(given, dict):
        raise FileDamaged(f"{path} has no 'signatures': it is another kind of file")
    keys = {card.body.org: card.body.organisation_key for card in body.cards}
    message = genesis_signing_bytes(body)
    signatures: dict[OrgId, Signature] = {}
    for org, text in given.items():
        key = keys.get(org)
        if key is None or not isinstance(text, str):
            raise NotGenuine(f"{path} is signed by {org!r}, which is no founder: ask for the file again")
        try:
            signature = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise FileDamaged(f"{path} is damaged in the signature of {org}: let it sign again") from error
        if not verify(key, message, signature):
            raise NotGenuine(f"the signature of {org} in {path} does not hold: let it sign again")
        signatures[org] = Signature(signature)
    return signatures


def _readable(body: GenesisBody) -> dict[str, Any]:
    return {
        "format": _GENESIS_FORMAT,
        "name": body.name,
        "chain": chain_id(body).hex(),
        "time_ms": body.time_ms,
        "parameters": {name: getattr(body.parameters, name) for name in Parameters.__dataclass_fields__},
        "members": [readable_card(card) for card in body.cards],
    }
