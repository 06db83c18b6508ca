"""Ed25519 (RFC 8032)."""

from functools import lru_cache
from hashlib import blake2b

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEYS_KEPT_MAX = 1_024


class Ed25519Signer:
    """Signs with one private key; implements the port `Signer`."""

    def __init__(self, seed: bytes) -> None:
        """`seed` is the private key's 32 bytes. Raises `ValueError` on another length."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(message)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is the key's over the message. False for malformed keys and signatures, too."""
    try:
        _public_key(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signature_mark(public_key: bytes, message: bytes, signature: bytes) -> bytes:
    """32 bytes that stand for these three, of which the first has 32 bytes and the last 64, and for no others."""
    return blake2b(public_key + signature + message, digest_size=32).digest()


@lru_cache(maxsize=KEYS_KEPT_MAX)
def _public_key(raw: bytes) -> Ed25519PublicKey:
    """Members sign again and again. Raises `ValueError` on another length."""
    return Ed25519PublicKey.from_public_bytes(raw)
