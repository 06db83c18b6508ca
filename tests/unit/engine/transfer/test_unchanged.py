"""Between two blocks a value is read once; after a block nothing that was read before it counts."""

from collections.abc import Iterator

from node.engine.transfer.unchanged import VALUES_KEPT_MAX, Unchanged
from node.ledger.system import HEAD_KEY


class State:
    """A state that tells what is read of it."""

    def __init__(self) -> None:
        self.values = {HEAD_KEY: b"1", b"grant": b"given"}
        self.read: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        self.read.append(key)
        return self.values.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter([(key, value) for key, value in sorted(self.values.items()) if key.startswith(prefix)])

    def node(self, path: bytes) -> bytes | None:
        raise AssertionError("no node is asked for")


def test_a_value_is_read_once_between_two_blocks():
    state = State()
    ledger = Unchanged(state)

    found = [(ledger.now().get(b"grant"), ledger.now().get(b"none")) for _ in range(3)]

    assert found == [(b"given", None)] * 3
    assert [key for key in state.read if key != HEAD_KEY] == [b"grant", b"none"]


def test_a_block_ends_what_was_read_before_it():
    state = State()
    ledger = Unchanged(state)
    assert ledger.now().get(b"grant") == b"given"

    state.values = {HEAD_KEY: b"2"}

    assert ledger.now().get(b"grant") is None


def test_what_is_kept_is_bounded():
    state = State()
    ledger = Unchanged(state)
    for number in range(VALUES_KEPT_MAX + 1):
        ledger.now().get(b"%d" % number)
    ledger.now()
    state.read.clear()

    ledger.now().get(b"0")

    assert b"0" in state.read
