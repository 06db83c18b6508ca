"""Which cards are taken, and what taking one changes: keys, certificates, addresses."""

from node.base.types import Card, Height, OrgId, endorsement_signing_bytes
from node.ledger.cards import card_fault
from node.ledger.contracts.contract import Context, Rejected, WritableView
from node.ledger.contracts.membership import store
from node.ledger.contracts.membership.changes import accept_change, coming_members
from node.ledger.contracts.membership.types import Certificates, KnownKey, Present, Rekey, Standing, State

TLS_OVERLAP_MS = 3_600_000
"""How long, by block time, a replaced TLS certificate still opens links: until all have the new one."""


def present(context: Context, call: Present) -> None:
    """The method `present`. The state that counts is the card's organisation's; who hands it in does not matter."""
    body = call.card.body
    known = store.card_of(context, body.org)
    if known is None or not store.may_connect(context, body.org):
        raise Rejected("not-a-member", "The card's organisation is not in this network; a motion must admit it.")
    check_card(context, call.card)
    key = known.body.organisation_key
    if body.organisation_key != key:
        if store.is_revoked(context, key):
            raise Rejected("revoked-key", "The organisation key on the ledger was revoked; a motion must replace it.")
        message = endorsement_signing_bytes(body)
        if call.endorsement is None or not context.frame.verify(key, message, call.endorsement):
            raise Rejected("not-endorsed", "A new organisation key needs the old one's signature, or a motion.")
    take_card(context, call.card)


def check_card(context: Context, card: Card) -> None:
    """Raises `Rejected` for a card that nobody may bring to the ledger now, whoever supports it."""
    body = card.body
    if fault := card_fault(card, context.time_ms, context.frame.verify):
        raise Rejected(*fault)
    known = store.card_of(context, body.org)
    if known is not None and body.sequence <= known.body.sequence:
        raise Rejected("old-card", f"The ledger has card {known.body.sequence} of it; number the new one higher.")
    for key in store.keys_of(body):
        holder = store.known_key(context, key)
        if holder is not None and holder.org != body.org:
            raise Rejected("key-taken", f"A key of this card belongs to {holder.org}; make new keys.")
        if holder is not None and holder.revoked:
            raise Rejected("revoked-key", "A key of this card was revoked; make a new one.")
    standing = store.standing_of(context, body.org)
    if known is not None and standing is not None and body.node_key != known.body.node_key:
        _check_rekey(context, body.org)


def take_card(context: Context, card: Card) -> None:
    """Make a checked card the organisation's newest. Its node key is in force when the queue has brought it there."""
    body = card.body
    known = store.card_of(context, body.org)
    keep_card(context, card, context.time_ms)
    standing = store.standing_of(context, body.org)
    if standing is not None:
        context.store(f"standing/{body.org}", Standing(standing.state, standing.since, body.tls_until_ms))
    coming = coming_members(context, context.frame.next_members)
    if known is not None and body.org in coming.keys and coming.keys[body.org] != body.node_key:
        accept_change(context, Rekey(body.org, body.node_key))
    context.emit("card", body.org.encode())


def keep_card(membership: WritableView, card: Card, time_ms: int) -> None:
    """Write the card, its certificate beside the one before, and whose its keys are."""
    body = card.body
    kept = membership.load(Certificates, f"certificates/{body.org}")
    if kept is None or kept.current != body.tls_certificate:
        replaced = None if kept is None else kept.current
        until_ms = 0 if kept is None else time_ms + TLS_OVERLAP_MS
        if kept is not None and kept.previous is not None:
            membership.delete(f"overlap/{kept.previous_until_ms:020d}/{body.org}")
        if replaced is not None:
            membership.put(f"overlap/{until_ms:020d}/{body.org}", b"")
        membership.store(f"certificates/{body.org}", Certificates(body.tls_certificate, replaced, until_ms))
    for key in store.keys_of(body):
        membership.store(f"key/{key.hex()}", KnownKey(body.org, revoked=False))
    membership.store(f"card/{body.org}", card)
    store.raise_epoch(membership)


def end_overlaps(membership: WritableView, time_ms: int) -> None:
    """What the beginning of a block at `time_ms` does: certificates that were replaced long enough ago end."""
    for key, _ in membership.scan("overlap/"):
        _, until, org = key.split("/")
        if int(until) > time_ms:
            break
        kept = membership.load(Certificates, f"certificates/{org}")
        assert kept is not None, "an overlap has its certificates"
        membership.store(f"certificates/{org}", Certificates(kept.current, None, 0))
        membership.delete(key)
        store.raise_epoch(membership)


def found_member(membership: WritableView, card: Card) -> None:
    """What the genesis writes for one founder."""
    keep_card(membership, card, 0)
    store.set_standing(membership, card.body.org, State.MEMBER, Height(1))


def _check_rekey(context: Context, org: OrgId) -> None:
    """One change of key at a time: else one organisation could fill the queue before others' changes."""
    if any(isinstance(queued.change, Rekey) and queued.change.org == org for _, queued in store.queue(context)):
        raise Rejected("rotation-waits", "The last new node key is not in force yet; present the card again then.")
