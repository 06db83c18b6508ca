"""Remembers which signatures were found good, so that each is verified once."""

from collections.abc import Iterable

from node.base.crypto import signature_mark
from node.base.ports import Keyring, Signer, Verifier
from node.base.types import PublicKey

REMEMBERED_MAX = 8_192
"""All that eight organisations may have waiting; of more, some are verified twice. 1.3 MB, soon filled."""


class VerifiedSignatures:
    """A `Verifier` before another one. Only good signatures are remembered; of too many, the oldest go."""

    def __init__(self, verify: Verifier) -> None:
        self._verify = verify
        self._good: dict[bytes, None] = {}

    def __call__(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature holds."""
        # With fixed sizes, no byte of one part can pass for one of another: checked before anything is looked up.
        if len(public_key) != 32 or len(signature) != 64:
            return False
        mark = signature_mark(public_key, message, signature)
        if mark in self._good:
            return True
        if not self._verify(public_key, message, signature):
            return False
        self._remember(mark)
        return True

    def signed_here(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        """This member has made the signature with the private half of the key."""
        self._remember(signature_mark(public_key, message, signature))

    def found_good(self, marks: Iterable[bytes]) -> None:
        """The marks of signatures that this member's own helper has verified."""
        for mark in marks:
            self._remember(mark)

    def _remember(self, mark: bytes) -> None:
        if len(self._good) >= REMEMBERED_MAX and mark not in self._good:
            del self._good[next(iter(self._good))]
        self._good[mark] = None


class OwnSignatures:
    """A `Keyring` before another one: what its signers sign need not be verified here."""

    def __init__(self, keyring: Keyring, verified: VerifiedSignatures) -> None:
        self._keyring = keyring
        self._verified = verified

    def signer(self, public_key: PublicKey) -> Signer | None:
        """What signs as this public key."""
        signer = self._keyring.signer(public_key)
        return None if signer is None else _OwnSigner(signer, self._verified)


class _OwnSigner:
    def __init__(self, signer: Signer, verified: VerifiedSignatures) -> None:
        self._signer = signer
        self._verified = verified

    @property
    def public_key(self) -> bytes:
        return self._signer.public_key

    def sign(self, message: bytes) -> bytes:
        signature = self._signer.sign(message)
        self._verified.signed_here(self._signer.public_key, message, signature)
        return signature
