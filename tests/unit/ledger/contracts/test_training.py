"""The contract `training`, rule by rule."""

import pytest

from node.base.types import Digest, OrgId
from node.ledger.contracts.contract import Rejected
from node.ledger.contracts.training import (
    TRAINING,
    Approve,
    Commit,
    Have,
    JobState,
    JobTerms,
    Late,
    Missing,
    Phase,
    Prepared,
    Present,
    Reduced,
    Refuse,
    Unable,
    Withdraw,
    active_jobs,
    job,
    jobs,
    more_than_third,
    quorum,
    training_round,
)
from node.testing.contract_bench import ContractBench

LENGTH = 2000


def digest_of(number):
    return Digest(number.to_bytes(32, "big"))


class World:
    """A job with `count` participants, brought to where a test begins."""

    def __init__(self, count=4, **terms):
        self.orgs = [OrgId(f"m{at}") for at in range(count)]
        self.bench = ContractBench(TRAINING, [*self.orgs, "outsider"])
        chosen = {"name": "heart", "participants": tuple(self.orgs), "rounds": 2, "minimum": 1, "recipe": b"{}"} | terms
        self.terms = JobTerms(**chosen)
        self.id, _ = self.bench.call(self.orgs[0], "propose", self.terms)

    def call(self, org, method, payload):
        return self.bench.call(org, method, payload)[1]

    def refused(self, org, method, payload):
        before = dict(self.bench.state.values)
        with pytest.raises(Rejected) as caught:
            self.bench.call(org, method, payload)
        assert self.bench.state.values == before
        assert len(caught.value.reason) > 10
        return caught.value.code

    @property
    def job(self):
        return job(self.bench.view, self.id)

    @property
    def round(self):
        return self.job.current

    def approve_all(self, rows=100):
        for org in self.orgs:
            self.call(org, "approve", Approve(self.id, digest_of(1), rows))
        return self

    def commit(self, org, peak=0, clipped=0):
        return self.call(org, "commit", self.commitment(org, peak, clipped))

    def commitment(self, org, peak=0, clipped=0):
        return Commit(self.id, self.job.training_round, digest_of(self.orgs.index(org)), peak, clipped)

    def late(self, member):
        return Late(self.id, self.job.training_round, self.round.phase, self.round.attempt, OrgId(member))

    def missing(self, member):
        return Missing(self.id, self.job.training_round, self.round.attempt, OrgId(member))

    def prepared(self, model=9):
        return Prepared(self.id, self.round.attempt, digest_of(8), digest_of(model), LENGTH)

    def reduced(self, index):
        return Reduced(self.id, self.job.training_round, self.round.attempt, index, digest_of(50 + index))

    def have(self, model=99):
        return Have(self.id, self.job.training_round, digest_of(model))

    def to_training(self):
        self.approve_all()
        for org in self.orgs:
            self.commit(org)
        for org in self.orgs[: quorum(len(self.orgs))]:
            self.call(org, "prepared", self.prepared())
        return self

    def to_reducing(self):
        self.to_training()
        for org in self.orgs:
            self.commit(org)
        return self

    def report_all(self):
        for at, range_ in enumerate(self.round.ranges):
            self.call(range_.reducer, "reduced", self.reduced(at))

    def to_closing(self):
        self.to_reducing()
        self.report_all()
        return self

    def close(self, model=99):
        for org in self.round.cohort[: quorum(len(self.round.cohort))]:
            self.call(org, "have", self.have(model))


@pytest.mark.parametrize("count", range(1, 11))
def test_a_job_runs_to_its_end_with_every_number_of_members(count):
    world = World(count, rounds=1).to_closing()
    assert world.round.phase is Phase.CLOSING
    for org in world.orgs[: quorum(count) - 1]:
        world.call(org, "have", world.have())
        assert world.job.state is JobState.TRAINING
    events = world.call(world.orgs[quorum(count) - 1], "have", world.have())
    assert world.job.state is JobState.DONE
    assert world.job.model == digest_of(99)
    assert [event.name for event in events] == ["phase", "closed", "done"]


