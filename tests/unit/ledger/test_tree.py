"""The state tree against a plain rebuild: the root follows from the keys and values alone."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.base.ports import Writes
from node.base.types import ZERO_DIGEST
from node.ledger.memory import MemoryState
from node.ledger.tree import StateProof, prove_key, state_root, updated_nodes, verify_key

KEYS = st.binary(min_size=1, max_size=2)
VALUES = st.binary(max_size=3)


def write(state: MemoryState, changes: dict[bytes, bytes | None]) -> bytes:
    ordered = tuple(sorted(changes.items()))
    root, nodes = updated_nodes(state.node, ordered)
    state.apply(Writes(ordered, nodes))
    assert root == state_root(state.node)
    return root


def rebuilt(values: dict[bytes, bytes]) -> MemoryState:
    state = MemoryState()
    write(state, dict(values))
    return state


class TreeMachine(RuleBasedStateMachine):
    """Any history of batches leaves the same nodes as one write of what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.state = MemoryState()

    @rule(changes=st.dictionaries(KEYS, st.none() | VALUES, max_size=12))
    def batch(self, changes: dict[bytes, bytes | None]) -> None:
        write(self.state, changes)

    @rule()
    def delete_all_but_one(self) -> None:
        write(self.state, dict.fromkeys(sorted(self.state.values)[1:]))

    @invariant()
    def same_as_rebuilt(self) -> None:
        assert self.state.nodes == rebuilt(self.state.values).nodes


TestTree = TreeMachine.TestCase
TestTree.settings = settings(
    max_examples=60, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_empty_state_has_the_zero_root() -> None:
    state = MemoryState()
    assert state_root(state.node) == ZERO_DIGEST
    write(state, {b"a": b"1"})
    write(state, {b"a": None})
    assert state.nodes == {}
    assert state_root(state.node) == ZERO_DIGEST


def test_one_key_is_its_own_root_and_a_value_changes_it() -> None:
    one, other = rebuilt({b"a": b"1"}), rebuilt({b"a": b"2"})
    assert len(one.nodes) == 1
    assert list(one.nodes) == [b"\x80"]
    assert state_root(one.node) != state_root(other.node)


def test_the_cost_of_a_write_grows_with_the_logarithm_of_the_state() -> None:
    state = rebuilt({b"%d" % at: b"v" for at in range(10_000)})
    reads = 0

    def counted(path: bytes) -> bytes | None:
        nonlocal reads
        reads += 1
        return state.node(path)

    _, nodes = updated_nodes(counted, [(b"77", b"new")])
    assert reads < 40
    assert len(nodes) < 40


@given(values=st.dictionaries(KEYS, VALUES, max_size=30), key=KEYS, guess=st.none() | VALUES)
@settings(deadline=None, max_examples=100)
def test_a_proof_shows_exactly_what_is_there(values: dict[bytes, bytes], key: bytes, guess: bytes | None) -> None:
    state = rebuilt(values)
    root = state_root(state.node)
    proof = prove_key(state.node, key)
    assert verify_key(root, key, values.get(key), proof)
    if guess != values.get(key):
        assert not verify_key(root, key, guess, proof)


@pytest.mark.parametrize("at", range(3))
def test_a_changed_proof_does_not_hold(at: int) -> None:
    state = rebuilt({b"%d" % number: b"v" for number in range(50)})
    root = state_root(state.node)
    proof = prove_key(state.node, b"7")
    changed = (
        StateProof(proof.siblings[:-1], proof.leaf),
        StateProof((*proof.siblings, ZERO_DIGEST), proof.leaf),
        StateProof(proof.siblings, proof.leaf[:-1] + bytes((proof.leaf[-1] ^ 1,))),
    )[at]
    assert not verify_key(root, b"7", b"v", changed)
    assert not verify_key(root, b"7", None, changed)


def test_absence_is_not_shown_by_a_leaf_from_elsewhere() -> None:
    state = rebuilt({b"%d" % number: b"v" for number in range(50)})
    root = state_root(state.node)
    elsewhere = prove_key(state.node, b"8")
    assert not verify_key(root, b"7", None, elsewhere)
