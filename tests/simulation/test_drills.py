"""The scripted scenarios of the simulator."""

import pytest

from node.testing.simulation.drills import DRILLS


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.__name__)
def test_drill(drill):
    drill()
