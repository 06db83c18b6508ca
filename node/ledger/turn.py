"""What the beginning of a block does before its transactions: the set of the next height, and what the state keeps
of the blocks before it."""

from node.base.codec import encode
from node.base.ports import StateReader
from node.base.types import Height, MemberSet
from node.ledger import system
from node.ledger.contracts import membership
from node.ledger.contracts.contract import WritableView
from node.ledger.overlay import Overlay
from node.ledger.system import Quorums, Root
from node.ledger.tree import state_root


def begin_block(reader: StateReader, overlay: Overlay, height: Height, time_ms: int, members: MemberSet) -> MemberSet:
    """Write to `overlay`, an empty one on `reader`, what every block writes; returns the next height's member set."""
    before = Height(height - 1)
    overlay.put(system.root_key(before), encode(Root(before, state_root(reader))))
    entries = WritableView(overlay, membership.NAME)
    membership.end_overlaps(entries, time_ms)
    next_members = membership.take_changes(entries, members, height)
    if next_members != members:
        overlay.put(system.set_key(Height(height + 1)), encode(next_members))
    overlay.put(system.MEMBERS_KEY, encode(Quorums(members, next_members)))
    return next_members
