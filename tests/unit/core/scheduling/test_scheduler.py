"""One job at a time in the ledger's order; absent members come back; finished models are fetched."""

from dataclasses import replace

from node.base.types import Digest, Height, Instant, OrgId
from node.core.scheduling import (
    FetchModel,
    JobsSeen,
    ModelHeld,
    Release,
    Scheduler,
    SendPresent,
    Tick,
    Trained,
    Trouble,
    WorkOn,
)
from node.core.scheduling.scheduler import PRESENT_AGAIN_MS, TROUBLES_MAX
from node.ledger.contracts.training import JobState, JobTerms, JobView

ME = OrgId("m0")
MODEL = Digest(b"m" * 32)


def at(ms):
    return Instant(ms, 0)


def a_job(number, started=1, state=JobState.TRAINING, **change):
    found = JobView(
        id=Digest(bytes([number]) * 32),
        name="job",
        state=state,
        reason="",
        proposer=ME,
        proposed=Height(1),
        started=Height(started),
        terms=JobTerms("job", (ME, OrgId("m1")), 5, 1, b""),
        approvals=(),
        weights=(1, 1),
        absent=(),
        left_out=(),
        training_round=1,
        preparation=None,
        length=10,
        model=None,
        current=None,
    )
    return replace(found, **change)


def seen(*jobs):
    return JobsSeen(jobs)


def test_the_job_that_started_first_is_worked_on():
    scheduler = Scheduler(ME)
    effects = scheduler.step(seen(a_job(1, started=9), a_job(2, started=5)), now=at(0))
    assert effects == [WorkOn(a_job(2).id)]
    assert scheduler.step(seen(a_job(1, started=9), a_job(2, started=5)), now=at(1)) == []
    assert scheduler.current == a_job(2).id


def test_the_next_job_follows_when_one_ends():
    scheduler = Scheduler(ME)
    scheduler.step(seen(a_job(1, started=9), a_job(2, started=5)), now=at(0))
    ended = a_job(2, started=5, state=JobState.FAILED)
    assert scheduler.step(seen(a_job(1, started=9), ended), now=at(1)) == [Release(ended.id), WorkOn(a_job(1).id)]
    assert scheduler.step(seen(ended), now=at(2)) == [Release(a_job(1).id)]
    assert scheduler.current is None


def test_jobs_without_this_member_and_jobs_not_started_are_left():
    scheduler = Scheduler(OrgId("m7"))
    assert scheduler.step(seen(a_job(1)), now=at(0)) == []
    assert Scheduler(ME).step(seen(a_job(1, state=JobState.PROPOSED)), now=at(0)) == []


def test_an_absent_member_says_that_it_is_back_until_the_ledger_shows_it():
    scheduler = Scheduler(ME)
    job = a_job(1, absent=(ME,))
    assert scheduler.step(seen(job), now=at(0)) == [WorkOn(job.id), SendPresent(job.id)]
    assert scheduler.step(seen(job), now=at(1)) == []
    assert scheduler.wake_at == PRESENT_AGAIN_MS
    assert scheduler.step(Tick(), now=at(PRESENT_AGAIN_MS)) == [SendPresent(job.id)]
    assert scheduler.step(seen(a_job(1)), now=at(PRESENT_AGAIN_MS + 1)) == []
    assert scheduler.wake_at is None
    # Late once more: it comes back at once.
    assert scheduler.step(seen(job), now=at(PRESENT_AGAIN_MS + 2)) == [SendPresent(job.id)]


def test_a_member_whose_part_keeps_failing_stays_out():
    scheduler = Scheduler(ME)
    scheduler.step(seen(a_job(1)), now=at(0))
    for _ in range(TROUBLES_MAX):
        assert scheduler.step(Trouble(a_job(1).id), now=at(0)) == []
    assert scheduler.step(seen(a_job(1, absent=(ME,))), now=at(1)) == []
    assert scheduler.wake_at is None
    # It still makes the new models of the others' updates: that says nothing of its own part.
    assert scheduler.step(ModelHeld(a_job(1).id, MODEL), now=at(2)) == []
    assert scheduler.step(Trained(a_job(1).id), now=at(3)) == [SendPresent(a_job(1).id)]


def test_a_finished_jobs_model_is_fetched_once_unless_held():
    done = a_job(1, state=JobState.DONE, model=MODEL)
    scheduler = Scheduler(ME)
    assert scheduler.step(seen(done), now=at(0)) == [FetchModel(done.id, 1, MODEL)]
    assert scheduler.step(seen(done), now=at(1)) == []
    holder = Scheduler(ME)
    holder.step(ModelHeld(done.id, MODEL), now=at(0))
    assert holder.step(seen(done), now=at(1)) == []
    assert Scheduler(OrgId("m7")).step(seen(done), now=at(0)) == []
