"""Remembers which signatures were found good, so that each is verified once."""

from hashlib import blake2b

from node.base.ports import Verifier

REMEMBERED_MAX = 50_000


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
        mark = blake2b(public_key + signature + message, digest_size=32).digest()
        if mark in self._good:
            return True
        if not self._verify(public_key, message, signature):
            return False
        if len(self._good) >= REMEMBERED_MAX:
            del self._good[next(iter(self._good))]
        self._good[mark] = None
        return True
