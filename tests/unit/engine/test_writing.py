"""Votes of one step are one write; nothing is drawn over a write whose order counts."""

from node.base.ports import Silence
from node.base.types import Height, OrgId
from node.engine.replica import AppendVotes, KeepSilent, PeerFault, Send, SyncBlocks
from node.engine.writing import written_together

EVE = OrgId("eve")
ONE, TWO = AppendVotes(Height(3), (b"prepare",)), AppendVotes(Height(3), (b"lock", b"commit"))
PREPARE, COMMIT = Send(EVE, b"prepare"), Send(EVE, b"commit")


def test_two_writes_of_one_step_become_the_first():
    fault = PeerFault(EVE, "said so")

    effects = written_together([ONE, PREPARE, fault, TWO, COMMIT])

    assert effects == [AppendVotes(Height(3), (b"prepare", b"lock", b"commit")), PREPARE, fault, COMMIT]


def test_all_that_is_written_is_written_before_it_is_sent():
    more = AppendVotes(Height(3), (b"round change",))

    effects = written_together([PREPARE, ONE, COMMIT, TWO, more, PREPARE])

    assert effects == [
        PREPARE,
        AppendVotes(Height(3), (b"prepare", b"lock", b"commit", b"round change")),
        COMMIT,
        PREPARE,
    ]


def test_no_vote_is_drawn_over_another_write_or_into_another_height():
    silent, other = KeepSilent(Silence(Height(4))), AppendVotes(Height(4), (b"prepare",))

    for effects in ([ONE, silent, TWO], [ONE, PREPARE, SyncBlocks(), TWO], [ONE, PREPARE, other]):
        assert written_together(effects) == effects
