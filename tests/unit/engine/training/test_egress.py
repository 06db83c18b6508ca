"""What may leave an organisation: shortened or refused, whatever the learner gives."""

import numpy as np
import pytest

from node.base.ports import LearnerError
from node.engine.training import EgressPolicy

BASE = np.array([1.0, -2.0, 0.5], dtype="<f4")


def vector(*values):
    return np.array(values, dtype="<f4")


def test_a_long_update_is_shortened_in_its_own_direction_and_told_of():
    told = []
    change = np.array([3.0, 0.0, 4.0])

    left = EgressPolicy(norm_max=1.0).apply(BASE.tobytes(), (BASE + vector(*change)).tobytes(), told.append)

    moved = np.frombuffer(left, "<f4").astype(float) - BASE
    assert np.linalg.norm(moved) == pytest.approx(1.0, rel=1e-6)
    assert moved == pytest.approx(change / 5.0, rel=1e-6)
    assert told == ["egress policy: the update of norm 5 was shortened to 1"]


def test_a_short_update_leaves_as_it_is():
    told = []
    new = (BASE + vector(0.3, 0.0, 0.4)).tobytes()

    assert EgressPolicy(norm_max=1.0).apply(BASE.tobytes(), new, told.append) == new
    assert EgressPolicy().apply(BASE.tobytes(), (BASE + 100).tobytes(), told.append) == (BASE + 100).tobytes()
    assert told == []


def test_no_larger_model_leaves():
    policy = EgressPolicy(values_max=100)

    policy.check_size(100)
    with pytest.raises(LearnerError, match=r"egress\.values_max"):
        policy.check_size(101)
