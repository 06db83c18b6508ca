"""Many seeds: no disagreement, nothing signed twice, growth after healing, exact replay."""

import pytest

from node.testing.simulation import Outcome, Plan, run_seed

SEEDS = 500
BATCH = 50


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_four_members_agree_under_faults(first):
    outcomes = [run_seed(Plan(seed=seed)) for seed in range(first, first + BATCH)]

    # The faults must bite: a run that meets none of them checks nothing.
    assert sum(outcome.crashes for outcome in outcomes) > BATCH / 2
    assert max(outcome.rounds_max for outcome in outcomes) >= 2
    assert all(outcome.height >= 2 for outcome in outcomes)


@pytest.mark.parametrize("members", [1, 2, 3, 5, 6, 7])
def test_any_number_of_members_agrees_under_faults(members):
    for seed in range(1_000, 1_010):
        run_seed(Plan(seed=seed, members=members))


@pytest.mark.parametrize("first", range(0, 100, BATCH))
def test_a_member_with_two_replicas_under_one_key_splits_nobody(first):
    for seed in range(first, first + BATCH):
        run_seed(Plan(seed=seed, traitor=True))


def test_every_seed_replays_to_the_same_head_and_trace():
    def run(seed: int) -> Outcome:
        return run_seed(Plan(seed=seed))

    outcomes = [run(seed) for seed in range(30)]

    assert [run(seed) for seed in range(30)] == outcomes
    assert len({outcome.trace for outcome in outcomes}) == 30


def test_real_signatures_decide_as_the_hashes_do():
    for seed in range(3):
        run_seed(Plan(seed=seed, real_signatures=True))
