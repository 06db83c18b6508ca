"""Nodes of the state tree in pages: every path has one place, and what goes in comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.edge.storage.errors import StoreDamaged
from node.edge.storage.pages import NODE_BYTES, by_page, changed, node_of, nodes_of, path_of, place, unpacked
from node.ledger.memory import MemoryState
from node.ledger.tree import updated_nodes

KEYS = st.lists(st.binary(min_size=1, max_size=3), unique=True, max_size=40)


@given(KEYS, KEYS)
def test_pages_after_any_changes_hold_the_nodes_of_the_tree(added: list[bytes], gone: list[bytes]) -> None:
    pages: dict[bytes, bytes] = {}
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
        assert node_of(pages[top], slot) == node


@pytest.mark.parametrize("depth", [0, 1, 3, 4, 5, 7, 8, 11, 12, 255, 256])
def test_a_place_is_the_path_in_another_form(depth: int) -> None:
    bits = int.from_bytes(b"\xa5\x3c" * 16, "big") >> 256 - depth
    size = depth // 8 + 1
    path = ((bits << 1 | 1) << size * 8 - depth - 1).to_bytes(size, "big")

    assert path_of(*place(path)) == path


@pytest.mark.parametrize(
    "page", [b"", b"\x00", b"\x00\x00", b"\x00\x02", b"\x00\x02" + bytes(NODE_BYTES + 1), bytes(67)]
)
def test_what_is_no_page_is_refused(page: bytes) -> None:
    with pytest.raises(StoreDamaged, match="not of the form"):
        nodes_of(page)
