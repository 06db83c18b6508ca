"""How the state tree's nodes lie in rows: five levels of the tree in one, so that a key's way is a few rows.

A page begins at depth 0, 2, 7, 12 and so on, which puts the levels that the engine keeps in memory into pages of their
own. It has a number: the bits of its top node's path, then a 1 and zeros, 63 bits in all, so that a page lies between
those below it, mostly on one leaf of SQLite's tree with them. Only where keys agree in 67 bits and more is a page
beyond such numbers; its path stands for it.

A page is a bitmap of the nodes that are there, four bytes, the top node's bit the lowest but one and a node's children
twice as high, then the nodes in that order. A page without nodes is not stored.
"""

from collections.abc import Iterable, Iterator, Mapping

from node.edge.storage.errors import StoreDamaged

LEVELS = 5
"""Two pages of 31 nodes of 65 bytes fill a leaf of SQLite's tree."""
FIRST_LEVELS = 2
NODE_BYTES = 65
_BITMAP_BYTES = 4
_NUMBER_BITS = 63
_UPPER_DEPTH = 7

PageKey = int | bytes
"""A page's number, or its path where it is beyond numbers."""

_BELOW_TOP = tuple(depth if depth < FIRST_LEVELS else (depth - FIRST_LEVELS) % LEVELS for depth in range(257))
"""How far below its page's top a node stands, by its depth."""


def place(path: bytes) -> tuple[PageKey, int]:
    """The page of the node at this path, and the node's bit in it."""
    value = int.from_bytes(path, "big")
    end = (value & -value).bit_length()
    depth = 8 * len(path) - end
    bits = value >> end
    below = _BELOW_TOP[depth]
    top, top_depth = bits >> below, depth - below
    slot = 1 << below | bits & (1 << below) - 1
    if top_depth < _NUMBER_BITS:
        return (top << 1 | 1) << _NUMBER_BITS - 1 - top_depth, slot
    return _path(top, top_depth), slot


def path_of(page: PageKey, slot: int) -> bytes:
    """The path of the node with this bit."""
    size, value = (_NUMBER_BITS, page) if isinstance(page, int) else (8 * len(page), int.from_bytes(page, "big"))
    end = (value & -value).bit_length()
    below = slot.bit_length() - 1
    return _path(value >> end << below | slot - (1 << below), size - end + below)


def checked(page: bytes) -> bytes:
    """The page as it is stored. Raises `StoreDamaged` for what is no page."""
    bitmap = _bitmap(page)
    if len(page) != _BITMAP_BYTES + NODE_BYTES * bitmap.bit_count() or bitmap & 1 or not bitmap:
        raise _damaged()
    return page


def node_of(page: bytes | None, slot: int) -> bytes | None:
    """The node with this bit of a page that was checked."""
    if page is None:
        return None
    bitmap = _bitmap(page)
    if not bitmap >> slot & 1:
        return None
    at = _BITMAP_BYTES + NODE_BYTES * (bitmap & (1 << slot) - 1).bit_count()
    return page[at : at + NODE_BYTES]


def nodes_of(page: bytes | None) -> dict[int, bytes]:
    """All nodes, by their bits, of a page that was checked."""
    if page is None:
        return {}
    bitmap, at, found = _bitmap(page), _BITMAP_BYTES, {}
    while bitmap:
        lowest = bitmap & -bitmap
        found[lowest.bit_length() - 1] = page[at : at + NODE_BYTES]
        at += NODE_BYTES
        bitmap ^= lowest
    return found


def packed(nodes: Mapping[int, bytes]) -> bytes | None:
    """The page of these nodes; None of none."""
    if not nodes:
        return None
    slots = sorted(nodes)
    bitmap = 0
    for slot in slots:
        bitmap |= 1 << slot
    return bitmap.to_bytes(_BITMAP_BYTES, "big") + b"".join([nodes[slot] for slot in slots])


def by_page(nodes: Iterable[tuple[bytes, bytes | None]]) -> dict[PageKey, dict[int, bytes | None]]:
    """Nodes by path, as each page has them; None deletes."""
    pages: dict[PageKey, dict[int, bytes | None]] = {}
    for path, node in nodes:
        top, slot = place(path)
        if top in pages:
            pages[top][slot] = node
        else:
            pages[top] = {slot: node}
    return pages


def changed(page: bytes | None, changes: Mapping[int, bytes | None]) -> bytes | None:
    """A page that was checked, after the changes; None where nothing is left."""
    if page is not None:
        # Most changes are to nodes that stay, and then so does where they lie.
        bitmap, body = _bitmap(page), bytearray(page)
        for slot, node in changes.items():
            if node is None or not bitmap >> slot & 1:
                break
            at = _BITMAP_BYTES + NODE_BYTES * (bitmap & (1 << slot) - 1).bit_count()
            body[at : at + NODE_BYTES] = node
        else:
            return bytes(body)
    nodes: dict[int, bytes | None] = {**nodes_of(page), **changes}
    return packed({slot: node for slot, node in nodes.items() if node is not None})


def upper_pages(pages: Mapping[PageKey, bytes | None]) -> dict[PageKey, bytes | None]:
    """Those that begin at depth 7 at the most, 133: a large state changes everywhere below."""
    below = (1 << _NUMBER_BITS - 1 - _UPPER_DEPTH) - 1
    return {key: page for key, page in pages.items() if isinstance(key, int) and not key & below}


def unpacked(pages: Iterable[tuple[PageKey, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Paths and nodes of the pages, in no order. Raises `StoreDamaged` for what is no page."""
    for top, page in pages:
        if isinstance(top, int) and top <= 0:
            raise _damaged()
        for slot, node in nodes_of(checked(page)).items():
            yield path_of(top, slot), node


def _bitmap(page: bytes) -> int:
    return int.from_bytes(page[:_BITMAP_BYTES], "big")


def _path(bits: int, depth: int) -> bytes:
    size = depth // 8 + 1
    return ((bits << 1 | 1) << 8 * size - depth - 1).to_bytes(size, "big")


def _damaged() -> StoreDamaged:
    return StoreDamaged(
        "a page of the state tree is not of the form that was written: stop the member, run `lepton chain verify`"
    )
