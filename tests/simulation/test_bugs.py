"""Seeded bugs: every guard that is removed must be missed by somebody."""

import pytest

from node.testing.simulation.bugs import BUGS, CAUGHT_SHARE_MIN, hunt_all
from node.testing.simulation.bugs.hunt import occurrences

SEEDS = 8
"""Per bug, after the drills; `scripts/sim --bugs` takes more."""
JOBS = 2


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_text_of_every_seeded_bug_stands_exactly_once_in_the_source(bug):
    assert occurrences(bug) == 1
    assert bug.instead != bug.text


def test_the_list_is_long_and_names_each_bug_once():
    assert len(BUGS) >= 40
    assert len({bug.name for bug in BUGS}) == len({(bug.path, bug.text) for bug in BUGS}) == len(BUGS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_simulator_catches_the_seeded_bugs():
    results = hunt_all(SEEDS, JOBS)

    for caught in results:
        print("caught    " if caught.words else "NOT CAUGHT", caught.bug.name, "|", caught.words or "")
    missed = [caught.bug.name for caught in results if caught.words is None]
    assert len(results) - len(missed) >= CAUGHT_SHARE_MIN * len(results), f"not caught: {missed}"
