"""Overlays read as if their writes were made, and change nothing below."""

from hypothesis import given
from hypothesis import strategies as st

from node.base.ports import Writes
from node.ledger.memory import MemoryState
from node.ledger.overlay import Overlay

KEYS = st.binary(min_size=1, max_size=2)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=2), max_size=10)


def made(values: dict[bytes, bytes]) -> MemoryState:
    state = MemoryState()
    state.apply(Writes(tuple(sorted(values.items())), ()))
    return state


def put_all(overlay: Overlay, changes: dict[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            overlay.delete(key)
        else:
            overlay.put(key, value)


@given(
    base=st.dictionaries(KEYS, st.binary(max_size=2), max_size=10),
    first=CHANGES,
    second=CHANGES,
    prefix=st.binary(max_size=1),
)
def test_two_overlays_read_like_a_dictionary(
    base: dict[bytes, bytes],
    first: dict[bytes, bytes | None],
    second: dict[bytes, bytes | None],
    prefix: bytes,
) -> None:
    state = made(base)
    below = Overlay(state)
    put_all(below, first)
    above = Overlay(below)
    put_all(above, second)

    merged = base | first | second
    expected = {key: value for key, value in merged.items() if value is not None}
    assert dict(above.scan(b"")) == expected
    assert list(above.scan(prefix)) == sorted(row for row in expected.items() if row[0].startswith(prefix))
    assert all(above.get(key) == expected.get(key) for key in merged)
    assert state.values == base

    below.take(above)
    changes = below.changes()
    assert changes == sorted((key, expected.get(key)) for key in merged if expected.get(key) != base.get(key))


def test_a_scan_does_not_see_what_is_written_while_it_runs() -> None:
    overlay = Overlay(made({b"a": b"1", b"c": b"3"}))
    seen = []
    for key, _ in overlay.scan(b""):
        seen.append(key)
        overlay.put(b"b", b"2")
        overlay.put(b"d", b"4")
    assert seen == [b"a", b"c"]
