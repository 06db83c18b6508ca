"""The state tree against a plain rebuild: the root follows from the keys and values alone."""

from hashlib import sha256
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.base.crown import CROWN_LEVELS
from node.base.ports import Writes
from node.base.types import ZERO_DIGEST
from node.ledger import tree
from node.ledger.memory import MemoryState
from node.ledger.tree import StateProof, prove_key, state_root, tree_rows, updated, verify_key

KEYS = st.binary(min_size=1, max_size=2)
VALUES = st.binary(max_size=3)


def write(state: MemoryState, changes: dict[bytes, bytes | None]) -> bytes:
    ordered = tuple(sorted(changes.items()))
    made = updated(state, ordered)
    state.apply(Writes(ordered, made.pages, made.crown))
    assert made.root == state_root(state)
    return made.root


def rebuilt(values: dict[bytes, bytes]) -> MemoryState:
    state = MemoryState()
    write(state, dict(values))
    return state


def rows(state: MemoryState) -> list[tuple[bytes, bytes]]:
    return list(tree_rows(sorted(state.pages.items()), state.crown))


def plain_root(values: dict[bytes, bytes]) -> bytes:
    """As the rule says it, without pages and crown."""

    def hashed(tag: str, data: bytes) -> bytes:
        return sha256(b"lepton/state-" + tag.encode() + b"\0" + data).digest()

    def node(leaves: dict[str, bytes], depth: int) -> bytes:
        if not leaves:
            return bytes(32)
        if len(leaves) == 1:
            return hashed("node", b"\0" + next(iter(leaves.values())))
        sides = [node({at: leaf for at, leaf in leaves.items() if at[depth] == bit}, depth + 1) for bit in "01"]
        return hashed("node", b"\1" + b"".join(sides))

    keys = {key: hashed("key", key) for key in values}
    bits = {key: f"{int.from_bytes(found, 'big'):0256b}" for key, found in keys.items()}
    return node({bits[key]: keys[key] + hashed("value", value) for key, value in values.items()}, 0)


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
        again = rebuilt(self.state.values)
        assert self.state.pages == again.pages
        assert rows(self.state) == rows(again)
        assert state_root(self.state) == plain_root(self.state.values)


TestTree = TreeMachine.TestCase
TestTree.settings = settings(
    max_examples=60, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_empty_state_has_the_zero_root() -> None:
    state = MemoryState()
    assert state_root(state) == ZERO_DIGEST
    write(state, {b"a": b"1"})
    write(state, {b"a": None})
    assert rows(state) == []
    assert state_root(state) == ZERO_DIGEST


def test_one_key_is_its_own_root_and_a_value_changes_it() -> None:
    one, other = rebuilt({b"a": b"1"}), rebuilt({b"a": b"2"})
    assert len(one.pages) == 1
    assert state_root(one) != state_root(other)


def test_the_cost_of_a_write_grows_with_the_logarithm_of_the_state() -> None:
    state = rebuilt({b"%d" % at: b"v" for at in range(10_000)})
    made = updated(state, [(b"77", b"new")])
    assert len(made.pages) == 1
    assert len(made.crown) == CROWN_LEVELS + 1


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that fork at few keys, and keys that agree in many bits."""
    monkeypatch.setattr(tree, "LEAVES_MAX", 2)
    plain = tree.key_hash
    monkeypatch.setattr(tree, "key_hash", lambda key: bytes(key[0] % 3 * 5) + plain(key)[key[0] % 3 * 5 :])


@pytest.mark.usefixtures("low")
def test_pages_fork_and_come_together_again() -> None:
    random = Random(7)
    state, values, forked = MemoryState(), dict[bytes, bytes](), 0
    for _ in range(60):
        keys = [random.randbytes(2) for _ in range(random.randint(1, 30))]
        keys += random.sample(sorted(values), random.randint(0, len(values)))
        changes = {key: random.choice((None, None, random.randbytes(3))) for key in keys}
        write(state, changes)
        values = {key: value for key, value in (values | changes).items() if value is not None}
        again = rebuilt(values)
        assert rows(state) == rows(again)
        assert all(tree.is_page(page) for page in state.pages.values())
        forked += sum(page[0] for page in state.pages.values())
        for key in [*keys, random.randbytes(2)]:
            proof = prove_key(state, key)
            assert verify_key(state_root(state), key, values.get(key), proof)
    assert forked > 60


@given(values=st.dictionaries(KEYS, VALUES, max_size=30), key=KEYS, guess=st.none() | VALUES)
@settings(deadline=None, max_examples=100)
def test_a_proof_shows_exactly_what_is_there(values: dict[bytes, bytes], key: bytes, guess: bytes | None) -> None:
    state = rebuilt(values)
    root = state_root(state)
    proof = prove_key(state, key)
    assert verify_key(root, key, values.get(key), proof)
    if guess != values.get(key):
        assert not verify_key(root, key, guess, proof)


@pytest.mark.parametrize("at", range(3))
def test_a_changed_proof_does_not_hold(at: int) -> None:
    state = rebuilt({b"%d" % number: b"v" for number in range(50)})
    root = state_root(state)
    proof = prove_key(state, b"7")
    changed = (
        StateProof(proof.siblings[:-1], proof.leaf),
        StateProof((*proof.siblings, ZERO_DIGEST), proof.leaf),
        StateProof(proof.siblings, proof.leaf[:-1] + bytes((proof.leaf[-1] ^ 1,))),
    )[at]
    assert not verify_key(root, b"7", b"v", changed)
    assert not verify_key(root, b"7", None, changed)


def test_absence_is_not_shown_by_a_leaf_from_elsewhere() -> None:
    state = rebuilt({b"%d" % number: b"v" for number in range(50)})
    root = state_root(state)
    elsewhere = prove_key(state, b"8")
    assert not verify_key(root, b"7", None, elsewhere)
