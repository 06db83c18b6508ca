"""Makes this organisation's next card: with a new key, or with new addresses. For commands, which hold the passphrase.

A new key is on disk, encrypted, before any card names it. Whatever is interrupted is taken up by the same command
again: the key that was made is used, and the card gets the number after the one on the ledger.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from node.app.settings import SettingsError
from node.base.crypto import Ed25519Signer
from node.base.types import Card, CardBody, PublicKey, Signature, endorsement_signing_bytes
from node.edge.storage import (
    KeyName,
    check_addresses,
    create_next_key,
    load_organisation_key,
    sign_card,
)

DAY_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class NextCard:
    """A signed card that the ledger does not have yet."""

    card: Card
    endorsement: Signature | None
    """Of the organisation key on the ledger, when the card brings another one."""


def rotate_key(root: Path, name: KeyName, card: Card, passphrase: str, *, tls_days: int) -> NextCard:
    """The card after `card` (the ledger's) with a new key of this kind. Raises `FileError`, `OSError`.

    `tls_days` is the term of a new TLS certificate from now on.
    """
    body = card.body
    # Opened first: who cannot sign the card makes no key.
    organisation = load_organisation_key(root, passphrase, body.organisation_key)
    key = create_next_key(root, name, body.org, passphrase, _named(body, name))
    fresh = replace(body, sequence=body.sequence + 1)
    match name:
        case KeyName.NODE:
            return NextCard(sign_card(organisation, replace(fresh, node_key=PublicKey(key.public))), None)
        case KeyName.DATA:
            return NextCard(sign_card(organisation, replace(fresh, data_key=PublicKey(key.public))), None)
        case KeyName.TLS:
            until_ms = time.time_ns() // 1_000_000 + tls_days * DAY_MS
            fresh = replace(fresh, tls_certificate=key.public, tls_until_ms=until_ms)
            return NextCard(sign_card(organisation, fresh), None)
        case KeyName.ORGANISATION:
            fresh = replace(fresh, organisation_key=PublicKey(key.public))
            endorsement = Signature(organisation.sign(endorsement_signing_bytes(fresh)))
            return NextCard(sign_card(Ed25519Signer(key.secret), fresh), endorsement)
        case _:
            assert_never(name)


def move(root: Path, card: Card, passphrase: str, addresses: Sequence[str]) -> NextCard:
    """The card after `card` (the ledger's) with these addresses. Raises `SettingsError`, `FileError`."""
    try:
        check_addresses(tuple(addresses))
    except ValueError as error:
        raise SettingsError(str(error)) from error
    organisation = load_organisation_key(root, passphrase, card.body.organisation_key)
    body = replace(card.body, sequence=card.body.sequence + 1, addresses=tuple(addresses))
    return NextCard(sign_card(organisation, body), None)


def _named(body: CardBody, name: KeyName) -> bytes:
    """What the card says of the key."""
    match name:
        case KeyName.NODE:
            return body.node_key
        case KeyName.DATA:
            return body.data_key
        case KeyName.TLS:
            return body.tls_certificate
        case KeyName.ORGANISATION:
            return body.organisation_key
        case _:
            assert_never(name)
