"""Who may sign transactions at a height, with which key, and what they may ask for."""

from dataclasses import dataclass

from node.base.ports import Verifier
from node.base.types import MemberSet, OrgId, PublicKey, Transaction, transaction_signing_bytes
from node.ledger.contracts import membership
from node.ledger.contracts.contract import Readable, view
from node.ledger.contracts.membership import State
from node.ledger.system import head, quorums


@dataclass(frozen=True, slots=True)
class SigningRight:
    """What an organisation may sign."""

    key: PublicKey
    limited: tuple[str, str] | None
    """None for everything; else only `membership.*`, and code and reason of the refusal of anything else."""


def is_other_key(reader: Readable, transaction: Transaction, verify: Verifier) -> bool:
    """Whether a signature that does not count now counted a moment ago, or will: the sender's key is changing.

    Asked only of what failed. The keys are the newest card's, and the one that the last rotation replaced.
    """
    entries, org = view(reader, membership.NAME), transaction.body.org
    card, replaced = membership.card_of(entries, org), membership.replaced_key(entries, org)
    keys = {card.body.node_key} if card is not None else set()
    if replaced is not None:
        keys.add(replaced)
    message = transaction_signing_bytes(transaction.body)
    return any(verify(key, message, transaction.signature) for key in sorted(keys))


def signing_right(reader: Readable, members: MemberSet, org: OrgId, time_ms: int) -> SigningRight | None:
    """The right at the height at which `members` is in force; None for none. `reader` is the state before that block.

    - Members in force sign with their key in force.
    - Candidates sign with their card's node key, and only `membership.*`; not with one that was revoked.
    - Whose TLS term is over at `time_ms`, block time, signs only `membership.*`: that renews it (fabric#4875).
    """
    entries = view(reader, membership.NAME)
    standing = membership.standing_of(entries, org)
    if standing is None:
        return None
    if (key := members.keys.get(org)) is not None:
        over = standing.tls_until_ms < time_ms
        reason = f"The term of {org}'s TLS certificate is over; first renew it: lepton keys rotate tls."
        return SigningRight(key, ("term-over", reason) if over else None)
    if standing.state is not State.CANDIDATE:
        return None
    card = membership.card_of(entries, org)
    assert card is not None, "a candidate has a card"
    if membership.is_revoked(entries, card.body.node_key):
        return None
    reason = f"{org} is a candidate and may only sign for its membership until it is a member."
    return SigningRight(card.body.node_key, ("candidate", reason))


def key_in_force(reader: Readable, org: OrgId) -> PublicKey | None:
    """The key whose signature counts in the next block after the state `reader`; None for who may not sign."""
    right = signing_right(reader, quorums(reader).next, org, head(reader).time_ms)
    return None if right is None else right.key
