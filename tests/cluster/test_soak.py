"""A minute of `scripts/soak` on four daemons: every kind of fault that a minute holds, and every check at its end."""

import pytest
from rich.console import Console

from node.testing.soak.plan import FaultKind
from node.testing.soak.run import soak
from node.testing.soak.screen import Screen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = 30
KINDS = (FaultKind.DISK_FULL, FaultKind.CUT, FaultKind.MANY, FaultKind.STOP, FaultKind.RESET)


async def test_a_minute_of_faults_loses_and_leaks_nothing(tmp_path):
    with Screen(Console(width=120)) as screen:
        outcome = await soak(
            tmp_path / "net", members=4, seconds=SECONDS, seed=7, rate_per_s=10, kinds=KINDS, screen=screen
        )

    assert outcome.episodes
    assert outcome.acknowledged > 0
    assert {check.name: check.says for check in outcome.checks if not check.holds} == {}