def test_empty_participants_mean_all_members():
    world = World(2, participants=())
    assert world.job.terms.participants == ("m0", "m1", "outsider")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": ""}, "bad-name"),
        ({"name": "x" * 101}, "bad-name"),
        ({"name": "a\nb"}, "bad-name"),
        ({"participants": (OrgId("m1"), OrgId("m0"))}, "bad-participants"),
        ({"participants": (OrgId("m0"), OrgId("m0"))}, "bad-participants"),
        ({"participants": (OrgId("m0"), OrgId("stranger"))}, "not-member"),
        ({"rounds": 0}, "bad-rounds"),
        ({"rounds": 100_001}, "bad-rounds"),
        ({"minimum": 0}, "bad-minimum"),
        ({"minimum": 5}, "bad-minimum"),
        ({"recipe": bytes(32_769)}, "bad-recipe"),
        ({"exponent": 41}, "bad-exponent"),
        ({"progress_deadline_ms": 0}, "bad-deadline"),
        ({"weight_cap_permille": 999}, "bad-cap"),
    ],
)
def test_terms_outside_their_bounds_are_refused(change, code):
    with pytest.raises(Rejected) as caught:
        World(4, **change)
    assert caught.value.code == code


def test_no_version_of_unicode_decides_over_words():
    later = "\u0378"  # a character that no version of Unicode has yet
    world = World(4, name=later)
    assert world.job.terms.name == later
    world.call("m1", "refuse", Refuse(world.id, later))
    assert world.job.reason == f"m1 refused: {later}"
    world = World().approve_all()
    for org in world.orgs:
        world.commit(org)
    world.call("m0", "unable", Unable(world.id, 0, later))


def test_a_stranger_proposes_nothing():
    world = World()
    assert world.refused("stranger", "propose", world.terms) == "not-member"


def test_the_last_approval_fixes_weights_and_opens_training_round_0():
    world = World()
    for org in reversed(world.orgs[1:]):
        world.call(org, "approve", Approve(world.id, digest_of(1), 100))
    assert (world.job.state, world.job.weights, world.job.current) == (JobState.PROPOSED, (), None)
    world.call("m0", "approve", Approve(world.id, digest_of(1), 300))
    assert world.job.state is JobState.PREPARING
    assert [approval.org for approval in world.job.approvals] == world.orgs
    assert world.job.weight(OrgId("m0")) > world.job.weight(OrgId("m1"))
    assert world.job.weight(OrgId("m0")) * 4000 <= 1500 * sum(world.job.weights)
    assert world.round.cohort == tuple(world.orgs)
    assert (world.round.training_round, world.round.phase) == (0, Phase.COMMITTING)


def test_approval_is_for_participants_once_with_rows():
    world = World()
    asked = Approve(world.id, digest_of(1), 100)
    assert world.refused("outsider", "approve", asked) == "not-participant"
    assert world.refused("m0", "approve", Approve(world.id, digest_of(1), 0)) == "bad-rows"
    assert world.refused("m0", "approve", Approve(world.id, digest_of(1), 10**12 + 1)) == "bad-rows"
    assert world.refused("m0", "approve", Approve(digest_of(77), digest_of(1), 1)) == "unknown-job"
    world.call("m0", "approve", asked)
    assert world.refused("m0", "approve", asked) == "already"


def test_a_refusal_ends_the_job_with_its_reason():
    world = World()
    assert world.refused("outsider", "refuse", Refuse(world.id, "no")) == "not-participant"
    assert world.refused("m1", "refuse", Refuse(world.id, "n" * 301)) == "bad-reason"
    world.call("m1", "refuse", Refuse(world.id, "no consent of the patients"))
    assert world.job.state is JobState.REFUSED
    assert world.job.reason == "m1 refused: no consent of the patients"
    assert world.refused("m0", "approve", Approve(world.id, digest_of(1), 5)) == "wrong-state"


