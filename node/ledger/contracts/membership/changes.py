"""Accepted changes of the member set: the queue in which they wait, and the block that puts them in force.

A change accepted in block H stands in the queue. The beginning of block H + 1, before its transactions, takes it into
the set that is in force at H + 2. A block takes max(1, floor((n - 1) / 3)) changes; the rest waits in order.
"""

from collections.abc import Iterable
from typing import assert_never

from node.base.types import Height, Member, MemberSet
from node.ledger.contracts.contract import Context, View, WritableView
from node.ledger.contracts.membership import store
from node.ledger.contracts.membership.types import Change, Join, Part, Rekey, State


def changes_max(members: MemberSet) -> int:
    """How many changes one block takes into the next set: a correct quorum stays in both."""
    return max(1, members.faults_max)


def apply_changes(members: MemberSet, changes: Iterable[Change]) -> MemberSet:
    """The set after these changes, in their order."""
    keys = dict(members.keys)
    for change in changes:
        match change:
            case Join(org, node_key) | Rekey(org, node_key):
                keys[org] = node_key
            case Part(org, _):
                del keys[org]
            case _:
                assert_never(change)
    assert keys, "no accepted change leaves the set empty"
    return MemberSet(tuple(Member(org, keys[org]) for org in sorted(keys)))


def coming_members(membership: View, next_members: MemberSet) -> MemberSet:
    """The set that the queue leads to, from the one in force at the next height."""
    return apply_changes(next_members, (queued.change for _, queued in store.queue(membership)))


def accept_change(context: Context, change: Change) -> None:
    """Put a change into the queue; the caller has made sure that it can be made."""
    apply_changes(coming_members(context, context.frame.next_members), (change,))
    store.append_change(context, change, context.height)


def take_changes(membership: WritableView, members: MemberSet, height: Height) -> MemberSet:
    """What the beginning of block `height` does, with `members` in force; returns the set in force after it."""
    due = store.queue(membership)[: changes_max(members)]
    for key, queued in due:
        membership.delete(key)
        match queued.change:
            case Join(org, _):
                store.set_standing(membership, org, State.MEMBER, Height(height + 1))
            case Part(org, state):
                store.set_standing(membership, org, state, Height(height + 1))
            case Rekey(org, _):
                if (replaced := members.keys.get(org)) is not None:
                    membership.put(f"replaced/{org}", replaced)
                store.raise_epoch(membership)
            case _:
                assert_never(queued.change)
    return apply_changes(members, (queued.change for _, queued in due)) if due else members
