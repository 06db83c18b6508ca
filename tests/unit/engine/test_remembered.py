"""What a step reads is read once, and the kept nodes are always those that the state has."""

from collections.abc import Iterator

from node.base.ports import Writes
from node.engine.remembered import (
    DEEP_NODES_KEPT_MAX,
    DEPTH_KEPT_MAX,
    VALUE_BYTES_KEPT_MAX,
    VALUES_KEPT_MAX,
    RememberedState,
)
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


def test_a_key_is_read_once_until_the_state_is_another():
    state = State()
    remembered = RememberedState(state)

    absent = [remembered.get(b"a") for _ in range(3)]
    remembered.forget()
    absent.append(remembered.get(b"a"))
    state.values[b"a"] = b"1"
    remembered.replaced()
    there = [remembered.get(b"a") for _ in range(3)]

    assert absent == [None] * 4
    assert there == [b"1"] * 3
    assert state.reads == 2


def test_what_a_block_writes_is_read_after_it():
    state = State()
    remembered = RememberedState(state)
    state.values |= {b"a": b"1", b"b": b"2", b"gone": b"3"}
    keys = (b"a", b"b", b"gone", b"new")
    before = [remembered.get(key) for key in keys]

    writes = Writes(((b"a", b"5"), (b"gone", None), (b"new", b"6"), (b"unread", b"7")), ())
    state.apply(writes)
    remembered.committed(writes)
    remembered.forget()

    assert before == [b"1", b"2", b"3", None]
    assert [remembered.get(key) for key in (*keys, b"unread")] == [b"5", b"2", None, b"6", b"7"]
    assert state.reads == len(keys) + 1


def test_long_values_are_kept_for_a_step_only_and_not_too_many_of_the_others():
    state = State()
    remembered = RememberedState(state)
    state.values |= {b"long": bytes(VALUE_BYTES_KEPT_MAX + 1), b"short": b"1"}

    for _ in range(2):
        remembered.forget()
        for key in (b"long", b"long", b"short"):
            assert remembered.get(key) == state.values[key]
    assert state.reads == 3
    for number in range(VALUES_KEPT_MAX):
        remembered.get(b"%d" % number)
    remembered.forget()
    remembered.get(b"short")

    assert state.reads == 3 + VALUES_KEPT_MAX + 1


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


def test_upper_nodes_are_kept_and_not_too_many_of_the_others_and_none_of_another_state():
    state = State()
    remembered = RememberedState(state)
    root = b"\x80"
    deep = [number.to_bytes(DEPTH_KEPT_MAX // 8 + 2, "big") for number in range(1, 2 * DEEP_NODES_KEPT_MAX, 2)]

    for path in (root, root, *deep, *deep):
        remembered.node(path)
    assert state.reads == 1 + len(deep)
    remembered.forget()
    for path in (root, *deep, b"\xff\xff\xff"):
        remembered.node(path)
    assert state.reads == 2 + len(deep)
    remembered.forget()
    for path in (root, deep[0]):
        remembered.node(path)
    assert state.reads == 3 + len(deep)
    remembered.replaced()
    state.nodes[root] = b"another"

    assert remembered.node(root) == b"another"
