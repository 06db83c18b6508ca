import pytest

from node.api import OperatorRefusal
from node.app.readings import read
from node.ledger.memory import MemoryState


def test_an_unknown_topic_is_refused_and_the_known_ones_are_named():
    with pytest.raises(OperatorRefusal, match=r"it has .*membership, .*sharing") as refused:
        read("weather", MemoryState(), {})

    assert "'weather'" in str(refused.value)


def test_arguments_that_the_topic_does_not_take_are_refused():
    with pytest.raises(OperatorRefusal, match="'sharing' does not take these arguments"):
        read("sharing", MemoryState(), {"owner": "basel"})
