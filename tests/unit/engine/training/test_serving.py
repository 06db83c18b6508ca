"""Who may ask for what: each right is the ledger's word, and everything else is refused."""

import asyncio

import numpy as np
import pytest

from node.base.codec import decode, encode
from node.base.ports import BulkRefused
from node.base.types import Digest, OrgId
from node.core.averaging import CommittedUpdate, Result, Statement
from node.edge.storage.sealed import FileSealer
from node.engine.training.holdings import Holdings, Running
from node.engine.training.requests import (
    BulkRequest,
    LeavesRequest,
    ModelRequest,
    RelayedRequest,
    RelayRequest,
    ResultRequest,
    StatementRequest,
)
from node.engine.training.serving import Server
from node.engine.training.shelf import Shelf, file_digest
from node.ledger.contracts.training import TRAINING, Approve, Commit, Have, JobTerms, Prepared, Reduced
from node.testing.contract_bench import ContractBench

ORGS = [OrgId(f"m{at}") for at in range(4)]
M0, M1, M2, M3 = ORGS
OTHER = OrgId("other")
LENGTH = 2048


class NoTransport:
    """A member that reaches nobody."""

    def send(self, peer, message):
        raise AssertionError("nothing is sent")

    async def fetch(self, peer, request):
        raise AssertionError("nobody is asked")
        yield b""

    def connected(self):
        return frozenset()

    def cut(self, peer, seconds, reason):
        raise AssertionError("nobody is cut off")


class Desk:
    """The server of m0 in a job of four, at the wanted place."""

    def __init__(self, folder):
        self.bench = ContractBench(TRAINING, [*ORGS, OTHER])
        self.id, _ = self.bench.call(M0, "propose", JobTerms("job", tuple(ORGS), 2, 1, b""))
        for org in ORGS:
            self.bench.call(org, "approve", Approve(self.id, Digest(bytes(32)), 1))
        self.shelf = Shelf(folder / "models", folder / "inputs", FileSealer(bytes(32)), lambda line: None)
        self.shelf.write_statement(self.id, Statement(bytes(32), b"counts"))
        holdings = Holdings(self.shelf, self.id, 1)
        holdings.keep(CommittedUpdate(np.arange(LENGTH, dtype=np.int32), bytes(32)))
        holdings.results[0, 2] = Result(np.arange(512, dtype=np.int32))
        self.result = holdings.results[0, 2]
        self.model = self.shelf.write_model(self.id, 1, b"the model")
        running = {(self.id, 1): Running(None, holdings)}
        self.server = Server(M0, self.bench.state, self.shelf, running, NoTransport(), lambda org: None)

    def to(self, phase):
        steps = ["preparing", "committing", "reducing", "closing", "closed"]
        for step in steps[: steps.index(phase) + 1]:
            getattr(self, f"_{step}")()
        return self

    def _preparing(self):
        for org in ORGS:
            self.bench.call(org, "commit", Commit(self.id, 0, Digest(bytes(32)), 0, 0))

    def _committing(self):
        for org in ORGS[:3]:
            self.bench.call(org, "prepared", Prepared(self.id, 0, Digest(bytes(32)), Digest(bytes(32)), LENGTH))

    def _reducing(self):
        for org in ORGS:
            self.bench.call(org, "commit", Commit(self.id, 1, Digest(bytes(32)), 0, 0))

    def _closing(self):
        for at, org in enumerate(ORGS):
            self.bench.call(org, "reduced", Reduced(self.id, 1, 0, at, self.result.root))

    def _closed(self):
        for org in ORGS[:3]:
            self.bench.call(org, "have", Have(self.id, 1, self.model))

    async def ask(self, peer, request):
        return [chunk async for chunk in self.server.serve(peer, encode(request, BulkRequest))]

    async def refused(self, peer, request):
        with pytest.raises(BulkRefused) as caught:
            await self.ask(peer, request)
        return str(caught.value)

    def leaves(self, index, number=1, owner=M0, have=None):
        return LeavesRequest(self.id, number, owner, 2 * index, 2 * index + 2, 2 * index if have is None else have)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


async def test_a_request_that_the_next_block_allows_is_held_until_it_comes(desk):
    desk.to("committing")
    asked = asyncio.create_task(desk.ask(M1, desk.leaves(1)))
    await asyncio.sleep(0)
    desk.server.changed()
    await asyncio.sleep(0)
    assert not asked.done()
    desk._reducing()
    desk.server.changed()
    assert await asked == await desk.ask(M1, desk.leaves(1)) != []


async def test_nonsense_is_refused(desk):
    with pytest.raises(BulkRefused, match="not a request"):
        [chunk async for chunk in desk.server.serve(M1, b"\xff\x00")]


async def test_leaves_go_to_the_reducer_of_their_range_alone(desk):
    desk.to("reducing")
    assert len(await desk.ask(M1, desk.leaves(1))) == 1
    assert "neither sums" in await desk.refused(M2, desk.leaves(1))
    assert "neither sums" in await desk.refused(M3, desk.leaves(1))
    assert "neither sums" in await desk.refused(OTHER, desk.leaves(1))


