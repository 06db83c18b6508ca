"""What an organisation says for itself: a candidate's `ready`, a member's `leave`, and that it was recovered."""

from node.ledger import system
from node.ledger.contracts.contract import Context, Rejected
from node.ledger.contracts.membership import store
from node.ledger.contracts.membership.changes import accept_change, coming_members
from node.ledger.contracts.membership.motions import part
from node.ledger.contracts.membership.types import Join, Leave, Ready, Recovered, State


def ready(context: Context, call: Ready) -> None:
    """The method `ready`."""
    standing = store.standing_of(context, context.org)
    if standing is None or standing.state is not State.CANDIDATE:
        raise Rejected("not-a-candidate", "Only a candidate tells that it is ready.")
    if context.org in coming_members(context, context.frame.next_members).keys:
        raise Rejected("already-ready", "You told so already and will be in force soon.")
    known = system.root_at(context.ledger, call.height)
    if known is None:
        raise Rejected("old-height", f"Show the state of one of the last {system.ROOTS_MAX} blocks; catch up first.")
    if known != call.state_root:
        raise Rejected("wrong-root", "This is not the state after that block; verify your chain: lepton chain verify.")
    card = store.card_of(context, context.org)
    assert card is not None, "a candidate has a card"
    if store.is_revoked(context, card.body.node_key):
        raise Rejected("revoked-key", "Your node key was revoked; present a card with a new one first.")
    accept_change(context, Join(context.org, card.body.node_key))
    context.emit("ready", context.org.encode())


def leave(context: Context, call: Leave) -> None:
    """The method `leave`."""
    coming = coming_members(context, context.frame.next_members).keys
    if context.org in coming and len(coming) == 1:
        raise Rejected("last-member", "You are the last member; admit another before you leave.")
    if context.org in context.members.keys and context.org not in coming:
        raise Rejected("already-leaving", "You are leaving already.")
    part(context, context.org)
    context.emit("leaves", context.org.encode())


def recovered(context: Context, call: Recovered) -> None:
    """The method `recovered`: a record for the others, as whoever votes again too early could contradict itself."""
    key = f"recovered/{context.org}/{call.height:020d}"
    if call.height > context.height:
        raise Rejected("unknown-height", "The chain has no such height yet.")
    if context.get(key) is not None:
        raise Rejected("known", "This recovery stands on the ledger already.")
    context.store(key, call)
    context.emit("recovered", context.org.encode())
