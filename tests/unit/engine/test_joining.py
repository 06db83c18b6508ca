"""When a candidate tells the ledger that it is ready."""

import asyncio

import pytest

from node.base.crypto import digest
from node.base.types import Digest, Height, OrgId
from node.engine.joining import REPEAT_BLOCKS, Joiner, ready_now
from node.ledger.contracts.membership import Admit, Remove
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


def test_it_says_so_once_in_a_while(society: Society) -> None:
    said = society.height
    society.blocks(REPEAT_BLOCKS - 1)
    assert not says(society, said=said)
    society.blocks(1)
    assert says(society, said=said)


def test_who_is_admitted_again_says_it_again_however_few_blocks_ago_it_did(society: Society) -> None:
    said = society.height
    assert society.call("eve", "ready", society.root()).accepted
    society.blocks(2)
    society.pass_motion(Remove(EVE))
    society.blocks(2)
    society.pass_motion(Admit(society.card("eve")))

    assert society.height - said < REPEAT_BLOCKS
    assert says(society, said=said)
    assert not says(society, said=society.height)


def test_what_waits_in_the_queue_is_not_said_again(society: Society) -> None:
    assert society.call("eve", "ready", society.root()).accepted
    assert not says(society)


def test_members_strangers_and_the_removed_say_nothing(society: Society) -> None:
    assert not ready_now(society.state, OrgId("ada"), society.root(), behind=False, said=None)
    assert not ready_now(society.state, OrgId("zed"), society.root(), behind=False, said=None)
    society.pass_motion(Remove(EVE))
    assert not says(society)


class Told:
    """What a joiner says, and the moment that a test waits for."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.came = asyncio.Event()

    async def submit(self, contract: str, method: str, payload: bytes) -> Digest:
        self.calls.append(f"{contract}.{method}")
        self.came.set()
        return Digest(digest("transaction", payload))


async def test_blocks_wake_who_may_join_and_nobody_else() -> None:
    society, told, looks = Society(["ada", "bob", "cid", "dot"]), Told(), []

    def is_behind() -> bool:
        looks.append(society.height)
        return False

    def head() -> tuple[Height, Digest]:
        root = society.root()
        return root.height, root.state_root

    joiner = Joiner(EVE, society.state, head=head, is_behind=is_behind, submit=told.submit, log=lambda text: None)
    work = asyncio.create_task(joiner.run())
    joiner.look()
    await turns()
    for _ in range(3):
        society.blocks(1)
        joiner.look()
        await turns()
    assert not looks

    society.pass_motion(Admit(society.card("eve")))
    joiner.standing_changed()
    joiner.look()
    async with asyncio.timeout(5):
        await told.came.wait()
    joiner.look()
    await turns()

    assert told.calls == ["membership.ready"]
    assert len(looks) == 2
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def turns() -> None:
    """Let the others run until none of them has anything left to do."""
    for _ in range(10):
        await asyncio.sleep(0)
