"""Seals a member's private files at rest: what lies on its disk opens only with its data key.

For working copies of private things (an update before its leaves are served, masks). Data sets have a vault of
their own. Implements the port `Sealer`.
"""

import secrets
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from node.edge.storage.errors import FileDamaged

_NONCE_BYTES = 12
_TAG_BYTES = 16
_VERSION = b"\x01"


class FileSealer:
    """AES-256-GCM under a key derived from the data key (HKDF-SHA256, RFC 5869), bound to the file's name.

    Seals with the newest data key and opens what any of them sealed.
    """

    def __init__(self, data_key: bytes, *earlier: bytes) -> None:
        """X25519 private keys, 32 bytes each."""
        self._ciphers = [_cipher(key) for key in (data_key, *earlier)]

    def renew(self, data_key: bytes) -> None:
        """Seal with this key from now on."""
        self._ciphers.insert(0, _cipher(data_key))

    def seal(self, name: str, content: bytes) -> bytes:
        """`content` encrypted: 29 bytes longer, different each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._ciphers[0].encrypt(nonce, content, _VERSION + name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """What was sealed under this name. Raises `FileDamaged`."""
        if len(sealed) < 1 + _NONCE_BYTES + _TAG_BYTES or sealed[:1] != _VERSION:
            raise FileDamaged(f"{name} is not a sealed file: delete it, it will be made again")
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        for cipher in self._ciphers:
            with suppress(InvalidTag):
                return cipher.decrypt(nonce, rest, _VERSION + name.encode())
        raise FileDamaged(f"{name} was changed, renamed, or sealed with another data key")


def _cipher(data_key: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"lepton/files at rest").derive(data_key))
