"""HPKE (RFC 9180), base mode: X25519, HKDF-SHA256, AES-256-GCM.

`cryptography`'s HPKE takes no associated data; whatever a sealed text is bound to goes into `info`.
"""

from collections.abc import Iterable
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class SealError(ValueError):
    """A sealed text that does not open: another key, another context, or changed bytes."""


def seal(public_key: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Encrypt to the X25519 public key (32 bytes), bound to the context `info`."""
    return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public_key), info)


def open_sealed(private_key: bytes, sealed: bytes, info: bytes) -> bytes:
    """Decrypt with the X25519 private key (32 bytes). Raises `SealError`."""
    try:
        return _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private_key), info)
    except (InvalidTag, ValueError) as error:
        raise SealError("the sealed text does not open with this key in this context") from error


def open_sealed_with_any(private_keys: Iterable[bytes], sealed: bytes, info: bytes) -> bytes:
    """Decrypt with whichever of the keys opens it, in this order. Raises `SealError`."""
    for key in private_keys:
        with suppress(SealError):
            return open_sealed(key, sealed, info)
    raise SealError("the sealed text opens with none of this member's data keys")
