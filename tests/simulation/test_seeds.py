"""Many seeds: no disagreement, nothing signed twice, progress after healing, exact replay."""

import pytest

from node.testing.simulation import Outcome, Plan, coverage, run_seed
from node.testing.simulation.campaign import Campaign, run_campaign
from node.testing.simulation.labels import ROW_CRASH, name_pair
from node.testing.simulation.rows import run_rows
from node.testing.simulation.twins import run_twins

KEPT = [
    # A member that was a round ahead of the others stayed so for ever, once time-outs were at the cap.
    Plan(seed=290, liars=1),
    # A halted member's last block came by catch-up; late commits decided it again, and the daemon died.
    Plan(seed=155, liars=0),
    # What a member keeps was asked for before its first height: it had been started halted.
    Plan(seed=1_073, liars=1),
    # A halt ended beside a row of fetched blocks: a vote was signed before the row was safe.
    Plan(seed=5_985, members=4, liars=None),
    # The simulator itself: the end of a crashed member's old link came after its new one was up, and cut that off.
    Plan(seed=45_061, members=6, transactions=6, liars=None),
    Plan(seed=46_842, members=9, transactions=6, liars=None),
    # Who had been removed held what the voters had lost; liars' blocks came so fast that it never said it again.
    Plan(seed=61_935, members=10, transactions=6, liars=None),
]
"""Seeds that found something, with what it was."""


@pytest.mark.parametrize("first", range(0, 160, 40))
def test_four_members_agree_under_faults(first):
    report = run_campaign(Campaign(first, 40, liars=0), jobs=1)

    assert report.failures == ()
    # The faults must bite: a run that meets none of them checks nothing.
    assert report.crashes > 20
    assert report.rounds_max >= 2
    assert report.blocks >= 80


@pytest.mark.parametrize("first", range(1_000, 1_100, 50))
def test_four_members_agree_with_a_liar_among_them(first):
    report = run_campaign(Campaign(first, 50, liars=1), jobs=1)

    assert report.failures == ()
    assert report.with_liars == 50


@pytest.mark.parametrize("members", [1, 2, 3, 5, 6, 7, 10])
def test_any_number_of_members_agrees_under_faults(members):
    report = run_campaign(Campaign(2_000, 5, (members, members)), jobs=1)

    assert report.failures == ()


@pytest.mark.parametrize("members", [4, 5, 6, 7])
def test_twins_split_nobody(members):
    report = run_campaign(Campaign(3_000, 25, (members, members), twins=True), jobs=1)

    assert report.failures == ()
    assert report.with_liars == 25


@pytest.mark.parametrize("plan", KEPT, ids=lambda plan: f"{plan.seed}")
def test_seeds_that_found_something(plan):
    run_seed(plan)


def test_every_seed_replays_to_the_same_head_and_trace():
    def run(seed: int) -> list[Outcome]:
        return [run_seed(Plan(seed=seed, liars=None)), run_twins(Plan(seed=seed))]

    outcomes = [run(seed) for seed in range(10)]

    assert [run(seed) for seed in range(10)] == outcomes
    assert len({outcome.trace for pair in outcomes for outcome in pair}) == 20


def test_real_signatures_decide_as_the_hashes_do():
    for seed in range(3):
        run_seed(Plan(seed=seed, liars=1, real_signatures=True))


def test_a_member_behind_loses_what_it_took_over_unsynced_and_comes_to_the_head():
    met = [run_rows(seed).counts for seed in range(24)]

    for name in (coverage.LOST, name_pair(ROW_CRASH)):
        assert any(name in counts for counts in met), f"no seed came to {name}"
