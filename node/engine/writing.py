"""Fewer disk syncs: what one step signs is written at once."""

from collections.abc import Iterable

from node.engine.replica_io import Admitted, AppendVotes, Effect, PeerFault, Refused, Send


def written_together(effects: Iterable[Effect]) -> list[Effect]:
    """The same effects, with each `AppendVotes` drawn into the one before it where only words stand between.

    A member that comes to a proposal late has the others' prepares already: it prepares and commits in one step, and
    both votes travel in one frame after one sync. What is written earlier than it must be harms nothing: a restart
    sends it. Nothing is drawn over another write, whose order counts.
    """
    found: list[Effect] = []
    last: int | None = None
    for effect in effects:
        if isinstance(effect, AppendVotes):
            if last is not None:
                before = found[last]
                assert isinstance(before, AppendVotes), "noted below"
                if before.height == effect.height:
                    found[last] = AppendVotes(effect.height, before.entries + effect.entries)
                    continue
            last = len(found)
        elif not isinstance(effect, Send | PeerFault | Admitted | Refused):
            last = None
        found.append(effect)
    return found
