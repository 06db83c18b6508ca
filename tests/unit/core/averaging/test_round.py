"""Transcripts of one member's machine: what the ledger shows, what it is told, what it asks for."""

import pytest

from node.base.types import Digest, Instant, OrgId
from node.core.averaging import (
    Announce,
    Apply,
    AveragingRound,
    Begin,
    Cancel,
    Committed,
    Done,
    Gather,
    Heard,
    LedgerView,
    Obtain,
    ObtainStatement,
    Preparation,
    Prepare,
    Progress,
    Reduce,
    Submit,
    Tick,
    Train,
    Unobtainable,
)
from node.core.averaging.round import ANNOUNCE_EVERY_MS, RESUBMIT_FIRST_MS
from node.ledger.contracts.training import (
    TRAINING,
    Approve,
    Commit,
    Have,
    JobTerms,
    Late,
    Missing,
    Phase,
    Prepared,
    Reduced,
    Unable,
    job,
    training_round,
)
from node.testing.contract_bench import ContractBench

ORGS = [OrgId(f"m{at}") for at in range(4)]
M0, M1, M2, M3 = ORGS
DEADLINE_MS = 5_000
ROOT = Digest(b"r" * 32)
MODEL = Digest(b"m" * 32)


class Story:
    """A ledger with a job of four, and the machine of m0 in one training round."""

    def __init__(self, number=1, length=2048):
        self.bench = ContractBench(TRAINING, ORGS)
        self.now_ms = 0
        self.id, _ = self.bench.call(M0, "propose", JobTerms("job", (), 3, 1, b""))
        self.number = number
        for org in ORGS:
            self.bench.call(org, "approve", Approve(self.id, ROOT, 100))
        if number:
            for org in ORGS:
                self.bench.call(org, "commit", Commit(self.id, 0, ROOT, 0, 0))
            for org in ORGS[:3]:
                self.bench.call(org, "prepared", Prepared(self.id, 0, ROOT, MODEL, length))
        self.machine = AveragingRound(M0)

    def step(self, input_):
        return self.machine.step(input_, now=Instant(self.now_ms, 0))

    def see(self):
        found, record = job(self.bench.view, self.id), training_round(self.bench.view, self.id, self.number)
        return self.step(LedgerView(found, record))

    def call(self, org, method, payload):
        self.bench.call(org, method, payload)

    def done(self, work, outcome=None):
        return self.step(Done(work, outcome))

    @property
    def record(self):
        return training_round(self.bench.view, self.id, self.number)

    def commit_all(self, orgs=ORGS):
        for org in orgs:
            self.call(org, "commit", Commit(self.id, self.number, ROOT, 0, 0))
        return self

    def reduce_all(self):
        for at, range_ in enumerate(self.record.ranges):
            self.call(range_.reducer, "reduced", Reduced(self.id, 1, self.record.attempt, at, ROOT))
        return self

    def drop(self, member):
        for org in [org for org in ORGS if org != member][:2]:
            self.call(org, "missing", Missing(self.id, self.number, self.record.attempt, member))

    def late(self, member, attempt=0):
        return Late(self.id, self.number, self.record.phase, attempt, member)


def obtains(start, stop, *owners):
    return [Begin(Obtain(owner, start, stop)) for owner in owners]


def gather(index, reducer, second):
    return Gather(2 * index, 2 * index + 2, ROOT, reducer, second)


def test_a_whole_training_round():
    story = Story()
    assert story.see() == [Begin(Train(1))]
    commit = Commit(story.id, 1, ROOT, -1, 2)
    assert story.done(Train(1), Committed(ROOT, -1, 2)) == [Submit("commit", commit)]
    story.commit_all()
    # m0 sums leaves 0 and 1, and keeps a copy of m3's own leaves 6 and 7, whose second it is.
    assert story.see() == [*obtains(0, 2, M1, M2, M3), *obtains(6, 8, M3)]
    for owner in (M1, M2):
        assert story.done(Obtain(owner, 0, 2)) == []
    reduce = Reduce(0, 2, tuple(ORGS))
    assert story.done(Obtain(M3, 0, 2)) == [Begin(reduce)]
    assert story.done(reduce, ROOT) == []
    reduced = Reduced(story.id, 1, 0, 0, ROOT)
    assert story.done(Obtain(M3, 6, 8)) == [Submit("reduced", reduced)]
    story.reduce_all()
    wanted = [gather(1, M1, M2), gather(2, M2, M3), gather(3, M3, M0)]
    assert story.see() == [Begin(work) for work in wanted]
    for work in wanted[:2]:
        assert story.done(work) == []
    assert story.done(wanted[2]) == [Begin(Apply(1))]
    assert story.done(Apply(1), MODEL) == [Submit("have", Have(story.id, 1, MODEL))]
    for org in ORGS[:3]:
        story.call(org, "have", Have(story.id, 1, MODEL))
    assert story.see() == []
    assert story.machine.wake_at is None


