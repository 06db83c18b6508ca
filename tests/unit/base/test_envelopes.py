"""A version's key on its way: it opens for what it was sealed for, and for nothing else."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from node.base.codec import encode
from node.base.crypto import digest, seal
from node.base.types import (
    DIGESTS_MAX,
    ENVELOPE_BYTES_MAX,
    Binding,
    Digest,
    Envelope,
    EnvelopeRefused,
    OrgId,
    PublicKey,
    VersionKey,
    envelope_digest,
    open_version_key,
    read_envelope,
    seal_version_key,
)

SECRET = bytes(range(32))
PUBLIC = PublicKey(X25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw())
CONTENT = VersionKey(b"k" * 32, b"v" * 16, "csv", 2, (Digest(b"0" * 32), Digest(b"1" * 32)))
BINDING = Binding(
    chain=Digest(digest("chain")),
    agreement=Digest(digest("agreement")),
    data="ada/patients",
    version=2,
    basis=Digest(digest("request")),
    recipient=OrgId("bob"),
)


def refusal(envelope: Envelope, wanted: Binding = BINDING, *secrets: bytes) -> str:
    with pytest.raises(EnvelopeRefused) as caught:
        open_version_key(secrets or (SECRET,), envelope, wanted)
    return str(caught.value)


def test_the_recipient_opens_it_also_with_an_older_key() -> None:
    envelope = read_envelope(encode(seal_version_key(PUBLIC, CONTENT, BINDING)))
    assert open_version_key((SECRET,), envelope, BINDING) == CONTENT
    assert open_version_key((b"n" * 32, SECRET), envelope, BINDING) == CONTENT


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data": "ada/others"}, "for data set ada/patients, not for ada/others"),
        ({"version": 3}, "for version 2, not for 3"),
        ({"basis": Digest(b"b" * 32)}, f"for request {BINDING.basis.hex()}, not for {(b'b' * 32).hex()}"),
        ({"agreement": None}, f"for agreement {digest('agreement').hex()}, not for none"),
        ({"recipient": OrgId("cid")}, "for recipient bob, not for cid"),
        ({"chain": Digest(b"c" * 32)}, f"for network {BINDING.chain.hex()}, not for {(b'c' * 32).hex()}"),
    ],
)
def test_one_for_something_else_says_so_and_does_not_open_under_another_name(changed, words) -> None:
    envelope, other = seal_version_key(PUBLIC, CONTENT, BINDING), replace(BINDING, **changed)
    assert words in refusal(envelope, other)
    assert "opens with none" in refusal(replace(envelope, binding=other), other)


def test_changed_bytes_and_another_key_do_not_open() -> None:
    envelope = seal_version_key(PUBLIC, CONTENT, BINDING)
    spoiled = replace(envelope, sealed=envelope.sealed[:-1] + bytes((envelope.sealed[-1] ^ 1,)))
    assert "opens with none" in refusal(spoiled)
    assert "opens with none" in refusal(envelope, BINDING, b"x" * 32)
    assert "opens with none" in refusal(replace(envelope, sealed=b""))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        encode(replace(CONTENT, key=b"short")),
        encode(replace(CONTENT, id=b"")),
        encode(replace(CONTENT, chunks=0, digests=())),
        encode(replace(CONTENT, chunks=3)),
    ],
)
def test_an_owner_that_seals_something_else_is_refused(content: bytes) -> None:
    info = b"lepton/envelope\x00" + encode(BINDING)
    assert "no version's key" in refusal(Envelope(BINDING, seal(PUBLIC, content, info)))


def test_a_peers_bytes() -> None:
    for data in (b"", b"\x00" * 40, bytes(ENVELOPE_BYTES_MAX + 1)):
        with pytest.raises(EnvelopeRefused):
            read_envelope(data)


def test_the_largest_fits_into_a_message_and_each_sealing_is_another() -> None:
    many = replace(CONTENT, chunks=DIGESTS_MAX, digests=(Digest(bytes(32)),) * DIGESTS_MAX)
    first, second = (seal_version_key(PUBLIC, many, BINDING) for _ in range(2))
    assert len(encode(first)) <= ENVELOPE_BYTES_MAX
    assert envelope_digest(first) != envelope_digest(second)
