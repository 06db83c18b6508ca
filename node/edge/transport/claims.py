"""What a caller says of itself in its call's metadata, before anything else is read from it."""

from collections.abc import Iterable

from node.base.types import OrgId, is_org_id
from node.edge.transport.credentials import Identity

ORG_KEY = "lepton-org"
CHAIN_KEY = "lepton-chain"
VERSIONS_KEY = "lepton-versions"
RENEWS_KEY = "lepton-renews"
"""Present where this link takes the place of one that is well: after a certificate was renewed."""

Metadata = tuple[tuple[str, str], ...]


def claim(identity: Identity, *, renews: bool = False) -> Metadata:
    """Our own."""
    said: Metadata = (
        (ORG_KEY, identity.org),
        (CHAIN_KEY, identity.chain.hex()),
        (VERSIONS_KEY, str(identity.versions)),
    )
    return (*said, (RENEWS_KEY, "1")) if renews else said


def claimed_values(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """The text entries of a call's metadata; of repeated ones the last."""
    return {key: value for key, value in metadata if isinstance(value, str)}


def claimed_org(values: dict[str, str]) -> OrgId | None:
    """The organisation that the caller says it is; None for none, or for a name that no organisation can have."""
    org = values.get(ORG_KEY, "")
    return OrgId(org) if is_org_id(org) else None
