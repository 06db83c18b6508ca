"""What a step reads is read once, and the kept nodes are always those that the state has."""

from collections.abc import Iterator

from node.base.ports import Writes
from node.engine.remembered import DEPTH_KEPT_MAX, RememberedState
from node.ledger.tree import state_root, updated_nodes


class State:
    """A state that counts what is read of it."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.nodes: dict[bytes, bytes] = {}
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.values.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from sorted((key, value) for key, value in self.values.items() if key.startswith(prefix))

    def node(self, path: bytes) -> bytes | None:
        self.reads += 1
        return self.nodes.get(path)

    def apply(self, writes: Writes) -> None:
        for found, changes in ((self.values, writes.state), (self.nodes, writes.nodes)):
            for key, value in changes:
                if value is None:
                    found.pop(key, None)
                else:
                    found[key] = value


def block(number: int) -> list[tuple[bytes, bytes | None]]:
    """Some keys that come, change and go."""
    return [(b"k%d" % (key * 7 % 300), None if (key + number) % 3 == 0 else b"%d" % number) for key in range(40)]


def test_a_key_is_read_once_until_the_next_step():
    state = State()
    remembered = RememberedState(state)

    absent = [remembered.get(b"a") for _ in range(3)]
    state.values[b"a"] = b"1"
    remembered.forget()
    there = [remembered.get(b"a") for _ in range(3)]

    assert absent == [None] * 3
    assert there == [b"1"] * 3
    assert state.reads == 2


def test_roots_over_kept_nodes_are_those_over_the_state_itself():
    state = State()
    remembered = RememberedState(state)

    for number in range(60):
        changes = block(number)
        expected, _ = updated_nodes(state.node, changes)
        root, nodes = updated_nodes(remembered.node, changes)
        assert root == expected
        writes = Writes(tuple(changes), nodes)
        state.apply(writes)
        remembered.committed(writes)
        assert state_root(remembered.node) == state_root(state.node) == root


def test_only_upper_nodes_are_kept_and_none_of_another_state():
    state = State()
    remembered = RememberedState(state)
    root, deep = b"\x80", (1).to_bytes(DEPTH_KEPT_MAX // 8 + 1, "big")

    for path in (root, root, deep, deep):
        remembered.node(path)
    assert state.reads == 3
    remembered.replaced()
    state.nodes[root] = b"another"

    assert remembered.node(root) == b"another"
