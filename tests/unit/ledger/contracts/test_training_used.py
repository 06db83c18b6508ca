"""Jobs that train on registered data sets: who may, and who is left out when it no longer may."""

import pytest

from node.base.codec import decode
from node.base.types import Digest, OrgId
from node.ledger.contracts.access import ACCESS, Ask, Cancel, Grant, Revoke
from node.ledger.contracts.agreements import AGREEMENTS, Operation, Sign, Terms, Withdraw
from node.ledger.contracts.contract import Rejected
from node.ledger.contracts.sharing import SHARING, Authorize, Register, Unauthorize
from node.ledger.contracts.training import (
    TRAINING,
    Approval,
    Approve,
    Commit,
    Have,
    JobEvent,
    JobState,
    JobTerms,
    LeftOut,
    Prepared,
    Present,
    Reduced,
    Used,
    job,
)
from node.ledger.contracts.training.types import USED_MAX
from node.testing.contract_bench import ContractBench

ADA, BOB, CID = (OrgId(name) for name in ("ada", "bob", "cid"))
DATA = "cid/rows"
ROOT, MODEL = Digest(b"r" * 32), Digest(b"m" * 32)
EXPIRES_MS = 1_500_000


class World:
    """A job of ada and bob; bob trains on cid's rows, under an agreement of the two."""

    def __init__(self, minimum: int = 1) -> None:
        self.bench = ContractBench(TRAINING, (ADA, BOB, CID))
        for owner in (CID, BOB):
            self.bench.call(owner, "register", Register("rows", ROOT), contract=SHARING)
        terms = Terms("Study", (BOB, CID), (DATA,), ("tests",), (Operation.TRAIN,), EXPIRES_MS, "")
        self.agreement, _ = self.bench.call(BOB, "draft", terms, contract=AGREEMENTS)
        self.bench.call(CID, "sign", Sign(self.agreement), contract=AGREEMENTS)
        ask = Ask(DATA, "tests", Operation.TRAIN, self.agreement, "")
        self.basis, _ = self.bench.call(BOB, "request", ask, contract=ACCESS)
        self.bench.call(CID, "grant", Grant(self.basis), contract=ACCESS)
        self.id, _ = self.bench.call(ADA, "propose", JobTerms("job", (ADA, BOB), 3, minimum, b"{}"))

    @property
    def job(self):
        return job(self.bench.view, self.id)

    def approve(self, org: OrgId, *used: Used) -> None:
        self.bench.call(org, "approve", Approve(self.id, ROOT, 100, used))

    def refused(self, org: OrgId, *used: Used) -> str:
        return self.bench.refused(org, "approve", Approve(self.id, ROOT, 100, used))

    def started(self) -> "World":
        self.approve(ADA)
        self.approve(BOB, Used(DATA, 1, self.basis))
        return self

    def close_round(self) -> list[tuple[str, str]]:
        """Bring the open training round to its end; the events of its last transaction."""
        bench, number = self.bench, self.job.training_round
        cohort = self.job.current.cohort
        for org in cohort:
            bench.call(org, "commit", Commit(self.id, number, ROOT, 0, 0))
        if number == 0:
            calls = [(org, "prepared", Prepared(self.id, 0, ROOT, MODEL, 512)) for org in cohort]
        else:
            for index, range_ in enumerate(self.job.current.ranges):
                bench.call(range_.reducer, "reduced", Reduced(self.id, number, 0, index, ROOT))
            calls = [(org, "have", Have(self.id, number, MODEL)) for org in cohort]
        events = ()
        for org, method, payload in calls:
            events = bench.call(org, method, payload)[1]
        return [(event.name, decode(JobEvent, event.body).detail) for event in events]


def test_an_approval_names_what_it_trains_on():
    world = World().started()
    found = [approval for approval in world.job.approvals if approval.org == BOB]
    assert found == [Approval(BOB, ROOT, 100, (Used(DATA, 1, world.basis),))]
    assert world.job.current.cohort == (ADA, BOB)