async def test_the_second_copies_the_reducers_own_leaves_only(desk):
    desk.to("reducing")
    # m1 is m0's second: it copies m0's leaves of range 0. m2 is m1's second and has to wait for the closing.
    assert len(await desk.ask(M1, desk.leaves(0))) == 1
    assert "neither sums" in await desk.refused(M2, desk.leaves(1))
    desk._closing()
    assert len(await desk.ask(M2, desk.leaves(1))) == 1
    assert "neither sums" in await desk.refused(M3, desk.leaves(1))


@pytest.mark.parametrize("phase", ["preparing", "committing", "closed"])
async def test_leaves_are_not_given_outside_the_exchange(desk, phase):
    desk.to(phase)
    await desk.refused(M1, desk.leaves(1))


async def test_leaves_of_another_round_range_or_owner_are_refused(desk):
    desk.to("reducing")
    assert "not exchanged now" in await desk.refused(M1, desk.leaves(1, number=2))
    assert "no candidate" in await desk.refused(M1, desk.leaves(1, owner=M2))
    assert "neither sums" in await desk.refused(M1, LeavesRequest(desk.id, 1, M0, 0, 8, 0))
    assert "not between" in await desk.refused(M1, desk.leaves(1, have=4))
    assert "not between" in await desk.refused(M1, desk.leaves(1, have=-1))
    assert "no such training round" in await desk.refused(M1, LeavesRequest(Digest(b"x" * 32), 1, M0, 0, 2, 0))


async def test_statistics_go_to_the_cohort_during_the_preparation(desk):
    assert "no candidate" in await desk.refused(M1, StatementRequest(desk.id, M0))
    desk.to("preparing")
    (chunk,) = await desk.ask(M1, StatementRequest(desk.id, M0))
    assert decode(Statement, chunk).blob == b"counts"
    assert "cohort" in await desk.refused(OTHER, StatementRequest(desk.id, M0))
    desk._committing()
    await desk.refused(M1, StatementRequest(desk.id, M0))


async def test_results_wait_until_the_contributors_are_final(desk):
    request = ResultRequest(desk.id, 1, 0, 2, 0)
    desk.to("reducing")
    assert "contributors are final" in await desk.refused(M1, request)
    desk._closing()
    assert len(await desk.ask(M1, request)) == 1
    assert "participants" in await desk.refused(OTHER, request)
    assert "does not hold" in await desk.refused(M1, ResultRequest(desk.id, 1, 2, 4, 0))
    assert "2 leaves" in await desk.refused(M1, ResultRequest(desk.id, 1, 0, 2, 2))
    desk._closed()
    assert len(await desk.ask(M1, request)) == 1


async def test_a_result_that_is_not_the_reported_one_is_not_given(desk):
    desk.result = Result(np.ones(512, dtype=np.int32))
    desk.to("closing")
    assert "does not hold" in await desk.refused(M1, ResultRequest(desk.id, 1, 0, 2, 0))


async def test_a_model_goes_to_participants_once_its_training_round_is_closed(desk):
    request = ModelRequest(desk.id, 1, desk.model, 0)
    desk.to("closing")
    assert "no such model" in await desk.refused(M1, request)
    desk._closed()
    assert b"".join(await desk.ask(M1, request)) == b"the model"
    assert "participants" in await desk.refused(OTHER, request)
    assert "no such model" in await desk.refused(M1, ModelRequest(desk.id, 1, Digest(bytes(32)), 0))
    assert "9 bytes" in await desk.refused(M1, ModelRequest(desk.id, 1, desk.model, 9))


async def test_answers_are_relayed_within_the_cohort_only(desk):
    desk.to("reducing")
    inner = LeavesRequest(desk.id, 1, M2, 2, 4, 2)
    assert "one cohort" in await desk.refused(OTHER, RelayRequest(inner))
    assert "one cohort" in await desk.refused(M2, RelayRequest(inner))
    assert "one cohort" in await desk.refused(M1, RelayRequest(desk.leaves(1)))
    assert "one cohort" in await desk.refused(OTHER, RelayedRequest(M1, desk.leaves(1)))
    # Without a key to seal to, nothing leaves.
    assert "one cohort" in await desk.refused(M2, RelayedRequest(M1, desk.leaves(1)))


async def test_models_and_updates_are_kept_as_long_as_they_are_needed(desk, tmp_path):
    for number in range(8):
        desk.shelf.write_model(desk.id, number, bytes([number]))
    desk.shelf.forget(desk.id, 7)
    names = sorted(path.name for path in (tmp_path / "models").glob("*/*"))
    assert names == [f"round-{number}.safetensors" for number in range(3, 8)]
    assert desk.shelf.statement(desk.id) is None
    assert desk.shelf.find_model(desk.id, file_digest(b"\x05")).name == "round-5.safetensors"
    assert desk.shelf.find_model(desk.id, file_digest(b"\x01")) is None


async def test_private_files_are_sealed_on_disk(desk, tmp_path):
    (path,) = (tmp_path / "inputs").iterdir()
    assert b"counts" not in path.read_bytes()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert desk.shelf.statement(desk.id) is None
