"""Makes an organisation: its four keys, its TLS certificate, and the card that it signs; reads and writes card files.

A card file is JSON for people around the card's exact bytes; the readable part is compared with the bytes on reading,
so that nobody approves one thing and loads another. Genesis files are `genesis`'s.
"""

import base64
import binascii
import datetime
import hashlib
import json
import re
import secrets
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from node.base.codec import DecodeError, decode, encode
from node.base.crypto import Ed25519Signer, verify
from node.base.ports import Signer
from node.base.types import TLS_DOMAIN, Card, CardBody, OrgId, PublicKey, Signature, card_signing_bytes, is_org_id
from node.edge.storage.errors import FileDamaged, NotGenuine
from node.edge.storage.files import PUBLIC_MODE, make_private_folder, read_bounded, write_atomically
from node.edge.storage.keyring import HeldKey, held_key, open_key
from node.edge.storage.keys import KeyName, TlsSecret, generations, key_path, write_key

T = TypeVar("T")

ADDRESSES_MAX = 16
CERTIFICATE_BYTES_MAX = 4 << 10

_CARD_FORMAT = "lepton card 1"
_CARD_FILE_BYTES_MAX = 64 << 10
_TLS_NAME = re.compile(r"k[0-9a-f]{32}\." + re.escape(TLS_DOMAIN))
_NOT_BEFORE = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
"""Fixed and long ago: a peer's slow clock must not refuse a fresh key. Terms are the ledger's to judge."""
_NOT_AFTER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
"""gRPC's core fails expired certificates with no hook; terms are the ledger's to judge (RFC 5280 4.1.2.5)."""


def create_keys(directory: Path, org: OrgId, addresses: tuple[str, ...], passphrase: str, tls_until_ms: int) -> Card:
    """Make the four keys and write them encrypted under `directory`/keys; the card that names them.

    Raises `FileExistsError` rather than overwrite a key, `ValueError` for a bad name or address, `OSError`.
    """
    if not is_org_id(org):
        raise ValueError(
            f"{org!r} is no organisation's name: 1 to 63 of a-z, 0-9, '-' and '_', first a letter or digit"
        )
    check_addresses(addresses)
    for name in KeyName:
        if key_path(directory, name).exists():
            raise FileExistsError(f"{key_path(directory, name)} exists already: choose another folder")
    make_private_folder(directory)
    keys = {name: create_key(directory, name, org, passphrase, generation=1) for name in KeyName}
    body = CardBody(
        org=org,
        sequence=1,
        organisation_key=PublicKey(keys[KeyName.ORGANISATION].public),
        node_key=PublicKey(keys[KeyName.NODE].public),
        data_key=PublicKey(keys[KeyName.DATA].public),
        tls_certificate=keys[KeyName.TLS].public,
        tls_until_ms=tls_until_ms,
        addresses=addresses,
    )
    return sign_card(Ed25519Signer(keys[KeyName.ORGANISATION].secret), body)


def create_key(directory: Path, name: KeyName, org: OrgId, passphrase: str, *, generation: int) -> HeldKey:
    """Make one key and write it encrypted. Raises `FileExistsError`, `OSError`, `NoPassphrase`."""
    match name:
        case KeyName.ORGANISATION | KeyName.NODE:
            secret = secrets.token_bytes(32)
        case KeyName.DATA:
            secret = X25519PrivateKey.generate().private_bytes_raw()
        case KeyName.TLS:
            secret = encode(make_tls_secret(org))
    write_key(directory, name, secret, passphrase, generation)
    return held_key(name, generation, secret)


def create_next_key(directory: Path, name: KeyName, org: OrgId, passphrase: str, in_force: bytes) -> HeldKey:
    """The key that shall replace the one `in_force` (public key, or certificate): a new one, on disk.

    A key that an interrupted renewal left behind is taken up instead: newer than the one in force, and in no card yet.
    Raises as `create_key` and `open_key` do.
    """
    numbers = generations(directory, name)
    newest = open_key(directory, name, passphrase, numbers[-1]) if numbers else None
    if newest is not None and newest.public != in_force:
        earlier = (open_key(directory, name, passphrase, number) for number in reversed(numbers[:-1]))
        if any(key.public == in_force for key in earlier):
            return newest
    return create_key(directory, name, org, passphrase, generation=(numbers or [0])[-1] + 1)


def sign_card(organisation: Signer, body: CardBody) -> Card:
    """The card with the organisation key's signature."""
    return Card(body=body, signature=Signature(organisation.sign(card_signing_bytes(body))))


