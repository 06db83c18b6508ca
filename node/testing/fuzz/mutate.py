"""Spoils bytes in the ways that break decoders: flips, cuts, repeats, splices, false lengths and counts, nesting."""

import random
from collections.abc import Callable, Sequence

BYTES_MAX = 4 << 10
"""What is drawn or repeated at once; longer inputs come from the corpus itself."""
_COUNTS = (0, 1, 2, 255, 256, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_NUMBERS = (0, 1, -1, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63))
_NESTS = (b"[", b'{"a":', b"(", b"\x0a\x80")
_WORDS = (b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"\\ud800", b'""', b"[]", b"{}", b"-0", b"9" * 400)


def spoil(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """A changed form of `data`: one to three changes, now and then nothing of it."""
    pick = chance.random()
    if pick < 0.02:
        return chance.randbytes(chance.randrange(0, 300))
    if pick < 0.04:
        return data
    for _ in range(1 if pick < 0.6 else chance.randrange(1, 4)):
        data = _CHANGES[int(chance.random() * len(_CHANGES))](data, corpus, chance)
    return data


def _at(data: bytes, chance: random.Random) -> int:
    return int(chance.random() * (len(data) + 1))


def _flip(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    if not data:
        return data
    at = _at(data[1:], chance)
    return data[:at] + bytes((data[at] ^ 1 << int(chance.random() * 8),)) + data[at + 1 :]


def _set(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    at = _at(data, chance)
    return data[:at] + bytes((int(chance.random() * 256),)) + data[at + 1 :]


def _tag(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """Another kind in front, or a byte of a choice or an optional field."""
    at = 0 if chance.random() < 0.5 else _at(data, chance)
    return data[:at] + bytes((int(chance.random() * 20),)) + data[at + 1 :]


def _cut(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    return data[: _at(data, chance)]


def _append(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    return data + chance.randbytes(1 + int(chance.random() * 40))


def _delete(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    at = _at(data, chance)
    return data[:at] + data[at + 1 + int(chance.random() * 16) :]


def _repeat(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    at = _at(data, chance)
    piece = data[at : at + 1 + int(chance.random() * 64)]
    return data[:at] + piece * min(1 + int(chance.random() * 40), BYTES_MAX // (len(piece) + 1) + 1) + data[at:]


def _splice(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    other = corpus[int(chance.random() * len(corpus))]
    return data[: _at(data, chance)] + other[_at(other, chance) :]


def _count(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """A false length or count, preferably where one stands: four bytes that are small as a number."""
    at = _at(data, chance)
    for _ in range(8):
        if data[at : at + 2] == b"\0\0":
            break
        at = _at(data, chance)
    old = int.from_bytes(data[at : at + 4], "big")
    new = old + 1 - int(chance.random() * 3) if chance.random() < 0.5 else chance.choice(_COUNTS)
    return data[:at] + (new & 0xFFFFFFFF).to_bytes(4, "big") + data[at + 4 :]


def _number(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    at = _at(data, chance)
    return data[:at] + chance.choice(_NUMBERS).to_bytes(8, "big", signed=True) + data[at + 8 :]


def _nest(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    at = _at(data, chance)
    return data[:at] + chance.choice(_NESTS) * chance.choice((2, 50, 1_100)) + data[at:]


def _word(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    at = _at(data, chance)
    return data[:at] + chance.choice(_WORDS) + data[at + int(chance.random() * 4) :]


_Change = Callable[[bytes, Sequence[bytes], random.Random], bytes]
_CHANGES: tuple[_Change, ...] = (
    *(_flip, _flip, _set, _tag, _cut, _append, _delete, _repeat),
    *(_splice, _count, _count, _number, _nest, _word),
)
