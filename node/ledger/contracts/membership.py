"""Who the members are. The founders come from the genesis; the methods that admit and remove others come later.

========================  ===========================================
key                       value
========================  ===========================================
``card/<organisation>``   `Card`: keys, TLS certificate, addresses
``member/<organisation>`` `Member`: votes with this key
========================  ===========================================
"""

from collections.abc import Iterator

from node.base.codec import encode
from node.base.types import Card, Member, OrgId
from node.ledger.contracts.contract import Contract, View

NAME = "membership"
MEMBERSHIP = Contract(NAME, {})


def card_of(membership: View, org: OrgId) -> Card | None:
    """The card in force of a member, read from this contract's part of the state."""
    return membership.load(Card, f"card/{org}")


def is_member(membership: View, org: OrgId) -> bool:
    """Whether the organisation is a member."""
    return membership.get(f"member/{org}") is not None


def founding_entries(card: Card) -> Iterator[tuple[bytes, bytes]]:
    """What the genesis writes for one founder: whole keys and values."""
    org = card.body.org
    yield f"{NAME}/card/{org}".encode(), encode(card)
    yield f"{NAME}/member/{org}".encode(), encode(Member(org, card.body.node_key))
