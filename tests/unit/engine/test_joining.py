"""When a candidate tells the ledger that it is ready."""

import pytest

from node.base.types import Height, OrgId
from node.engine.joining import ready_now
from node.ledger.contracts.membership import Admit, Remove
from node.ledger.system import ROOTS_MAX
from node.testing.society import Society

EVE = OrgId("eve")


@pytest.fixture
def society() -> Society:
    """Four members; eve is a candidate."""
    made = Society(["ada", "bob", "cid", "dot"])
    made.pass_motion(Admit(made.card("eve")))
    return made


def says(society: Society, *, behind: bool = False, said: Height | None = None) -> bool:
    return ready_now(society.state, EVE, society.root(), behind=behind, said=said)


def test_a_candidate_that_has_caught_up_is_ready_and_one_that_is_behind_is_not(society: Society) -> None:
    assert says(society)
    assert not says(society, behind=True)


def test_it_says_so_once_while_its_state_is_one_of_the_last(society: Society) -> None:
    said = society.height
    society.blocks(ROOTS_MAX - 1)
    assert not says(society, said=said)
    society.blocks(1)
    assert says(society, said=said)


def test_what_waits_in_the_queue_is_not_said_again(society: Society) -> None:
    assert society.call("eve", "ready", society.root()).accepted
    assert not says(society)


def test_members_strangers_and_the_removed_say_nothing(society: Society) -> None:
    assert not ready_now(society.state, OrgId("ada"), society.root(), behind=False, said=None)
    assert not ready_now(society.state, OrgId("zed"), society.root(), behind=False, said=None)
    society.pass_motion(Remove(EVE))
    assert not says(society)
