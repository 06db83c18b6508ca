"""Signatures that cost nothing, for tests and simulations: a keyed hash in the place of Ed25519.

Whoever knows the public key could forge one; in a simulation nobody does that by accident, because messages differ.
"""

from collections.abc import Iterable
from hashlib import blake2b

from node.base.ports import Signer
from node.base.types import PublicKey


class HashSigner:
    """Implements the port `Signer` with BLAKE2b keyed by the public key."""

    def __init__(self, seed: bytes) -> None:
        self._public = blake2b(seed, digest_size=32).digest()

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return blake2b(message, digest_size=64, key=self._public).digest()


class HeldSigners:
    """Implements the port `Keyring` with the signers that it is given."""

    def __init__(self, signers: Iterable[Signer]) -> None:
        self._signers = {signer.public_key: signer for signer in signers}

    def signer(self, public_key: PublicKey) -> Signer | None:
        """The one of this public key."""
        return self._signers.get(public_key)


def verify_hash(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """The `Verifier` of `HashSigner`."""
    return blake2b(message, digest_size=64, key=public_key).digest() == signature
