"""A chain followed offline: by the version of CEL that decided each height, or not at all."""

import pytest

from node.base.types import CEL_VERSION, Height
from node.ledger.contracts.membership import Adopt
from node.ledger.errors import OtherCel
from node.ledger.following import follow
from node.ledger.genesis import genesis_writes
from node.ledger.memory import MemoryState
from node.testing.signing import verify_hash
from node.testing.society import Society

LATER = "0.2.0"


def followed(society: Society, cel_version: str) -> int:
    """Execute the chain again with this version installed; the height that was reached. Raises `OtherCel`."""
    state, parent = MemoryState(), society.founding.chain
    state.apply(genesis_writes(society.founding.genesis))
    for certified in society.certified:
        executed = follow(state, society.founding.chain, parent, certified, verify_hash, cel_version)
        state.apply(executed.writes)
        parent = certified.block.digest
    return len(society.certified)


def test_with_another_cel_than_a_height_was_decided_by_nothing_is_executed_again() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    society.blocks(2)
    before = followed(society, CEL_VERSION)
    first = Height(society.height + 5)
    assert society.pass_motion(Adopt(LATER, first)).accepted
    society.blocks(8)

    with pytest.raises(OtherCel) as at_adoption:
        followed(society, CEL_VERSION)
    with pytest.raises(OtherCel) as from_the_start:
        followed(society, LATER)

    assert before == 2
    assert at_adoption.value.height == first
    assert f"below height {first}; there contracts are decided by CEL {LATER}" in str(at_adoption.value)
    assert from_the_start.value.height == 1
