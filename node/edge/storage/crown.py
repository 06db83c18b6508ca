"""How the crown of the state's tree is kept: in slices of its lowest level, a few of which each block writes, in turn.

Every block changes the crown all over. So a block notes which pages below the crown it changed, these being written
whole, and writes some slices as they were before it, the more the more it changed. Its note is kept until every slice
has been written after it. When the crown is read, the slices and then the pages that are noted give its lowest level,
and the rest is computed. A turn is how many slices have been written; a note's is the one after its block.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from node.base.crown import CROWN_LEVELS, CROWN_SEGMENT, Crown, CrownEntry
from node.edge.storage.errors import StoreDamaged

SLICES = (1 << CROWN_LEVELS) // CROWN_SEGMENT
TOUCHED_PER_SLICE = 16
_FIRST = 1 << CROWN_LEVELS
_PREFIX_BYTES = 4

_Statement = tuple[str, Sequence[tuple[Any, ...]]]


def crown_statements(crown: Crown, entries: Sequence[CrownEntry], turn: int) -> Iterator[_Statement]:
    """What a block writes that makes these entries of `crown`, which is as before it."""
    after = turn_after(turn, entries)
    slices = [(at % SLICES, _packed(crown, at % SLICES)) for at in range(turn, after)]
    yield "INSERT OR REPLACE INTO crown VALUES (?, ?)", slices
    touched = b"".join((index - _FIRST).to_bytes(_PREFIX_BYTES, "big") for index in _lowest(entries))
    yield "INSERT INTO touched VALUES (?, ?)", [(after, touched)]
    yield "DELETE FROM touched WHERE turn <= ?", [(after - SLICES,)]


def turn_after(turn: int, entries: Sequence[CrownEntry]) -> int:
    """The turn after a block that makes these entries."""
    return turn + min(SLICES, 1 + len(_lowest(entries)) // TOUCHED_PER_SLICE)


def whole_crown(crown: Crown) -> _Statement:
    """What writes all of it where nothing is written yet."""
    slices = [(number, _packed(crown, number)) for number in range(SLICES)]
    return "INSERT INTO crown VALUES (?, ?)", [(number, packed) for number, packed in slices if any(packed)]


def slice_entries(number: int, packed: bytes) -> Iterator[CrownEntry]:
    """What a slice has. Raises `StoreDamaged` for what is none."""
    if not 0 <= number < SLICES or len(packed) != 33 * CROWN_SEGMENT or max(packed[:CROWN_SEGMENT]) > 2:
        raise _damaged()
    for at in range(CROWN_SEGMENT):
        if packed[at]:
            digest = packed[CROWN_SEGMENT + 32 * at : CROWN_SEGMENT + 32 * at + 32]
            yield _FIRST + number * CROWN_SEGMENT + at, packed[at], digest


def touched_prefixes(packed: bytes) -> Iterator[int]:
    """The bits that the pages of a note begin with. Raises `StoreDamaged`."""
    for at in range(0, len(packed), _PREFIX_BYTES):
        prefix = int.from_bytes(packed[at : at + _PREFIX_BYTES], "big")
        if prefix >= _FIRST:
            raise _damaged()
        yield prefix


def _lowest(entries: Sequence[CrownEntry]) -> list[int]:
    return [index for index, _, _ in entries if index >= _FIRST]


def _packed(crown: Crown, number: int) -> bytes:
    first = _FIRST + number * CROWN_SEGMENT
    return bytes(crown.counts[first : first + CROWN_SEGMENT] + crown.segments[first // CROWN_SEGMENT])


def _damaged() -> StoreDamaged:
    return StoreDamaged("the crown of the state's tree is not of the form that was written: run `lepton chain verify`")
