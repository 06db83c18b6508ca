"""An organisation's private keys on disk: one encrypted file each, and where the passphrase comes from.

A key that is renewed gets a file of its own, with the next generation's number: `node.key`, `node.2.key`, `node.3.key`.
No file is ever written again, so that an interrupted renewal loses nothing; the ledger says which one is in force.

A key file is a header, the encrypted key, and a plain SHA-256 over both. The checksum is no secret and no
protection: it only tells a damaged file from a wrong passphrase, which AES-GCM alone cannot. Making the keys, and the
card that names their public halves, is `identity`'s; what the daemon holds of them in memory is `keyring`'s.
"""

import enum
import hashlib
import os
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from node.edge.storage.errors import FileDamaged, FileExposed, NoPassphrase, WrongPassphrase
from node.edge.storage.files import PRIVATE_MODE, make_private_folder, read_bounded, write_once

KEYS_FOLDER = "keys"
CREDENTIAL = "lepton-passphrase"
"""The name of the systemd credential (`LoadCredentialEncrypted=lepton-passphrase:...`)."""

_MAGIC = b"lepton key"
_VERSION = 1
# Argon2id, RFC 9106 section 4, second recommendation: 64 MiB, 3 passes, 4 lanes.
_MEMORY_KIB = 64 << 10
_PASSES = 3
_LANES = 4
_MEMORY_KIB_MAX = 1 << 20
_PASSES_MAX = 16
_LANES_MAX = 16
_HEADER = struct.Struct(">10sBBIII16s12s")
"""Magic, version, which key, memory in KiB, passes, lanes, salt, nonce. Bound to the ciphertext as associated data."""
_CHECKSUM_BYTES = 32
_FILE_BYTES_MAX = 16 << 10
_PASSPHRASE_BYTES_MAX = 4 << 10


class KeyName(enum.Enum):
    """The four keys; the value is the file's name."""

    ORGANISATION = "organisation.key"
    NODE = "node.key"
    TLS = "tls.key"
    DATA = "data.key"


_NUMBERS = {KeyName.ORGANISATION: 1, KeyName.NODE: 2, KeyName.TLS: 3, KeyName.DATA: 4}


@dataclass(frozen=True, slots=True)
class TlsSecret:
    """What the TLS key's file holds: the key, and the certificate that it belongs to."""

    key_pem: bytes
    certificate: bytes
    """DER."""


def key_path(directory: Path, name: KeyName, generation: int = 1) -> Path:
    """Where the key lies in a member's folder."""
    file = Path(name.value)
    return directory / KEYS_FOLDER / (file.name if generation == 1 else f"{file.stem}.{generation}{file.suffix}")


def generations(directory: Path, name: KeyName) -> list[int]:
    """The generations of a key that have files, ascending."""
    file = Path(name.value)
    found = [1] if key_path(directory, name).exists() else []
    for path in (directory / KEYS_FOLDER).glob(f"{file.stem}.*{file.suffix}"):
        number = path.name.removeprefix(f"{file.stem}.").removesuffix(file.suffix)
        if number.isascii() and number.isdigit() and path == key_path(directory, name, int(number)):
            found.append(int(number))
    return sorted(found)


def write_key(directory: Path, name: KeyName, secret: bytes, passphrase: str, generation: int = 1) -> None:
    """Encrypt `secret` under the passphrase into the member's folder.

    Raises `FileExistsError` where that generation has a file, `OSError`, `NoPassphrase`.
    """
    make_private_folder(directory / KEYS_FOLDER)
    header = _HEADER.pack(
        _MAGIC,
        _VERSION,
        _NUMBERS[name],
        _MEMORY_KIB,
        _PASSES,
        _LANES,
        secrets.token_bytes(16),
        secrets.token_bytes(12),
    )
    key, nonce = _derive(header, passphrase)
    sealed = header + AESGCM(key).encrypt(nonce, secret, header)
    content = sealed + hashlib.sha256(sealed).digest()
    write_once(key_path(directory, name, generation), content, mode=PRIVATE_MODE)


def read_key(directory: Path, name: KeyName, passphrase: str, generation: int = 1) -> bytes:
    """The key's bytes. Raises `FileMissing`, `FileExposed`, `FileDamaged`, `WrongPassphrase`, `NoPassphrase`."""
    path = key_path(directory, name, generation)
    content = read_bounded(path, _FILE_BYTES_MAX)
    if path.stat().st_mode & 0o077:
        raise FileExposed(f"other users may open {path}: run chmod 600 on it, and renew the key if they may have")
    sealed, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if len(sealed) < _HEADER.size or hashlib.sha256(sealed).digest() != checksum:
        raise FileDamaged(f"{path} is damaged: restore it from a backup")
    header = sealed[: _HEADER.size]
    _check_header(path, header, name)
    key, nonce = _derive(header, passphrase)
    try:
        return AESGCM(key).decrypt(nonce, sealed[_HEADER.size :], header)
    except InvalidTag as error:
        raise WrongPassphrase(
            f"the passphrase does not open {path}: give the one that it was made with "
            "(if you are sure of it, the file was changed on purpose: restore it from a backup)"
        ) from error


def read_passphrase(file: Path | None, prompt: Callable[[], str] | None) -> str:
    """The passphrase from the file, else from the systemd credential, else from the prompt.

    Never from an argument or a variable: both are readable by others. One line end at the end is not part of it.
    Raises `NoPassphrase`, `FileMissing`.
    """
    source = file or _credential()
    if source is not None:
        return _checked(_decoded(read_bounded(source, _PASSPHRASE_BYTES_MAX), source), str(source))
    if prompt is None:
        raise NoPassphrase(
            "no passphrase: name a file that holds it, or hand it over as the systemd credential " + CREDENTIAL
        )
    return _checked(prompt(), "the prompt")


def _credential() -> Path | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    path = Path(folder) / CREDENTIAL
    return path if path.exists() else None


def _decoded(content: bytes, source: Path) -> str:
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise NoPassphrase(f"{source} is not UTF-8 text: write the passphrase into it as one line") from error


def _checked(passphrase: str, source: str) -> str:
    if not passphrase:
        raise NoPassphrase(f"the passphrase from {source} is empty: choose one of at least one character")
    return passphrase


def _check_header(path: Path, header: bytes, name: KeyName) -> None:
    magic, version, number, memory_kib, passes, lanes, _, _ = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise FileDamaged(f"{path} is not a key file: restore it from a backup")
    if version != _VERSION:
        raise FileDamaged(f"{path} has version {version} and this lepton reads version {_VERSION}: upgrade lepton")
    if number != _NUMBERS[name]:
        raise FileDamaged(f"{path} holds another key than its name says: restore it from a backup")
    # A changed header must not make us allocate without end before the tag is checked.
    within = 8 * lanes <= memory_kib <= _MEMORY_KIB_MAX and 1 <= passes <= _PASSES_MAX and 1 <= lanes <= _LANES_MAX
    if not within:
        raise FileDamaged(f"{path} asks for absurd work to be opened: restore it from a backup")


def _derive(header: bytes, passphrase: str) -> tuple[bytes, bytes]:
    """The AES-256 key and the nonce."""
    if not passphrase:
        raise NoPassphrase("the passphrase is empty: choose one of at least one character")
    _, _, _, memory_kib, passes, lanes, salt, nonce = _HEADER.unpack(header)
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib)
    return kdf.derive(passphrase.encode()), nonce
