"""What a step reads is read once, and the kept pages are always those that the state has."""

from collections.abc import Iterator

from node.base.crown import Crown
from node.base.ports import Writes
from node.engine.remembered import (
    PAGES_KEPT_MAX,
    PAIRS_KEPT_MAX,
    SCANS_KEPT_MAX,
    VALUE_BYTES_KEPT_MAX,
    VALUES_KEPT_MAX,
    RememberedState,
)
from node.ledger.tree import state_root, updated


class State:
    """A state that counts what is read of it."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.pages: dict[int, bytes] = {}
        self.crown = Crown()
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.values.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        self.reads += 1
        yield from sorted((key, value) for key, value in self.values.items() if key.startswith(prefix))

    def page(self, number: int) -> bytes | None:
        self.reads += 1
        return self.pages.get(number)

    def apply(self, writes: Writes) -> None:
        for key, value in writes.state:
            self.values.pop(key, None)
            if value is not None:
                self.values[key] = value
        for number, page in writes.pages:
            self.pages.pop(number, None)
            if page is not None:
                self.pages[number] = page
        self.crown.apply(writes.crown)


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


def test_roots_over_kept_pages_are_those_over_the_state_itself():
    state = State()
    remembered = RememberedState(state)

    for number in range(60):
        changes = block(number)
        tree = updated(remembered, changes)
        assert tree == updated(state, changes)
        writes = Writes(tuple(changes), tree.pages, tree.crown)
        state.apply(writes)
        remembered.committed(writes)
        assert state_root(remembered) == state_root(state) == tree.root


def test_pages_are_kept_and_not_too_many_and_none_of_another_state():
    state = State()
    remembered = RememberedState(state)
    many = range(1, PAGES_KEPT_MAX + 2)

    for number in (*many, *many):
        remembered.page(number)
    assert state.reads == len(many)
    remembered.forget()
    for number in (1, 1):
        remembered.page(number)
    assert state.reads == len(many) + 1
    remembered.replaced()
    state.pages[1] = b"another"

    assert remembered.page(1) == b"another"


def written(**values: str | None) -> Writes:
    changes = ((key.replace("_", "/").encode(), value) for key, value in values.items())
    return Writes(tuple(sorted((key, None if value is None else value.encode()) for key, value in changes)), ())


def commit(state: State, remembered: RememberedState, writes: Writes) -> None:
    state.apply(writes)
    remembered.committed(writes)


def test_what_little_stands_below_a_prefix_is_looked_for_once_until_a_block_writes_there():
    state = State()
    remembered = RememberedState(state)
    commit(state, remembered, written(a_b_1="x", c_1="y"))

    found = [list(remembered.scan(prefix)) for _ in range(3) for prefix in (b"a/", b"a/b/", b"none/")]
    looked = state.reads
    commit(state, remembered, written(c_2="z", d="w"))
    again = [list(remembered.scan(prefix)) for prefix in (b"a/", b"a/b/", b"none/")]
    still = state.reads
    commit(state, remembered, written(a_b_2="v", none_1="u"))
    after = [list(remembered.scan(prefix)) for prefix in (b"a/", b"a/b/", b"none/")]
    commit(state, remembered, written(a_b_1=None))

    assert found[:3] * 3 == found
    assert (looked, still) == (3, 3)
    assert again == found[:3]
    assert after == [[(b"a/b/1", b"x"), (b"a/b/2", b"v")]] * 2 + [[(b"none/1", b"u")]]
    assert list(remembered.scan(b"a/")) == [(b"a/b/2", b"v")]


def test_what_is_long_or_much_is_read_anew_and_whole():
    state = State()
    remembered = RememberedState(state)
    many = {f"a_{number}": "x" for number in range(PAIRS_KEPT_MAX + 1)}
    commit(state, remembered, written(**many, b_1="x" * (VALUE_BYTES_KEPT_MAX + 1)))

    found = [(len(list(remembered.scan(b"a/"))), len(list(remembered.scan(b"b/")))) for _ in range(2)]
    for number in range(SCANS_KEPT_MAX + 1):
        list(remembered.scan(b"%d/" % number))

    assert found == [(len(many), 1)] * 2
    assert state.reads == 4 + SCANS_KEPT_MAX + 1
