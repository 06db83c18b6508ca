"""The ledger's word on who may connect: the port `Members`, read from the membership contract at every call."""

from functools import lru_cache

from node.base.ports import StateReader
from node.base.types import OrgId, PublicKey
from node.edge.storage import check_certificate
from node.ledger.contracts import membership
from node.ledger.contracts.contract import view
from node.ledger.contracts.membership import State

CERTIFICATES_JUDGED_MAX = 1_024


class LedgerMembers:
    """Implements `Members` over the committed state."""

    def __init__(self, state: StateReader) -> None:
        self._view = view(state, membership.NAME)

    @property
    def epoch(self) -> int:
        """Grows whenever an answer of this class may have changed."""
        return membership.epoch(self._view)

    def certificates(self, org: OrgId) -> tuple[bytes, ...]:
        """The TLS certificates (DER) under which the organisation may connect now, newest first."""
        if not membership.may_connect(self._view, org):
            return ()
        return tuple(der for der in membership.certificates_of(self._view, org) if _is_usable(der))

    def addresses(self, org: OrgId) -> tuple[str, ...]:
        """Where to dial it; nothing for strangers."""
        card = membership.card_of(self._view, org)
        return () if card is None else card.body.addresses

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


@lru_cache(CERTIFICATES_JUDGED_MAX)
def _is_usable(der: bytes) -> bool:
    """The ledger does not read certificates; one that gRPC could not load would spoil the list of all."""
    try:
        check_certificate(der)
    except ValueError:
        return False
    return True
