"""The soak's plan, its arithmetic, and its judgement: checks must be able to fail."""

import subprocess
import sys
from itertools import islice

import pytest

from node.base.types import OrgId
from node.testing.soak.checks import memory_flat, nothing_leaks, nothing_left, same_end, stopped_well
from node.testing.soak.plan import FaultKind, episodes
from node.testing.soak.watch import JUDGED_BLOCKS_MIN, WARM_UP_BLOCKS, Sample, Slope, slope_of

ORGS = tuple(OrgId(f"m{number}") for number in range(1, 8))


@pytest.mark.parametrize("seed", range(20))
def test_at_most_a_third_is_struck_at_once_and_the_first_is_never_killed(seed):
    for episode in islice(episodes(seed, ORGS, list(FaultKind)), 60):
        if episode.kind is FaultKind.MANY:
            assert len(episode.orgs) > 2
        else:
            assert 1 <= len(episode.orgs) <= 2
        if episode.kind in (FaultKind.KILL, FaultKind.MANY, FaultKind.WIPE, FaultKind.DISK_FULL):
            assert ORGS[0] not in episode.orgs
        assert len(set(episode.orgs)) == len(episode.orgs)


def test_the_same_seed_gives_the_same_faults_and_every_kind_comes_before_any_comes_again():
    kinds = list(FaultKind)
    first, again = (list(islice(episodes(3, ORGS, kinds), 30)) for _ in range(2))

    assert first == again
    assert {episode.kind for episode in first[: len(kinds)]} == set(kinds)
    assert [episode.number for episode in first] == list(range(1, 31))


def reading(height=0, memory_mb=90.0, calls=6, tasks=30, files=40):
    return Sample(ORGS[0], 1, 0.0, height, memory_mb, files, tasks, calls)


def test_the_slope_is_that_of_the_line_after_warm_up():
    warm_up = [reading(height, 50 + height / 100) for height in range(0, WARM_UP_BLOCKS, 100)]
    after = [reading(height, 80 + height * 2 / 1_000) for height in range(WARM_UP_BLOCKS, WARM_UP_BLOCKS + 7_001, 100)]
    slope = slope_of([*warm_up, *after])

    assert slope is not None
    assert slope.mb_per_1000_blocks == pytest.approx(2.0)
    assert slope.blocks == 7_000


def test_without_blocks_after_warm_up_the_slope_is_not_judged():
    slope = slope_of([reading(height, 50 + height / 100) for height in range(0, WARM_UP_BLOCKS, 100)])

    assert slope is not None
    assert not slope.judged


def test_no_block_gives_no_slope():
    assert slope_of([reading(5), reading(5)]) is None


@pytest.mark.parametrize(
    ("blocks", "warm", "growth", "holds"),
    [
        (JUDGED_BLOCKS_MIN, True, 5.0, False),
        (JUDGED_BLOCKS_MIN, True, 0.01, True),
        (JUDGED_BLOCKS_MIN - 1, True, 5.0, True),
        (JUDGED_BLOCKS_MIN, False, 5.0, True),
    ],
)
def test_memory_is_judged_where_there_were_blocks_enough(blocks, warm, growth, holds):
    assert memory_flat([Slope(ORGS[0], 1, blocks, warm, 90.0, 99.0, growth)]).holds is holds


@pytest.mark.parametrize(
    ("late", "holds"),
    [
        (reading(calls=6), True),
        (reading(calls=7), False),
        (reading(calls=4), False),
        (reading(tasks=40), False),
        (reading(files=60), False),
    ],
)
def test_what_is_held_more_than_at_the_beginning_is_a_leak(late, holds):
    assert nothing_leaks(4, {ORGS[0]: reading()}, {ORGS[0]: late}).holds is holds


def test_two_heads_and_a_bad_exit_are_told():
    one = {"height": 5, "head_digest": "aa", "state_root": "bb"}

    assert same_end({"a": one, "b": dict(one)}).holds
    assert not same_end({"a": one, "b": {**one, "state_root": "cc"}}).holds
    assert stopped_well({ORGS[0]: 0}).holds
    assert not stopped_well({ORGS[0]: 0, ORGS[1]: -9}).holds


ASKS = "import sys; from pathlib import Path; from node.testing.soak.checks import nothing_left;"
"""The folder's name is among its words, as with `scripts/soak --dir`."""


def test_what_runs_in_the_folder_is_found_and_who_asks_is_not(tmp_path):
    asked = [sys.executable, "-c", f"{ASKS} print(nothing_left(Path(sys.argv[1])).holds)", str(tmp_path)]
    said = subprocess.run(asked, capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "True"
    assert nothing_left(tmp_path).holds
    daemon = subprocess.Popen([sys.executable, "-c", "input()", str(tmp_path)], stdin=subprocess.PIPE)
    try:
        assert str(daemon.pid) in nothing_left(tmp_path).says
    finally:
        daemon.communicate(b"\n")
