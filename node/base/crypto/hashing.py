"""SHA-256 with domain separation."""

import hashlib


def digest(tag: str, *parts: bytes) -> bytes:
    """SHA-256 over the tag and the parts, each with its length before it: 32 bytes.

    The tag keeps hashes of different things apart; the lengths keep `("ab", "c")` and `("a", "bc")` apart.
    """
    hasher = hashlib.sha256()
    for part in (tag.encode(), *parts):
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.digest()
