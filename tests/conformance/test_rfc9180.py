"""HPKE: base mode written out from RFC 9180, shown right by the RFC's vector, opens what `seal` sealed."""

import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.base.crypto import SealError, open_sealed, seal

KEM_X25519 = b"KEM\x00\x20"
HPKE_128 = b"HPKE\x00\x20\x00\x01\x00\x01"
HPKE_256 = b"HPKE\x00\x20\x00\x01\x00\x02"


def extract(salt: bytes, suite: bytes, label: bytes, material: bytes) -> bytes:
    """RFC 9180, 4: LabeledExtract."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")


def expand(key: bytes, suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """RFC 9180, 4: LabeledExpand; one HMAC gives the 32 bytes that suffice here."""
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labeled + b"\x01", "sha256")[:length]


def opened(private_key: bytes, sealed: bytes, info: bytes, aad: bytes, suite: bytes, key_bytes: int) -> bytes:
    """RFC 9180, 4.1 Decap, 5.1 KeySchedule in base mode, 5.2 Open with sequence number 0."""
    key, enc = X25519PrivateKey.from_private_bytes(private_key), sealed[:32]
    exchanged = key.exchange(X25519PublicKey.from_public_bytes(enc))
    context = enc + key.public_key().public_bytes_raw()
    shared = expand(extract(b"", KEM_X25519, b"eae_prk", exchanged), KEM_X25519, b"shared_secret", context, 32)
    schedule = b"\x00" + extract(b"", suite, b"psk_id_hash", b"") + extract(b"", suite, b"info_hash", info)
    secret = extract(shared, suite, b"secret", b"")
    cipher = AESGCM(expand(secret, suite, b"key", schedule, key_bytes))
    return cipher.decrypt(expand(secret, suite, b"base_nonce", schedule, 12), sealed[32:], aad)


def test_the_written_out_form_opens_the_rfcs_vector() -> None:
    # RFC 9180, A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, sequence number 0.
    private_key = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    enc = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    ciphertext = bytes.fromhex(
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    )
    found = opened(private_key, enc + ciphertext, b"Ode on a Grecian Urn", b"Count-0", HPKE_128, 16)
    assert found == b"Beauty is truth, truth beauty"


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(100_000)])
def test_it_opens_what_we_seal(plaintext: bytes) -> None:
    private_key = bytes(range(32))
    public_key = X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
    sealed = seal(public_key, plaintext, b"the context")
    assert opened(private_key, sealed, b"the context", b"", HPKE_256, 32) == plaintext
    assert open_sealed(private_key, sealed, b"the context") == plaintext


def test_another_key_context_or_byte_does_not_open() -> None:
    private_key = bytes(range(32))
    public_key = X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
    sealed = seal(public_key, b"secret", b"the context")
    cases = [
        (bytes(range(1, 33)), sealed, b"the context"),
        (private_key, sealed, b"another"),
        (private_key, sealed[:-1], b"the context"),
        (private_key, sealed[:20], b"the context"),
        (private_key, b"", b"the context"),
        *((private_key, sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :], b"the context") for at in (0, 40)),
    ]
    for key, changed, info in cases:
        with pytest.raises(SealError):
            open_sealed(key, changed, info)
