"""How the state tree's nodes lie in rows: a few levels of the tree in one, so that a key's way is a few rows.

A page begins at a depth that `LEVELS` divides and is stored at the path of its top node. It is a bitmap of the nodes
that are there, two bytes, the top node's bit the lowest but one and a node's children twice as high, then the nodes in
that order. A page without nodes is not stored.
"""

from collections.abc import Iterable, Iterator, Mapping

from node.edge.storage.errors import StoreDamaged

LEVELS = 4
"""Fifteen nodes of 65 bytes stay on one leaf of SQLite's tree."""
NODE_BYTES = 65
_BITMAP_BYTES = 2
_SLOTS = range(1, 1 << LEVELS)

# A path is its bits, then a 1 and zeros to the byte's end. Four levels are half a byte, so that a page's top ends in 80
# or in half a byte and 8; below it the last byte says how many bits follow and which.
_TOP_DEPTHS = tuple(8 - (last & -last).bit_length() if last else 0 for last in range(256))


def place(path: bytes) -> tuple[bytes, int]:
    """The page of the node at this path, and the node's bit in it."""
    last = path[-1]
    depth = _TOP_DEPTHS[last]
    if depth < LEVELS:
        return path[:-1] + b"\x80", 1 << depth | last >> 8 - depth
    below = depth - LEVELS
    return path[:-1] + bytes((last & 0xF0 | 0x08,)), 1 << below | (last & 0x0F) >> LEVELS - below


def path_of(page: bytes, slot: int) -> bytes:
    """The path of the node with this bit."""
    below = slot.bit_length() - 1
    bits = slot - (1 << below)
    last = page[-1]
    if last & 0x0F:
        return page[:-1] + bytes((last & 0xF0 | (bits << 1 | 1) << LEVELS - 1 - below,))
    return page[:-1] + bytes(((bits << 1 | 1) << 7 - below,))


def node_of(page: bytes | None, slot: int) -> bytes | None:
    """The node with this bit. Raises `StoreDamaged` for what is no page."""
    if page is None:
        return None
    bitmap = _bitmap(page)
    if not bitmap >> slot & 1:
        return None
    at = _BITMAP_BYTES + NODE_BYTES * (bitmap & (1 << slot) - 1).bit_count()
    return page[at : at + NODE_BYTES]


def nodes_of(page: bytes | None) -> dict[int, bytes]:
    """All nodes of the page by their bits. Raises `StoreDamaged` for what is no page."""
    if page is None:
        return {}
    bitmap, at, found = _bitmap(page), _BITMAP_BYTES, {}
    for slot in _SLOTS:
        if bitmap >> slot & 1:
            found[slot] = page[at : at + NODE_BYTES]
            at += NODE_BYTES
    return found


def packed(nodes: Mapping[int, bytes]) -> bytes | None:
    """The page of these nodes; None of none."""
    slots = sorted(nodes)
    if not slots:
        return None
    bitmap = sum(1 << slot for slot in slots)
    return bitmap.to_bytes(_BITMAP_BYTES, "big") + b"".join([nodes[slot] for slot in slots])


def by_page(nodes: Iterable[tuple[bytes, bytes | None]]) -> dict[bytes, dict[int, bytes | None]]:
    """Nodes by path, as each page has them; None deletes."""
    pages: dict[bytes, dict[int, bytes | None]] = {}
    for path, node in nodes:
        top, slot = place(path)
        if top in pages:
            pages[top][slot] = node
        else:
            pages[top] = {slot: node}
    return pages


def changed(page: bytes | None, changes: Mapping[int, bytes | None]) -> bytes | None:
    """The page after the changes; None where nothing is left. Raises `StoreDamaged` for what is no page."""
    nodes = nodes_of(page)
    for slot, node in changes.items():
        if node is None:
            nodes.pop(slot, None)
        else:
            nodes[slot] = node
    return packed(nodes)


def unpacked(pages: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Paths and nodes of the pages, in no order. Raises `StoreDamaged` for what is no page."""
    for top, page in pages:
        for slot, node in nodes_of(page).items():
            yield path_of(top, slot), node


def _bitmap(page: bytes) -> int:
    bitmap = int.from_bytes(page[:_BITMAP_BYTES], "big")
    if len(page) != _BITMAP_BYTES + NODE_BYTES * bitmap.bit_count() or bitmap & 1 or not bitmap:
        raise StoreDamaged(
            "a page of the state tree is not of the form that was written: stop the member, run `lepton chain verify`"
        )
    return bitmap