def test_only_the_proposer_withdraws_and_only_before_the_start():
    world = World()
    assert world.refused("m1", "withdraw", Withdraw(world.id)) == "not-proposer"
    world.call("m0", "withdraw", Withdraw(world.id))
    assert world.job.state is JobState.WITHDRAWN
    started = World().approve_all()
    assert started.refused("m0", "withdraw", Withdraw(started.id)) == "wrong-state"


def test_commits_are_checked():
    world = World().approve_all()
    assert world.refused("outsider", "commit", Commit(world.id, 0, digest_of(1), 0, 0)) == "not-in-cohort"
    assert world.refused("m0", "commit", Commit(world.id, 1, digest_of(1), 0, 0)) == "wrong-round"
    assert world.refused("m0", "commit", Commit(world.id, 0, digest_of(1), 41, 0)) == "bad-exponent"
    assert world.refused("m0", "commit", Commit(world.id, 0, digest_of(1), 0, 1)) == "bad-clipped"
    world.commit("m0")
    assert world.refused("m0", "commit", world.commitment("m0")) == "already"
    assert world.refused("m0", "prepared", world.prepared()) == "wrong-phase"
    assert world.refused("m0", "have", world.have()) == "wrong-phase"
    assert world.refused("m0", "reduced", Reduced(world.id, 0, 0, 0, digest_of(1))) == "wrong-phase"


def test_methods_before_the_start_are_refused():
    world = World()
    assert world.refused("m0", "commit", Commit(world.id, 0, digest_of(1), 0, 0)) == "wrong-state"


@pytest.mark.parametrize("count", range(2, 11))
def test_a_quorum_of_the_cohort_calls_a_member_late(count):
    world = World(count).to_training()
    gone = world.orgs[-1]
    for org in world.orgs[:-1]:
        world.commit(org)
    signers = [*world.orgs[:-1], gone][: quorum(count)]
    if gone in signers:
        # Two and three members: the quorum is everybody, so nobody can be called late against its silence.
        for org in signers[:-1]:
            world.call(org, "late", world.late(gone))
        assert world.round.phase is Phase.COMMITTING
        return
    for org in signers[:-1]:
        world.call(org, "late", world.late(gone))
        assert world.refused(org, "late", world.late(gone)) == "already"
    assert world.round.phase is Phase.COMMITTING
    world.call(signers[-1], "late", world.late(gone))
    assert world.round.phase is Phase.REDUCING
    assert world.round.candidates == tuple(world.orgs[:-1])
    assert world.job.absent == (gone,)


def test_who_has_committed_is_not_late():
    world = World().to_training()
    world.commit("m3")
    assert world.refused("m0", "late", world.late("m3")) == "not-awaited"
    assert world.refused("m0", "late", world.late("stranger")) == "not-awaited"
    assert world.refused("outsider", "late", world.late("m2")) == "not-in-cohort"


def test_complaints_of_another_phase_or_attempt_do_not_count():
    world = World().to_training()
    early = world.late("m3")
    for org in world.orgs:
        world.commit(org)
    assert world.refused("m0", "late", early) == "wrong-phase"
    old = world.late("m3")
    for org in ("m0", "m1"):
        world.call(org, "missing", world.missing("m2"))
    assert world.round.attempt == 1
    assert world.refused("m0", "late", old) == "wrong-attempt"


def test_a_member_that_gives_up_itself_is_late_at_once():
    world = World().to_training()
    world.call("m2", "late", world.late("m2"))
    assert world.round.dropped == ("m2",)
    assert world.refused("m2", "commit", world.commitment("m2")) == "dropped"
    for org in ("m0", "m1", "m3"):
        world.commit(org)
    assert world.round.candidates == ("m0", "m1", "m3")


