"""What every card on the ledger must be, whoever shows it."""

from node.base.codec import encode
from node.base.ports import Verifier
from node.base.types import Card, card_signing_bytes

CARD_BYTES_MAX = 16 << 10
TIME_MS_LIMIT = 1 << 46
"""About the year 4200: no sum of a time and a time-out comes near 64 bits."""


def card_fault(card: Card, time_ms: int, verify: Verifier) -> tuple[str, str] | None:
    """None for a card that may stand on the ledger from `time_ms` on, else code and reason of its refusal."""
    body = card.body
    if body.sequence < 1:
        return "bad-card", f"The card of {body.org} has number {body.sequence}; cards count up from 1."
    if len(encode(body)) > CARD_BYTES_MAX:
        return "bad-card", f"The card of {body.org} is larger than {CARD_BYTES_MAX} bytes; shorten its addresses."
    if len({body.organisation_key, body.node_key, body.data_key}) < 3:
        return "bad-card", f"The card of {body.org} uses one key for two purposes; make a new one."
    if not time_ms < body.tls_until_ms < TIME_MS_LIMIT:
        return "term-over", f"The TLS term of {body.org}'s card is over or out of range; make a new card."
    if not verify(body.organisation_key, card_signing_bytes(body), card.signature):
        return "bad-signature", f"The card of {body.org} is not signed with its organisation key; ask for it again."
    return None
