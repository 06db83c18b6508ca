"""The ledger's word on who may connect: the port `Members`, read from the membership contract at every call."""

from collections.abc import Mapping
from functools import lru_cache

from node.base.ports import StateReader
from node.base.types import Card, OrgId, PublicKey
from node.edge.storage import check_certificate
from node.ledger.contracts import membership
from node.ledger.contracts.contract import view
from node.ledger.contracts.membership import State

CERTIFICATES_JUDGED_MAX = 1_024


class LedgerMembers:
    """Implements `Members` over the committed state."""

    def __init__(self, state: StateReader, peers: Mapping[OrgId, Card]) -> None:
        """`peers` are cards that the operator was handed: a member that was away long finds whoever moved."""
        self._view = view(state, membership.NAME)
        self._peers = peers

    @property
    def epoch(self) -> int:
        """Grows whenever an answer of this class may have changed."""
        return membership.epoch(self._view)

    def certificates(self, org: OrgId) -> tuple[bytes, ...]:
        """The TLS certificates (DER) under which the organisation may connect now, newest first."""
        if not membership.may_connect(self._view, org):
            return ()
        handed = self._handed(org)
        newest = () if handed is None else (handed.body.tls_certificate,)
        found = (*newest, *membership.certificates_of(self._view, org))
        return tuple(der for der in dict.fromkeys(found) if _is_usable(der))

    def addresses(self, org: OrgId) -> tuple[str, ...]:
        """Where to dial it; nothing for strangers."""
        card = membership.card_of(self._view, org)
        handed = self._handed(org)
        newest = () if handed is None else handed.body.addresses
        return tuple(dict.fromkeys((*newest, *(() if card is None else card.body.addresses))))

    def orgs(self) -> tuple[OrgId, ...]:
        """The members in force and the candidates."""
        connecting = (State.CANDIDATE, State.MEMBER)
        return tuple(org for org, standing in membership.standings(self._view) if standing.state in connecting)

    def data_key(self, org: OrgId) -> PublicKey | None:
        """What to seal to it; None also for a key that was revoked."""
        card = membership.card_of(self._view, org)
        if card is None or membership.is_revoked(self._view, card.body.data_key):
            return None
        return card.body.data_key

    def _handed(self, org: OrgId) -> Card | None:
        """The card that was handed over, while it is newer than the ledger's and of the same organisation key."""
        handed, card = self._peers.get(org), membership.card_of(self._view, org)
        if handed is None or card is None or handed.body.organisation_key != card.body.organisation_key:
            return None
        revoked = any(membership.is_revoked(self._view, key) for key in membership.keys_of(handed.body))
        return handed if handed.body.sequence > card.body.sequence and not revoked else None


@lru_cache(CERTIFICATES_JUDGED_MAX)
def _is_usable(der: bytes) -> bool:
    """The ledger does not read certificates; one that gRPC could not load would spoil the list of all."""
    try:
        check_certificate(der)
    except ValueError:
        return False
    return True