def test_too_few_candidates_fail_the_job_with_its_reason():
    world = World(4, minimum=4).to_training()
    for org in ("m0", "m1", "m2"):
        world.commit(org)
    world.call("m3", "late", world.late("m3"))
    assert world.job.state is JobState.FAILED
    assert world.job.reason == "3 contributors are left in training round 1 and the job asks for 4"
    assert active_jobs(world.bench.view) == []


def test_a_late_member_is_out_until_it_is_present():
    world = World().to_training()
    assert world.refused("m3", "present", Present(world.id)) == "already"
    for org in ("m0", "m1", "m2"):
        world.commit(org)
    world.call("m3", "late", world.late("m3"))
    world.report_all()
    assert world.refused("outsider", "present", Present(world.id)) == "not-participant"
    world.close()
    assert world.round.cohort == ("m0", "m1", "m2")
    world.call("m3", "present", Present(world.id))
    assert world.round.cohort == ("m0", "m1", "m2")
    assert world.job.absent == ()
    assert world.refused("m3", "commit", world.commitment("m3")) == "not-in-cohort"


def test_present_brings_a_member_into_the_next_cohort():
    world = World().to_training()
    for org in ("m0", "m1", "m2"):
        world.commit(org)
    world.call("m3", "late", world.late("m3"))
    world.call("m3", "present", Present(world.id))
    world.report_all()
    world.close()
    assert world.round.cohort == tuple(world.orgs)


def test_a_cohort_below_the_minimum_fails_the_job():
    world = World(4, minimum=3).to_training()
    for org in world.orgs:
        world.commit(org)
    for org in ("m0", "m1"):
        world.call(org, "missing", world.missing("m3"))
    world.report_all()
    # Three contributors are enough for this training round; nobody comes back, and one more leaves.
    world.close()
    assert world.round.cohort == ("m0", "m1", "m2")
    world.call("m2", "late", world.late("m2"))
    for org in ("m0", "m1"):
        world.commit(org)
    assert world.job.state is JobState.FAILED


@pytest.mark.parametrize("count", range(1, 11))
def test_ranges_map_all_leaves_to_candidates(count):
    world = World(count).to_reducing()
    ranges = world.round.ranges
    assert [range_.reducer for range_ in ranges] == world.orgs
    assert (ranges[0].start, ranges[-1].stop) == (0, 8)
    assert world.round.model is None


def test_reports_are_for_the_reducer_once_per_attempt():
    world = World().to_reducing()
    assert world.refused("m1", "reduced", world.reduced(0)) == "not-reducer"
    assert world.refused("m0", "reduced", world.reduced(4)) == "unknown-range"
    assert world.refused("m0", "reduced", world.reduced(-1)) == "unknown-range"
    world.call("m0", "reduced", world.reduced(0))
    assert world.refused("m0", "reduced", world.reduced(0)) == "already"
    assert world.refused("m0", "have", world.have()) == "wrong-phase"


def test_a_late_reducer_hands_over_and_all_reports_fall():
    world = World().to_reducing()
    old = world.reduced(0)
    world.call("m0", "reduced", old)
    for org in ("m0", "m1", "m3"):
        world.call(org, "late", world.late("m2"))
    round_ = world.round
    assert (round_.attempt, round_.candidates, round_.dropped) == (1, ("m0", "m1", "m3"), ("m2",))
    assert [range_.reducer for range_ in round_.ranges] == ["m0", "m1", "m3", "m3"]
    assert [range_.root for range_ in round_.ranges] == [None] * 4
    assert world.refused("m0", "reduced", old) == "wrong-attempt"
    world.report_all()
    assert world.round.phase is Phase.CLOSING
    assert world.round.candidates == ("m0", "m1", "m3")


def test_who_has_reported_is_not_late():
    world = World().to_reducing()
    world.call("m0", "reduced", world.reduced(0))
    assert world.refused("m1", "late", world.late("m0")) == "not-awaited"


