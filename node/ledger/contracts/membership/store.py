"""Reads and writes the membership contract's part of the state; decides nothing.

The keys are listed at the package's head.
"""

from collections.abc import Iterator
from hashlib import sha256

from node.base.codec import decode, encode
from node.base.types import Card, CardBody, Digest, Height, OrgId, PublicKey
from node.ledger.contracts.contract import View, WritableView
from node.ledger.contracts.membership.types import (
    Certificates,
    Change,
    KnownKey,
    OpenMotion,
    Queued,
    Standing,
    State,
)

NAME = "membership"


def cel_version_at(membership: View, height: Height) -> str | None:
    """The version of cel-expr-python that was adopted for this height; None where the genesis's holds."""
    found = None
    for key, value in membership.scan("cel/"):
        if key > cel_key(height):
            break
        found = value.decode()
    return found


def cel_coming(membership: View, height: Height) -> Iterator[tuple[Height, str]]:
    """The versions that were adopted for heights above this one, with the first height of each."""
    for key, value in membership.scan("cel/"):
        if key > cel_key(height):
            yield Height(int(key.removeprefix("cel/"))), value.decode()


def cel_key(height: Height) -> str:
    """Of the version that holds from this height on."""
    return f"cel/{height:020}"


def card_of(membership: View, org: OrgId) -> Card | None:
    """The newest card of an organisation, whatever its standing."""
    return membership.load(Card, f"card/{org}")


def standing_of(membership: View, org: OrgId) -> Standing | None:
    """The organisation's standing; None for one that never had any."""
    return membership.load(Standing, f"standing/{org}")


def standings(membership: View) -> Iterator[tuple[OrgId, Standing]]:
    """All organisations that ever had a standing, ascending."""
    for key, value in membership.scan("standing/"):
        yield OrgId(key.removeprefix("standing/")), decode(Standing, value)


def candidates(membership: View) -> tuple[OrgId, ...]:
    """Who was admitted and is not in force yet, ascending."""
    return tuple(org for org, standing in standings(membership) if standing.state is State.CANDIDATE)


def may_connect(membership: View, org: OrgId) -> bool:
    """Whether the organisation is a member in force or a candidate."""
    standing = standing_of(membership, org)
    return standing is not None and standing.state in (State.CANDIDATE, State.MEMBER)


def certificates_of(membership: View, org: OrgId) -> tuple[bytes, ...]:
    """The TLS certificates (DER) that the organisation may show now, newest first, without revoked ones."""
    kept = membership.load(Certificates, f"certificates/{org}")
    if kept is None:
        return ()
    found = (kept.current,) if kept.previous is None else (kept.current, kept.previous)
    return tuple(certificate for certificate in found if not is_revoked(membership, fingerprint(certificate)))


def epoch(membership: View) -> int:
    """Grows whenever who may connect, a certificate or an address changed."""
    value = membership.get("epoch")
    return 0 if value is None else decode(int, value)


def fingerprint(certificate: bytes) -> PublicKey:
    """What stands for a TLS key among the keys: the SHA-256 of its certificate."""
    return PublicKey(sha256(certificate).digest())


def keys_of(body: CardBody) -> tuple[PublicKey, ...]:
    """Every key that a card names."""
    return (body.organisation_key, body.node_key, body.data_key, fingerprint(body.tls_certificate))


def known_key(membership: View, key: PublicKey) -> KnownKey | None:
    """Whose the key is or was; None for one that no accepted card named."""
    return membership.load(KnownKey, f"key/{key.hex()}")


def is_revoked(membership: View, key: PublicKey) -> bool:
    """Whether a quorum revoked the key."""
    known = known_key(membership, key)
    return known is not None and known.revoked


def replaced_key(membership: View, org: OrgId) -> PublicKey | None:
    """The node key that was in force before the organisation's last rotation; None before the first."""
    value = membership.get(f"replaced/{org}")
    return None if value is None else PublicKey(value)


def open_motion(membership: View, id_: Digest) -> OpenMotion | None:
    """The motion of this id, open or run out."""
    return membership.load(OpenMotion, f"motion/{id_.hex()}")


def open_motions(membership: View) -> Iterator[tuple[Digest, OpenMotion]]:
    """All motions that have not passed, those that ran out and were not swept yet among them."""
    for key, value in membership.scan("motion/"):
        yield Digest(bytes.fromhex(key.removeprefix("motion/"))), decode(OpenMotion, value)


def queue(membership: View) -> list[tuple[str, Queued]]:
    """The accepted changes that are not in force yet, with their keys, in order."""
    return [(key, decode(Queued, value)) for key, value in membership.scan("queue/")]


def has_queue(membership: View) -> bool:
    """Whether accepted changes wait for a block."""
    return next(membership.scan("queue/"), None) is not None


def set_standing(membership: WritableView, org: OrgId, state: State, since: Height) -> None:
    """Give the organisation this state; its card is on the ledger."""
    card = card_of(membership, org)
    assert card is not None, f"{org} has a standing and so a card"
    membership.store(f"standing/{org}", Standing(state, since, card.body.tls_until_ms))
    raise_epoch(membership)


def raise_epoch(membership: WritableView) -> None:
    """Who may connect, or how, has changed."""
    membership.put("epoch", encode(epoch(membership) + 1))


def append_change(membership: WritableView, change: Change, height: Height) -> None:
    """Put a change that block `height` accepts at the queue's end."""
    waiting = queue(membership)
    number = int(waiting[-1][0].removeprefix("queue/")) + 1 if waiting else 0
    membership.store(f"queue/{number:020d}", Queued(change, height))
