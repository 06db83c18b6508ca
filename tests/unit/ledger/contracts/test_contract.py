"""What a contract sees: its own part of the state, others' read-only, and nothing of what it did when refused."""

from dataclasses import dataclass

import pytest

from node.base.codec import DecodeError
from node.base.ports import Writes
from node.base.types import Digest, Event, Height, MemberSet, OrgId, Parameters
from node.ledger.contracts.contract import Context, Frame, changed_contracts, view
from node.ledger.contracts.registry import CONTRACTS
from node.ledger.memory import MemoryState
from node.ledger.overlay import Overlay
from node.testing.signing import verify_hash


@dataclass(frozen=True, slots=True)
class Note:
    text: str


def context(state: MemoryState) -> tuple[Context, Overlay]:
    overlay = Overlay(state)
    nobody = MemberSet(())
    frame = Frame(Digest(bytes(32)), Height(1), 5, nobody, nobody, Parameters(), verify_hash)
    made = Context(overlay, "notes", frame, org=OrgId("ada"), transaction=Digest(bytes(32)))
    return made, overlay


def test_keys_stand_below_the_contracts_name() -> None:
    made, overlay = context(MemoryState())
    made.put("b", b"2")
    made.store("a", Note("é"))
    made.put("c", b"3")
    made.delete("c")
    assert [key for key, _ in overlay.changes()] == [b"notes/a", b"notes/b"]
    assert made.load(Note, "a") == Note("é")
    assert made.load(Note, "nothing") is None
    assert [key for key, _ in made.scan("")] == ["a", "b"]
    with pytest.raises(DecodeError):
        made.load(Note, "b")


def test_another_contracts_part_is_read_but_not_seen_as_ones_own() -> None:
    state = MemoryState()
    rows = ((b"notes/x", b"mine"), (b"notes2/x", b"near"), (b"other/x", b"theirs"))
    state.apply(Writes(rows, ()))
    made, _ = context(state)
    assert list(made.scan("")) == [("x", b"mine")]
    assert made.other("other").get("x") == b"theirs"
    assert not hasattr(made.other("other"), "put")
    assert view(state, "notes2").get("x") == b"near"


def test_events_carry_the_contracts_name_in_order() -> None:
    made, _ = context(MemoryState())
    made.emit("first")
    made.emit("second", b"body")
    assert made.events == (Event("notes", "first", b""), Event("notes", "second", b"body"))


def test_the_registry_names_contracts_as_they_name_themselves() -> None:
    assert {"evidence", "membership", "sharing", "training"} <= set(CONTRACTS)
    assert all(name == contract.name and "/" not in name for name, contract in CONTRACTS.items())
    # `sys/` is the ledger's own part of the state.
    assert "sys" not in CONTRACTS


def test_a_blocks_writes_name_the_contracts_that_they_concern():
    writes = Writes(((b"access/due/ada/1", b""), (b"access/grant/1", None), (b"sys/head", b"1")), ())

    assert changed_contracts(writes) == {"access", "sys"}
    assert changed_contracts(Writes((), ())) == frozenset()
