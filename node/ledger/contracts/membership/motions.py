"""What the members decide together: opening, supporting and withdrawing motions, and what a passed one does."""

from typing import assert_never

from node.base.types import Digest, OrgId, PublicKey, is_cel_version
from node.ledger.contracts.contract import Context, Rejected
from node.ledger.contracts.membership import store
from node.ledger.contracts.membership.cards import check_card, take_card
from node.ledger.contracts.membership.changes import accept_change, coming_members
from node.ledger.contracts.membership.types import (
    Admit,
    Adopt,
    KnownKey,
    Motion,
    OpenMotion,
    Part,
    Remove,
    Replace,
    Revoke,
    State,
    Support,
    Suspend,
    Withdraw,
    motion_id,
)

ADOPT_AHEAD_MIN = 2
"""Blocks between the one that decides on a version and the one from which it holds."""
ADOPT_AHEAD_MAX = 10_000_000
MOTIONS_PER_ORG_MAX = 16
"""Open motions that one organisation began."""


def support(context: Context, call: Support) -> None:
    """The method `support`."""
    _check_voter(context)
    _check(context, call.motion)
    id_ = motion_id(call.motion)
    found = store.open_motion(context, id_)
    if found is not None and found.until_ms < context.time_ms:
        # A motion that ran out begins anew: support given for another time does not count.
        context.delete(_key(id_))
        found = None
    motion = found or _opened(context, call.motion)
    supporters = tuple(sorted({*motion.supporters, context.org}))
    # Counted against the set in force now: who left it no longer counts, and the quorum is the set's own.
    counted = sum(1 for org in supporters if org in context.members.keys)
    if counted >= context.members.quorum:
        context.delete(_key(id_))
        _pass(context, call.motion)
        context.emit("passed", id_)
    elif context.org in motion.supporters:
        raise Rejected("already-supported", "You support this motion already; the others must decide.")
    else:
        context.store(_key(id_), OpenMotion(motion.motion, motion.opener, motion.until_ms, supporters))
        context.emit("supported", id_)


def withdraw(context: Context, call: Withdraw) -> None:
    """The method `withdraw`."""
    found = store.open_motion(context, call.motion)
    if found is None or context.org not in found.supporters:
        raise Rejected("not-supported", "You support no open motion of this id; list them: lepton network motions.")
    rest = tuple(org for org in found.supporters if org != context.org)
    if rest:
        context.store(_key(call.motion), OpenMotion(found.motion, found.opener, found.until_ms, rest))
    else:
        context.delete(_key(call.motion))
    context.emit("withdrawn", call.motion)


def suspend_now(context: Context, org: OrgId) -> bool:
    """Queue a member's suspension without a motion; whether it could be: nobody is suspended twice, or last."""
    if _refusal_to_part(context, org) is not None:
        return False
    accept_change(context, Part(org, State.SUSPENDED))
    return True


def _key(id_: Digest) -> str:
    return f"motion/{id_.hex()}"


def _check_voter(context: Context) -> None:
    if context.org not in context.members.keys:
        raise Rejected("not-in-force", "Only members in force decide on motions.")


def _opened(context: Context, motion: Motion) -> OpenMotion:
    """A fresh motion of the caller. What ran out is swept first, so that the state stays bounded."""
    mine = 0
    for id_, found in store.open_motions(context):
        if found.until_ms < context.time_ms:
            context.delete(_key(id_))
        elif found.opener == context.org:
            mine += 1
    if mine >= MOTIONS_PER_ORG_MAX:
        raise Rejected("too-many-motions", f"{MOTIONS_PER_ORG_MAX} motions of yours are open; withdraw one first.")
    return OpenMotion(motion, context.org, context.time_ms + context.frame.parameters.motion_ms, ())