@pytest.mark.parametrize("count", range(2, 11))
def test_more_than_a_third_missing_it_drop_a_candidate(count):
    world = World(count).to_reducing()
    gone = world.orgs[-1]
    assert world.refused(gone, "missing", world.missing(gone)) == "not-candidate"
    needed = more_than_third(count)
    for org in world.orgs[: needed - 1]:
        world.call(org, "missing", world.missing(gone))
        assert world.refused(org, "missing", world.missing(gone)) == "already"
    assert gone in world.round.candidates
    world.call(world.orgs[needed - 1], "missing", world.missing(gone))
    assert world.round.candidates == tuple(world.orgs[:-1])
    assert world.refused(world.orgs[0], "missing", world.missing(gone)) == "not-candidate"
    assert world.job.absent == (gone,)


def test_the_contributors_are_final_in_closing():
    world = World().to_closing()
    assert world.refused("m0", "missing", world.missing("m3")) == "not-candidate"
    assert world.refused("m0", "late", world.late("m3")) == "not-awaited"


def test_statistics_that_cannot_be_got_drop_a_candidate_and_the_reports():
    world = World().approve_all()
    for org in world.orgs:
        world.commit(org)
    assert world.round.phase is Phase.PREPARING
    old = world.prepared()
    world.call("m0", "prepared", old)
    for org in ("m0", "m1"):
        world.call(org, "missing", world.missing("m3"))
    assert world.round.prepared == ()
    assert world.refused("m0", "prepared", old) == "wrong-attempt"
    for org in ("m0", "m1", "m2"):
        world.call(org, "prepared", world.prepared())
    assert world.job.state is JobState.TRAINING
    assert world.round.cohort == ("m0", "m1", "m2")


def test_preparation_needs_a_quorum_of_equal_outcomes():
    world = World().approve_all()
    for org in world.orgs:
        world.commit(org)
    assert world.refused("m0", "prepared", Prepared(world.id, 0, digest_of(1), digest_of(2), 0)) == "bad-length"
    world.call("m0", "prepared", world.prepared(7))
    assert world.refused("m0", "prepared", world.prepared(9)) == "already"
    for org in ("m1", "m2"):
        world.call(org, "prepared", world.prepared())
    assert world.job.state is JobState.PREPARING
    world.call("m3", "prepared", world.prepared())
    assert (world.job.state, world.job.length, world.job.model) == (JobState.TRAINING, LENGTH, digest_of(9))
    assert (world.round.training_round, world.round.base) == (1, digest_of(9))


def test_outcomes_that_cannot_reach_a_quorum_fail_the_job():
    world = World().approve_all()
    for org in world.orgs:
        world.commit(org)
    world.call("m0", "prepared", world.prepared(1))
    world.call("m1", "prepared", world.prepared(2))
    assert world.job.state is JobState.PREPARING
    world.call("m2", "prepared", world.prepared(3))
    assert world.job.state is JobState.FAILED
    closing = World().to_closing()
    closing.call("m0", "have", closing.have(1))
    closing.call("m1", "have", closing.have(2))
    closing.call("m2", "have", closing.have(3))
    assert closing.job.state is JobState.FAILED
    assert "different models" in closing.job.reason


def test_statistics_without_a_preparation_fail_the_job_in_words():
    world = World().approve_all()
    for org in world.orgs:
        world.commit(org)
    why = Unable(world.id, 0, "nobody has the column age")
    assert world.refused("m0", "unable", Unable(world.id, 0, "x" * 301)) == "bad-reason"
    for org in ("m0", "m1"):
        world.call(org, "unable", why)
    assert world.job.state is JobState.PREPARING
    world.call("m2", "unable", why)
    assert world.job.state is JobState.FAILED
    assert world.job.reason == "the data cannot be prepared: nobody has the column age"