def check_addresses(addresses: tuple[str, ...]) -> None:
    """Raises `ValueError` unless there are at most `ADDRESSES_MAX`, each `host:port`."""
    if len(addresses) > ADDRESSES_MAX:
        raise ValueError(f"{len(addresses)} addresses: a card holds {ADDRESSES_MAX} at most")
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or len(address) > 262 or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise ValueError(f"{address!r} is no address: write host:port, for example hospital.example:7400")


def check_card(card: Card) -> None:
    """Raises `NotGenuine` unless the signature holds and the certificate is one that members can accept."""
    body = card.body
    if not verify(body.organisation_key, card_signing_bytes(body), card.signature):
        raise NotGenuine(f"the card of {body.org} is not signed by its organisation key: ask for it again")
    try:
        check_addresses(body.addresses)
        check_certificate(body.tls_certificate)
    except ValueError as error:
        raise NotGenuine(f"the card of {body.org} cannot be used: {error}") from error


def check_certificate(der: bytes) -> None:
    """Raises `ValueError` unless it is a self-signed P-256 certificate with one name below `TLS_DOMAIN`."""
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise ValueError(f"its certificate is larger than {CERTIFICATE_BYTES_MAX} bytes")
    certificate = x509.load_der_x509_certificate(der)
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("its certificate has another key than P-256, which is all that gRPC accepts from everybody")
    try:
        certificate.verify_directly_issued_by(certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except InvalidSignature as error:
        raise ValueError("its certificate is not signed by itself") from error
    except (TypeError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise ValueError(f"its certificate is of another form: {error}") from error
    found = names.get_values_for_type(x509.DNSName)
    if len(found) != 1 or not _TLS_NAME.fullmatch(found[0]):
        raise ValueError(f"its certificate is not for one name below {TLS_DOMAIN}")


def make_tls_secret(org: OrgId) -> TlsSecret:
    """A P-256 key and its self-signed certificate.

    The subject is unique to the key: two roots with one name break gRPC's verification while a key is renewed. So is
    the DNS name, by which a dialler asks for this one.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, org), x509.NameAttribute(NameOID.USER_ID, secrets.token_hex(16))]
    )
    name = x509.DNSName(f"k{secrets.token_hex(16)}.{TLS_DOMAIN}")
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return TlsSecret(key_pem=pem, certificate=certificate.public_bytes(serialization.Encoding.DER))


def write_card(path: Path, card: Card) -> None:
    """Write the card for handing out. Raises `OSError`."""
    content = {**readable_card(card), "card": base64.b64encode(encode(card)).decode()}
    write_atomically(path, to_json(content), mode=PUBLIC_MODE)


def read_card(path: Path) -> Card:
    """The card in the file, checked. Raises `FileMissing`, `FileDamaged`, `NotGenuine`."""
    content = from_json(path, _CARD_FILE_BYTES_MAX)
    card = decode_part(path, content, "card", Card)
    if content != readable_card(card):
        raise NotGenuine(f"the readable part of {path} is not what was signed: ask for the card again")
    check_card(card)
    return card


def readable_card(card: Card) -> dict[str, Any]:
    """What a person sees of a card. Keys and fingerprints in hexadecimal."""
    body = card.body
    return {
        "format": _CARD_FORMAT,
        "org": body.org,
        "sequence": body.sequence,
        "organisation_key": body.organisation_key.hex(),
        "node_key": body.node_key.hex(),
        "data_key": body.data_key.hex(),
        "certificate_sha256": hashlib.sha256(body.tls_certificate).hexdigest(),
        "certificate_until": _iso(body.tls_until_ms),
        "addresses": list(body.addresses),
    }


def _iso(time_ms: int) -> str:
    """A block time as a person reads it, in UTC; as the number where no calendar has it."""
    try:
        return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError):
        return str(time_ms)


def to_json(content: dict[str, Any]) -> bytes:
    """Readable JSON, with a line end."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def from_json(path: Path, bytes_max: int) -> dict[str, Any]:
    """The object in a JSON file. Raises `FileMissing`, `FileDamaged`."""
    raw = read_bounded(path, bytes_max)
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise FileDamaged(f"{path} is not JSON: ask for the file again") from error
    if not isinstance(content, dict):
        raise FileDamaged(f"{path} is not of this kind: ask for the file again")
    return content


def decode_part(path: Path, content: dict[str, Any], name: str, kind: type[T]) -> T:
    """Take the base64 field `name` out of `content` and decode it. Raises `FileDamaged`."""
    text = content.pop(name, None)
    if not isinstance(text, str):
        raise FileDamaged(f"{path} has no {name!r}: it is another kind of file")
    try:
        return decode(kind, base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError, ValueError) as error:
        raise FileDamaged(f"{path} is damaged in {name!r}: ask for the file again") from error
