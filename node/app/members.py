"""The ledger's word on who may connect: the port `Members`, read from the membership contract at every call."""

from node.base.ports import StateReader
from node.base.types import OrgId, PublicKey
from node.ledger.contracts.contract import view
from node.ledger.contracts.membership import NAME, card_of, is_member


class LedgerMembers:
    """Implements `Members` over the committed state."""

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self._view = view(state, NAME)

    def certificate(self, org: OrgId) -> bytes | None:
        """The TLS certificate (DER) of a member that may connect, else None."""
        card = card_of(self._view, org) if is_member(self._view, org) else None
        return None if card is None else card.body.tls_certificate

    def addresses(self, org: OrgId) -> tuple[str, ...]:
        """Where to dial it; nothing for strangers."""
        card = card_of(self._view, org)
        return () if card is None else card.body.addresses

    def orgs(self) -> tuple[OrgId, ...]:
        """All members."""
        return tuple(OrgId(key.removeprefix("member/")) for key, _ in self._view.scan("member/"))

    def data_key(self, org: OrgId) -> PublicKey | None:
        """What to seal to it."""
        card = card_of(self._view, org)
        return None if card is None else card.body.data_key