def test_a_conflicting_have_is_kept_and_does_not_count():
    world = World().to_closing()
    world.call("m0", "have", world.have(1))
    assert world.refused("m0", "have", world.have(1)) == "already"
    events = world.call("m0", "have", world.have(99))
    assert [event.name for event in events] == ["conflict"]
    assert world.refused("m0", "have", world.have(98)) == "already"
    for org in ("m1", "m2"):
        world.call(org, "have", world.have(99))
    assert world.round.training_round == 1
    world.call("m3", "have", world.have(99))
    closed = training_round(world.bench.view, world.id, 1)
    assert (closed.model, closed.phase) == (digest_of(99), Phase.CLOSED)
    assert [conflict.org for conflict in closed.conflicts] == ["m0"]


def test_the_next_round_starts_from_the_new_model():
    world = World().to_closing()
    world.close(42)
    assert (world.round.training_round, world.round.base, world.round.phase) == (2, digest_of(42), Phase.COMMITTING)
    assert world.refused("m3", "have", Have(world.id, 1, digest_of(42))) == "wrong-round"


@pytest.mark.parametrize(
    ("peaks", "exponent"), [((0, 1, -9, -9), 2), ((-9,) * 4, -1), ((30, 0, 0, 0), 5), ((1,) * 4, 2)]
)
def test_the_scale_follows_the_declared_peaks_within_bounds(peaks, exponent):
    world = World().to_training()
    for org, peak in zip(world.orgs, peaks, strict=True):
        world.commit(org, peak)
    world.report_all()
    world.close()
    assert world.round.exponent == exponent


def test_peaks_of_dropped_members_do_not_count():
    world = World().to_training()
    for org in world.orgs:
        world.commit(org, 4 if org == "m3" else 1)
    for org in ("m0", "m1"):
        world.call(org, "missing", world.missing("m3"))
    world.report_all()
    world.close()
    assert world.round.exponent == 2


def test_views_list_jobs_in_the_order_in_which_they_started():
    world = World()
    later, _ = world.bench.call("m1", "propose", world.terms)
    for org in world.orgs:
        world.call(org, "approve", Approve(later, digest_of(1), 10))
    world.approve_all()
    assert [one.id for one in active_jobs(world.bench.view)] == [later, world.id]
    assert {one.id for one in jobs(world.bench.view)} == {later, world.id}
    assert job(world.bench.view, digest_of(5)) is None
    assert world.job.phase is Phase.COMMITTING
    assert world.job.active


def test_the_companions_of_a_call_are_those_who_still_end_its_phase():
    world = World(4).approve_all()

    def companions(method, payload):
        return sorted(TRAINING.methods[method].companions(world.bench.view, payload))

    commit = world.commitment("m0")
    assert companions("commit", commit) == ["m0", "m1", "m2", "m3"]
    for org in world.orgs[:3]:
        world.commit(org)
    assert companions("commit", commit) == ["m3"]
    world.commit("m3")
    assert companions("commit", commit) == []
    world.call("m2", "prepared", world.prepared())
    assert companions("prepared", world.prepared()) == ["m0", "m1", "m3"]
    for org in world.orgs[:2]:
        world.call(org, "prepared", world.prepared())
    for org in world.orgs:
        world.commit(org)
    world.call(world.round.ranges[0].reducer, "reduced", world.reduced(0))
    assert companions("reduced", world.reduced(1)) == sorted(range_.reducer for range_ in world.round.ranges[1:])
    for at, range_ in list(enumerate(world.round.ranges))[1:]:
        world.call(range_.reducer, "reduced", world.reduced(at))
    have = world.have()
    world.call("m1", "have", have)
    assert companions("have", have) == ["m0", "m2", "m3"]
    for org in ("m0", "m2"):
        world.call(org, "have", have)
    assert companions("have", have) == []
    assert companions("have", Have(digest_of(77), 1, digest_of(1))) == []


def test_what_no_phase_ends_by_waits_for_nobody():
    waiting = {name for name, method in TRAINING.methods.items() if method.companions is not None}
    assert waiting == {"commit", "prepared", "reduced", "have"}
