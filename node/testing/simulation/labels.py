"""Short names for effects, and the pairs of neighbouring effects that a crash must have come between.

A name is read from the first bytes of a message, because every effect of every run asks for one.
"""

from typing import get_args

from node.base.types import PeerMessage, Vote, VoteKind
from node.engine.replica import AppendVotes, CommitBlock, Effect, KeepSilent, Send, SyncBlocks

_NAMES: tuple[str, ...] = tuple(kind.__name__ for kind in get_args(PeerMessage))
_VOTE = _NAMES.index(Vote.__name__)
_VOTES = {kind.value: kind.name.capitalize() for kind in VoteKind}

BEGIN, END = "begin", "end"
"""What stands before the first and behind the last effect of one step."""


def name_message(data: bytes) -> str:
    """`Prepare`, `Commit`, `Proposal`, `RoundChange`, `Tip`, ...; of any bytes."""
    if not data or data[0] >= len(_NAMES):
        return "Garbage"
    if data[0] == _VOTE and len(data) > 1:
        return _VOTES.get(data[1], "Garbage")
    return _NAMES[data[0]]


def name_effect(effect: Effect) -> str | None:
    """`log Prepare`, `send Commit`, `write block`; None for what only tells somebody something."""
    match effect:
        case AppendVotes(_, entries):
            return "log " + "+".join(name_message(entry) for entry in entries)
        case Send(_, message):
            return "send " + name_message(message)
        case CommitBlock():
            return "write block" if effect.durable else "write block unsynced"
        case SyncBlocks():
            return "sync blocks"
        case KeepSilent():
            return "log silence"
        case _:
            return None


CRASH_PAIRS = (
    (BEGIN, "log Proposal"),
    ("log Proposal", "send Proposal"),
    ("send Proposal", "send Proposal"),
    ("send Proposal", END),
    (BEGIN, "log Prepare"),
    ("log Prepare", "send Prepare"),
    ("send Prepare", "send Prepare"),
    ("send Prepare", END),
    (BEGIN, "log Prepare+PreparedBlock+Commit"),
    ("log Prepare+PreparedBlock+Commit", "send Prepare"),
    ("send Prepare", "send Commit"),
    (BEGIN, "log PreparedBlock+Commit"),
    ("log PreparedBlock+Commit", "send Commit"),
    ("send Commit", "send Commit"),
    ("send Commit", END),
    ("send Commit", "write block"),
    (BEGIN, "write block"),
    (BEGIN, "send Tip"),
    (BEGIN, "log RoundChange"),
    ("log RoundChange", "send RoundChange"),
    ("log RoundChange", "send PreparedBlock"),
    ("send PreparedBlock", "send RoundChange"),
    ("send RoundChange", "send RoundChange"),
    ("send RoundChange", END),
)
"""(done, not done): where members are made to crash, and where every campaign must have seen crashes."""

ROW_CRASH = (BEGIN, "write block unsynced")
"""The same, for a member that takes over a row of blocks."""


def name_pair(pair: tuple[str, str]) -> str:
    """How a report calls a crash between two effects."""
    return f"crash between {pair[0]} | {pair[1]}"