def test_the_preparation():
    story = Story(0)
    assert story.see() == [Begin(Train(0))]
    story.commit_all()
    assert story.see() == [Cancel(Train(0)), *[Begin(ObtainStatement(org)) for org in (M1, M2, M3)]]
    for org in (M1, M2):
        assert story.done(ObtainStatement(org)) == []
    assert story.done(ObtainStatement(M3)) == [Begin(Prepare(tuple(ORGS)))]
    outcome = Preparation(ROOT, MODEL, 2048)
    prepared = Prepared(story.id, 0, ROOT, MODEL, 2048)
    assert story.done(Prepare(tuple(ORGS)), outcome) == [Submit("prepared", prepared)]


def test_a_preparation_under_way_is_brought_to_its_end_when_the_others_are_faster():
    story = Story(0)
    story.commit_all()
    story.see()
    for org in (M1, M2, M3):
        story.done(ObtainStatement(org))
    for org in (M1, M2, M3):
        story.call(org, "prepared", Prepared(story.id, 0, ROOT, MODEL, 2048))
    assert story.see() == []
    assert story.done(Prepare(tuple(ORGS)), Preparation(ROOT, MODEL, 2048)) == []


def test_statistics_that_the_others_no_longer_need_are_given_up():
    story = Story(0)
    story.commit_all()
    story.see()
    story.done(ObtainStatement(M1))
    for org in (M1, M2, M3):
        story.call(org, "prepared", Prepared(story.id, 0, ROOT, MODEL, 2048))
    assert story.see() == [Cancel(ObtainStatement(M2)), Cancel(ObtainStatement(M3))]


def test_a_preparation_that_fails_is_said_in_words_of_the_ledger():
    story = Story(0)
    story.commit_all()
    story.see()
    for org in (M1, M2, M3):
        story.done(ObtainStatement(org))
    effects = story.step(Unobtainable(Prepare(tuple(ORGS)), "no column\nage " + "x" * 400))
    assert effects == [Submit("unable", Unable(story.id, 0, "no column age " + "x" * 286))]


def test_training_that_fails_gives_up_at_once():
    story = Story()
    story.see()
    assert story.step(Unobtainable(Train(1), "not finite")) == [Submit("late", story.late(M0))]


def test_the_silent_are_called_late_after_one_deadline_each():
    story = Story()
    story.see()
    story.done(Train(1), Committed(ROOT, 0, 0))
    story.call(M0, "commit", Commit(story.id, 1, ROOT, 0, 0))
    story.call(M1, "commit", Commit(story.id, 1, ROOT, 0, 0))
    story.now_ms = 1_000
    story.see()
    story.now_ms = 3_000
    story.step(Heard(M2))
    assert story.machine.wake_at == DEADLINE_MS
    story.now_ms = DEADLINE_MS - 1
    assert story.step(Tick()) == []
    story.now_ms = DEADLINE_MS
    assert story.step(Tick()) == [Submit("late", story.late(M3))]
    story.call(M0, "late", story.late(M3))
    story.see()
    assert story.machine.wake_at == 3_000 + DEADLINE_MS
    story.now_ms = 3_000 + DEADLINE_MS
    assert story.step(Tick()) == [Submit("late", story.late(M2))]


def test_who_waits_for_the_ledger_is_heard():
    story = Story()
    story.see()
    story.done(Train(1), Committed(ROOT, 0, 0))
    waiting = [Announce(1, "committing", "waiting for the ledger")]
    assert story.machine.wake_at == ANNOUNCE_EVERY_MS
    story.now_ms = ANNOUNCE_EVERY_MS
    assert story.step(Tick()) == waiting
    assert story.machine.wake_at == 2 * ANNOUNCE_EVERY_MS
    story.now_ms = 2 * ANNOUNCE_EVERY_MS
    assert story.step(Tick()) == waiting
    story.call(M0, "commit", Commit(story.id, 1, ROOT, 0, 0))
    story.see()
    story.now_ms = 3 * ANNOUNCE_EVERY_MS
    assert story.step(Tick()) == []


def test_a_member_that_was_stopped_itself_calls_nobody_late_for_it():
    story = Story()
    story.see()
    story.done(Train(1), Committed(ROOT, 0, 0))
    story.commit_all((M0, M1, M2))
    story.see()
    story.now_ms = 60_000
    assert story.step(Tick()) == []
    story.now_ms += DEADLINE_MS - 1
    assert story.step(Tick()) == []
    story.now_ms += 1
    assert story.step(Tick()) == [Submit("late", story.late(M3))]


def test_what_the_ledger_does_not_show_is_said_again():
    story = Story()
    story.see()
    submitted = story.done(Train(1), Committed(ROOT, 0, 0))
    assert story.see() == []
    story.now_ms = RESUBMIT_FIRST_MS
    assert story.step(Tick())[:1] == submitted
    story.now_ms = 2 * RESUBMIT_FIRST_MS
    assert story.step(Tick())[:1] != submitted
    story.now_ms = 3 * RESUBMIT_FIRST_MS
    assert submitted[0] in story.step(Tick())


