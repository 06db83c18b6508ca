"""Nodes of the state tree in pages: every path has one place, and what goes in comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.edge.storage.errors import StoreDamaged
from node.edge.storage.pages import (
    NODE_BYTES,
    PageKey,
    by_page,
    changed,
    checked,
    node_of,
    path_of,
    place,
    unpacked,
    upper_pages,
)
from node.ledger.memory import MemoryState
from node.ledger.tree import updated_nodes

KEYS = st.lists(st.binary(min_size=1, max_size=3), unique=True, max_size=40)


@given(KEYS, KEYS)
def test_pages_after_any_changes_hold_the_nodes_of_the_tree(added: list[bytes], gone: list[bytes]) -> None:
    pages: dict[PageKey, bytes] = {}
    state = MemoryState()

    for keys, value in ((added, b"1"), (gone, None)):
        _, nodes = updated_nodes(state.node, [(key, value) for key in sorted(keys)])
        for path, node in nodes:
            state.nodes.pop(path, None)
            if node is not None:
                state.nodes[path] = node
        for top, changes in by_page(nodes).items():
            page = changed(pages.pop(top, None), changes)
            if page is not None:
                pages[top] = page

    assert dict(unpacked(pages.items())) == state.nodes
    for path, node in state.nodes.items():
        top, slot = place(path)
        assert node_of(checked(pages[top]), slot) == node


@pytest.mark.parametrize("depth", [0, 1, 2, 6, 7, 8, 11, 12, 61, 62, 66, 67, 71, 72, 255, 256])
def test_a_place_is_the_path_in_another_form(depth: int) -> None:
    bits = int.from_bytes(b"\xa5\x3c" * 16, "big") >> 256 - depth
    size = depth // 8 + 1
    path = ((bits << 1 | 1) << size * 8 - depth - 1).to_bytes(size, "big")

    assert path_of(*place(path)) == path


def test_pages_within_numbers_lie_as_their_paths_do() -> None:
    bits = int.from_bytes(b"\xa5\x3c" * 16, "big")
    paths = [((bits >> 256 - depth << 1 | 1) << 263 - depth).to_bytes(33, "big") for depth in range(67)]

    numbers = [number for path in paths if isinstance(number := place(path.rstrip(b"\x00"))[0], int)]

    assert len(numbers) == 67
    assert max(numbers) < 1 << 63
    assert numbers[0] == 1 << 62


@pytest.mark.parametrize(
    "page",
    [
        b"",
        bytes(4),
        b"\x00\x00\x00\x02",
        b"\x00\x00\x00\x02" + bytes(NODE_BYTES + 1),
        b"\x00\x00\x00\x06" + bytes(NODE_BYTES),
        bytes(4 + NODE_BYTES),
    ],
)
def test_what_is_no_page_is_refused(page: bytes) -> None:
    with pytest.raises(StoreDamaged, match="not of the form"):
        checked(page)


def test_upper_pages_are_those_down_to_depth_7() -> None:
    bits = int.from_bytes(b"\xa5\x3c" * 16, "big")
    paths = [((bits >> 256 - depth << 1 | 1) << 263 - depth).to_bytes(33, "big") for depth in (0, 2, 7, 12, 17, 67)]
    pages = [place(path.rstrip(b"\x00"))[0] for path in paths]

    assert list(upper_pages(dict.fromkeys(pages))) == pages[:3]


def test_a_number_that_no_page_has_is_refused() -> None:
    with pytest.raises(StoreDamaged, match="not of the form"):
        list(unpacked([(-1, b"\x00\x00\x00\x02" + bytes(NODE_BYTES))]))
