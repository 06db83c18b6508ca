"""What a member holds of its private keys in memory: every generation that may still be needed.

The ledger names the key in force at each height by its public half; whoever signs, dials or opens asks here for the
private one. So a key can be renewed while the daemon runs: the new one is taken in before the ledger names it, and the
old one stays for what was sealed to it. Implements the port `Keyring`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from node.base.codec import DecodeError, decode
from node.base.crypto import Ed25519Signer
from node.base.ports import Signer
from node.base.types import CardBody, PublicKey
from node.edge.storage.errors import FileDamaged, FileMissing
from node.edge.storage.keys import KEYS_FOLDER, KeyName, TlsSecret, generations, key_path, read_key

GENERATIONS_MAX = 3
"""Node and TLS keys are loaded from the newest back to here: the next one, the one in force, the one before it."""
DATA_GENERATIONS_MAX = 256
"""Data keys open what was sealed to them, however long ago."""
_LOADED = {KeyName.NODE: GENERATIONS_MAX, KeyName.TLS: GENERATIONS_MAX, KeyName.DATA: DATA_GENERATIONS_MAX}


@dataclass(frozen=True, slots=True)
class HeldKey:
    """One private key with what the world knows of it."""

    name: KeyName
    generation: int
    public: bytes
    """The public key, 32 bytes; of a TLS key the certificate (DER)."""
    secret: bytes
    """32 bytes; of a TLS key the byte form of its `TlsSecret`."""


def held_key(name: KeyName, generation: int, secret: bytes) -> HeldKey:
    """The key with its public half. Raises `ValueError`, `DecodeError` for bytes that are no such key."""
    match name:
        case KeyName.ORGANISATION | KeyName.NODE:
            public = Ed25519Signer(secret).public_key
        case KeyName.DATA:
            public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        case KeyName.TLS:
            public = decode(TlsSecret, secret).certificate
    return HeldKey(name, generation, public, secret)


def open_key(directory: Path, name: KeyName, passphrase: str, generation: int = 1) -> HeldKey:
    """One key file. Raises as `read_key` does."""
    secret = read_key(directory, name, passphrase, generation)
    try:
        return held_key(name, generation, secret)
    except (DecodeError, ValueError) as error:
        path = key_path(directory, name, generation)
        raise FileDamaged(f"{path} has an unknown form: restore it from a backup") from error


class MemberKeys:
    """The daemon's keys: node, TLS and data, never the organisation's."""

    def __init__(self, held: Iterable[HeldKey]) -> None:
        self._held: list[HeldKey] = []
        self._signers: dict[bytes, Ed25519Signer] = {}
        self.take(held)

    @property
    def held(self) -> tuple[HeldKey, ...]:
        """All, newest generation first."""
        return tuple(self._held)

    @property
    def tls(self) -> tuple[TlsSecret, ...]:
        """TLS keys with their certificates, newest first."""
        return tuple(decode(TlsSecret, key.secret) for key in self._of(KeyName.TLS))

    @property
    def data(self) -> tuple[bytes, ...]:
        """X25519 private keys, newest first; 32 bytes each."""
        return tuple(key.secret for key in self._of(KeyName.DATA))

    def signer(self, public_key: PublicKey) -> Signer | None:
        """Signs as this node key; None where it is not held."""
        return self._signers.get(public_key)

    def take(self, more: Iterable[HeldKey]) -> None:
        """Hold these too."""
        known = {(key.name, key.public) for key in self._held}
        self._held.extend(key for key in more if (key.name, key.public) not in known)
        self._held.sort(key=lambda key: -key.generation)
        self._signers = {key.public: Ed25519Signer(key.secret) for key in self._of(KeyName.NODE)}

    def lacking(self, body: CardBody) -> list[str]:
        """Which keys that the card names are not held, by the names that operators use."""
        named = ((KeyName.NODE, body.node_key), (KeyName.TLS, body.tls_certificate), (KeyName.DATA, body.data_key))
        held = {(key.name, key.public) for key in self._held}
        return [name.name.lower() for name, public in named if (name, public) not in held]

    def _of(self, name: KeyName) -> list[HeldKey]:
        return [key for key in self._held if key.name is name]


def load_member_keys(directory: Path, passphrase: str, known: Iterable[HeldKey] = ()) -> list[HeldKey]:
    """What the daemon needs of a member's folder, without what is `known`. Raises as `read_key` does."""
    have = {(key.name, key.generation) for key in known}
    wanted: list[tuple[KeyName, int]] = []
    for name, count in _LOADED.items():
        numbers = generations(directory, name)
        if not numbers:
            raise FileMissing(
                f"there is no {key_path(directory, name)}: restore the folder {KEYS_FOLDER} from a backup"
            )
        wanted.extend((name, number) for number in numbers[-count:] if (name, number) not in have)
    return [open_key(directory, name, passphrase, number) for name, number in wanted]


def load_data_keys(directory: Path, passphrase: str) -> list[HeldKey]:
    """All generations of the data key, newest first; for commands that open the vault. Raises as `read_key` does."""
    numbers = generations(directory, KeyName.DATA)
    if not numbers:
        raise FileMissing(f"there is no {key_path(directory, KeyName.DATA)}: restore {KEYS_FOLDER}/ from a backup")
    return [open_key(directory, KeyName.DATA, passphrase, number) for number in reversed(numbers)]


def load_organisation_key(directory: Path, passphrase: str, public_key: PublicKey) -> Ed25519Signer:
    """The key that signs cards and genesis files; for commands, never for the daemon. Raises as `read_key` does."""
    for number in reversed(generations(directory, KeyName.ORGANISATION)):
        key = open_key(directory, KeyName.ORGANISATION, passphrase, number)
        if key.public == public_key:
            return Ed25519Signer(key.secret)
    raise FileMissing(
        f"{directory / KEYS_FOLDER} does not hold the organisation key {public_key.hex()}: restore it from a backup"
    )