def test_a_late_reducers_range_goes_to_its_second_and_all_sums_are_made_again_from_what_is_held():
    story = Story()
    story.commit_all()
    story.see()
    for owner in (M1, M2, M3):
        story.done(Obtain(owner, 0, 2))
    story.done(Obtain(M3, 6, 8))
    story.done(Reduce(0, 2, tuple(ORGS)), ROOT)
    for org in (M0, M1, M2):
        story.call(org, "late", story.late(M3))
    left = (M0, M1, M2)
    # Leaves 0 and 1 are here already. It is m2's second now, and of 6 and 7 it had m3's copy only.
    assert story.see() == [*obtains(4, 6, M2), *obtains(6, 8, M1, M2), Begin(Reduce(0, 2, left))]


def test_the_second_of_a_vanished_reducer_asks_for_what_it_lacks():
    story = Story()
    story.commit_all()
    story.see()
    story.drop(M3)
    effects = story.see()
    assert Begin(Obtain(M1, 6, 8)) in effects
    assert Begin(Obtain(M2, 6, 8)) in effects
    assert {effect.work for effect in effects if isinstance(effect, Cancel)} == {Obtain(M3, 0, 2), Obtain(M3, 6, 8)}


def test_a_contributor_that_cannot_be_got_is_reported_once():
    story = Story()
    story.commit_all()
    story.see()
    missing = Missing(story.id, 1, 0, M2)
    assert story.step(Unobtainable(Obtain(M2, 0, 2), "nobody has it")) == [Submit("missing", missing)]
    story.call(M0, "missing", missing)
    assert story.see() == []
    # It came after all: nothing more is said of it.
    assert story.done(Obtain(M2, 0, 2)) == []


def test_a_result_that_cannot_be_got_is_made_again_by_the_second_alone():
    story = Story()
    story.commit_all()
    story.see()
    story.done(Obtain(M3, 6, 8))
    story.reduce_all()
    story.see()
    assert story.step(Unobtainable(gather(1, M1, M2), "gone")) == []
    assert story.step(Unobtainable(gather(3, M3, M0), "gone")) == obtains(6, 8, M1, M2)
    story.done(Obtain(M1, 6, 8))
    assert story.done(Obtain(M2, 6, 8)) == [Begin(Reduce(6, 8, tuple(ORGS)))]
    # With the sum here the range need not be gathered any more.
    assert story.done(Reduce(6, 8, tuple(ORGS)), ROOT) == [Cancel(gather(3, M3, M0))]


@pytest.mark.parametrize("phase", [Phase.COMMITTING, Phase.REDUCING, Phase.CLOSING])
def test_a_restart_follows_from_the_ledger(phase):
    story = Story()
    if phase is not Phase.COMMITTING:
        story.commit_all()
    if phase is Phase.CLOSING:
        story.reduce_all()
    expected = {
        Phase.COMMITTING: [Begin(Train(1))],
        Phase.REDUCING: [*obtains(0, 2, M1, M2, M3), *obtains(6, 8, M3)],
        Phase.CLOSING: [
            # It lost its own sum: whoever gathered it may have it, else it is made again.
            Begin(gather(0, M0, M1)),
            *obtains(0, 2, M1, M2, M3),
            *[Begin(work) for work in (gather(1, M1, M2), gather(2, M2, M3), gather(3, M3, M0))],
        ],
    }
    assert story.see() == expected[phase]


def test_who_has_committed_does_not_train_again_after_a_restart():
    story = Story()
    story.call(M0, "commit", Commit(story.id, 1, ROOT, 0, 0))
    assert story.see() == []


def test_a_dropped_member_exchanges_nothing_and_still_makes_the_new_model():
    story = Story()
    story.commit_all()
    story.drop(M0)
    assert story.see() == []
    story.reduce_all()
    effects = story.see()
    assert [type(effect.work) for effect in effects] == [Gather] * 4


def test_progress_is_announced_at_most_once_a_second():
    story = Story()
    story.see()
    assert story.step(Progress("epoch 1 of 5")) == [Announce(1, "committing", "epoch 1 of 5")]
    story.now_ms = ANNOUNCE_EVERY_MS - 1
    assert story.step(Progress("epoch 2 of 5")) == []
    story.now_ms = ANNOUNCE_EVERY_MS
    assert story.step(Progress("epoch 3 of 5")) == [Announce(1, "committing", "epoch 3 of 5")]


def test_nothing_happens_before_the_ledger_is_seen():
    story = Story()
    assert story.step(Tick()) == []
    assert story.step(Progress("x")) == []


def test_an_empty_range_is_reported_without_inputs():
    story = Story(length=256)
    story.commit_all()
    effects = story.see()
    assert effects == [Begin(Obtain(M3, 0, 1)), Begin(Reduce(0, 0, tuple(ORGS)))]
    assert story.done(Reduce(0, 0, tuple(ORGS)), ROOT) == []
    assert story.done(Obtain(M3, 0, 1)) == [Submit("reduced", Reduced(story.id, 1, 0, 0, ROOT))]