def _check(context: Context, motion: Motion) -> None:
    """Raises `Rejected` for what could not pass now, so that nobody collects support for it."""
    match motion:
        case Admit(card):
            standing = store.standing_of(context, card.body.org)
            if standing is not None and standing.state in (State.CANDIDATE, State.MEMBER):
                raise Rejected("already-admitted", "The organisation is in the network; it presents new cards itself.")
            if store.card_of(context, card.body.org) != card:
                check_card(context, card)
            else:
                _check_known_card(context, card.body.org)
        case Suspend(org):
            if refusal := _refusal_to_part(context, org):
                raise Rejected(*refusal)
        case Remove(org):
            standing = store.standing_of(context, org)
            if standing is None or standing.state is State.REMOVED:
                raise Rejected("not-a-member", "There is no such organisation in the network to remove.")
            leaves_set = standing.state is State.MEMBER or org in _coming(context)
            if leaves_set and (refusal := _refusal_to_part(context, org)):
                raise Rejected(*refusal)
        case Revoke(org, key):
            known = store.known_key(context, key)
            if known is None or known.org != org:
                raise Rejected("unknown-key", "This organisation never had such a key; compare its card.")
            if known.revoked:
                raise Rejected("already-revoked", "The key is revoked already.")
        case Adopt(version, from_height):
            if not is_cel_version(version):
                raise Rejected("bad-version", "A version is 1 to 32 of a-z, 0-9, '.', '+' and '-'.")
            if not context.height + ADOPT_AHEAD_MIN <= from_height <= context.height + ADOPT_AHEAD_MAX:
                raise Rejected("bad-height", "Name a height that is still to come, so that all can prepare for it.")
        case Replace(card):
            if not store.may_connect(context, card.body.org):
                raise Rejected("not-a-member", "The organisation is not in the network; admit its card instead.")
            check_card(context, card)
        case _:
            assert_never(motion)


def _pass(context: Context, motion: Motion) -> None:
    match motion:
        case Admit(card):
            if store.card_of(context, card.body.org) != card:
                take_card(context, card)
            store.set_standing(context, card.body.org, State.CANDIDATE, context.next_height)
        case Suspend(org):
            accept_change(context, Part(org, State.SUSPENDED))
        case Remove(org):
            part(context, org)
        case Revoke(org, key):
            _revoke(context, org, key)
        case Replace(card):
            take_card(context, card)
        case Adopt(version, from_height):
            context.put(store.cel_key(from_height), version.encode())
        case _:
            assert_never(motion)


def part(context: Context, org: OrgId) -> None:
    """The organisation leaves the network for good: by the queue when it votes or will, else at once."""
    if org in _coming(context):
        accept_change(context, Part(org, State.REMOVED))
    else:
        store.set_standing(context, org, State.REMOVED, context.next_height)


def _revoke(context: Context, org: OrgId, key: PublicKey) -> None:
    context.store(f"key/{key.hex()}", KnownKey(org, revoked=True))
    store.raise_epoch(context)
    # Whose votes a thief can sign is no member until it is admitted with a new key. The last member stays:
    # nobody else could ever admit anybody.
    if _coming(context).get(org) == key:
        suspend_now(context, org)


def _check_known_card(context: Context, org: OrgId) -> None:
    """A card that is on the ledger already admits its organisation again, unless a key of it was revoked since."""
    card = store.card_of(context, org)
    assert card is not None, "compared by the caller"
    if any(store.is_revoked(context, key) for key in store.keys_of(card.body)):
        raise Rejected("revoked-key", "A key of this card was revoked; the organisation needs a new card.")
    if card.body.tls_until_ms <= context.time_ms:
        raise Rejected("term-over", "The TLS term of this card is over; the organisation needs a new card.")


def _coming(context: Context) -> dict[OrgId, PublicKey]:
    return coming_members(context, context.frame.next_members).keys


def _refusal_to_part(context: Context, org: OrgId) -> tuple[str, str] | None:
    coming = _coming(context)
    if org not in coming:
        return "not-a-member", "The organisation is no member, or is leaving already."
    if len(coming) == 1:
        return "last-member", "It is the last member; admit another before it goes."
    return None