def test_what_may_not_be_trained_on():
    world = World()
    basis = world.basis
    assert world.refused(BOB, Used("cid/other", 1, basis)) == "unknown-data"
    assert world.refused(BOB, Used(DATA, 2, basis)) == "unknown-data"
    assert world.refused(BOB, Used(DATA, 1, None)) == "no-basis"
    assert world.refused(ADA, Used(DATA, 1, basis)) == "not-usable"
    assert world.refused(BOB, Used("bob/rows", 1, basis)) == "not-usable"
    assert world.refused(BOB, Used(DATA, 1, Digest(bytes(32)))) == "not-usable"
    assert world.refused(BOB, Used(DATA, 1, basis), Used("bob/rows", 1, None)) == "bad-used"
    assert world.refused(BOB, Used(DATA, 1, basis), Used(DATA, 1, basis)) == "bad-used"
    assert world.refused(BOB, *(Used("bob/rows", number, None) for number in range(USED_MAX + 1))) == "bad-used"
    other, _ = world.bench.call(BOB, "request", Ask(DATA, "tests", Operation.DOWNLOAD, None, ""), contract=ACCESS)
    world.bench.call(CID, "grant", Grant(other), contract=ACCESS)
    assert world.refused(BOB, Used(DATA, 1, other)) == "not-usable"
    world.bench.call(CID, "revoke", Revoke(basis, ""), contract=ACCESS)
    assert world.refused(BOB, Used(DATA, 1, basis)) == "not-usable"


def test_own_data_need_no_basis_and_an_authorization_is_one():
    world = World()
    basis, _ = world.bench.call(CID, "authorize", Authorize(DATA, BOB), contract=SHARING)
    world.approve(BOB, Used("bob/rows", 1, None), Used(DATA, 1, basis))
    world.approve(ADA)
    world.bench.call(CID, "unauthorize", Unauthorize(DATA, BOB), contract=SHARING)
    world.close_round()
    assert [left.org for left in world.job.left_out] == [BOB]


@pytest.mark.parametrize("ended", ["revoked", "withdrew", "expired", "cancelled"])
def test_whose_basis_ended_is_left_out_from_the_next_training_round(ended: str):
    world = World().started()
    world.close_round()
    before = world.job.current.cohort
    match ended:
        case "revoked":
            world.bench.call(CID, "revoke", Revoke(world.basis, ""), contract=ACCESS)
        case "withdrew":
            world.bench.call(CID, "withdraw", Withdraw(world.agreement, ""), contract=AGREEMENTS)
        case "expired":
            world.bench.time_ms = EXPIRES_MS
        case "cancelled":
            world.bench.call(BOB, "cancel", Cancel(world.basis), contract=ACCESS)
    events = world.close_round()
    (left,) = world.job.left_out
    assert before == (ADA, BOB)
    assert world.job.current.cohort == (ADA,)
    assert left.org == BOB
    assert ended in left.why
    assert ("left-out", f"bob: {left.why}") in events
    with pytest.raises(Rejected) as caught:
        world.bench.call(BOB, "present", Present(world.id))
    assert caught.value.code == "left-out"
    assert "left-out" not in [name for name, _ in world.close_round()]
    assert world.job.state is JobState.TRAINING
    world.close_round()
    assert world.job.state is JobState.DONE


def test_whoever_lost_its_data_before_the_start_is_in_no_cohort():
    world = World()
    world.approve(BOB, Used(DATA, 1, world.basis))
    world.bench.call(CID, "revoke", Revoke(world.basis, "over"), contract=ACCESS)
    world.approve(ADA)
    assert world.job.current.cohort == (ADA,)
    assert world.job.left_out == (LeftOut(BOB, f"{DATA}: The owner has revoked the grant; request access anew."),)


def test_with_too_few_left_the_job_fails_and_says_so():
    world = World(minimum=2).started()
    world.close_round()
    world.bench.call(CID, "revoke", Revoke(world.basis, ""), contract=ACCESS)
    world.close_round()
    assert world.job.state is JobState.FAILED
    assert "1 member is left and the job asks for 2" in world.job.reason
