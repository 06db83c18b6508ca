"""Each good signature is verified once; a bad one is never remembered as good."""

from node.engine.verified import VerifiedSignatures
from node.testing.signing import HashSigner, verify_hash


def test_good_is_remembered_bad_is_not_and_parts_do_not_shift():
    asked = []

    def verify(key, message, signature):
        asked.append(message)
        return verify_hash(key, message, signature)

    signer = HashSigner(b"a")
    remembered = VerifiedSignatures(verify)
    signature = signer.sign(b"message")

    assert remembered(signer.public_key, b"message", signature)
    assert remembered(signer.public_key, b"message", signature)
    assert asked == [b"message"]
    assert not remembered(signer.public_key, b"other", signature)
    assert not remembered(signer.public_key, b"message", bytes(64))
    assert not remembered(signer.public_key, signature[-1:] + b"message", signature[:-1])
    assert not remembered(signer.public_key + signature[:1], b"message", signature[1:])
