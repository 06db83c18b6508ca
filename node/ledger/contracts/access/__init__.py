"""Access to data: who asked to use which data set, what its owner said, and whether that stands now.

`deciding` a request's way, `ruling` the owner's rules' part in it; `serving` sealed keys and fetches; `standing`
whether somebody may use data now; `types` what is asked and kept; `store` where it is kept.

A use of data stands on a basis: a granted request, or an `authorize` of the contract `sharing`. A basis stands while
it is not revoked and the agreement that it names is in force. All of it is seen by all members for ever.

==================================================  =============================================================
key                                                 value
==================================================  =============================================================
``request/<id>``                                    `Request`
``open/<owner>/<name>/<requester>/<id>``            empty; while the request waits or is granted
``sealed/<basis>/<version>``                        `Sealed`: the envelope for this version
``due/<owner>/<basis>/<version>``                   empty; while the owner's daemon has to seal the version
``unfetched/<recipient>/<basis>/<version>``         empty; sealed, and neither fetched since nor revoked
``fetch/<id>``                                      `Fetched`
``count/<owner>/<name>/<requester>``                `Counts` of this requester
``total/<owner>/<name>``                            `Counts` in all
==================================================  =============================================================

Refusals: unknown-data, own-data, bad-purpose, bad-words, too-many, unknown-agreement, agreement-withdrawn,
agreement-expired, agreement-not-signed, not-party, other-data, operation-outside, purpose-outside, unknown-request,
not-owner, not-requester, not-member, wrong-state, bad-reason, unknown-basis, not-recipient, not-granted, refused,
revoked, cancelled, unknown-version, already-sealed, error-by-rule, budget-spent.
"""

from node.ledger.contracts.access.deciding import cancel, grant, refuse, request, revoke
from node.ledger.contracts.access.serving import fetch, seal
from node.ledger.contracts.access.standing import (
    basis,
    owner_of,
    refusal_of_basis,
    why_not_served,
    why_not_usable,
)
from node.ledger.contracts.access.store import NAME
from node.ledger.contracts.access.types import (
    OPEN_MAX,
    AccessEvent,
    Ask,
    Basis,
    Cancel,
    Counts,
    Fetch,
    Fetched,
    Grant,
    Refuse,
    Request,
    Revoke,
    Seal,
    Sealed,
    State,
)
from node.ledger.contracts.contract import Contract, Method

ACCESS = Contract(
    NAME,
    {
        "request": Method(Ask, request),
        "grant": Method(Grant, grant),
        "refuse": Method(Refuse, refuse),
        "revoke": Method(Revoke, revoke),
        "cancel": Method(Cancel, cancel),
        "seal": Method(Seal, seal),
        "fetch": Method(Fetch, fetch),
    },
)

__all__ = [
    "ACCESS",
    "NAME",
    "OPEN_MAX",
    "AccessEvent",
    "Ask",
    "Basis",
    "Cancel",
    "Counts",
    "Fetch",
    "Fetched",
    "Grant",
    "Refuse",
    "Request",
    "Revoke",
    "Seal",
    "Sealed",
    "State",
    "basis",
    "owner_of",
    "refusal_of_basis",
    "why_not_served",
    "why_not_usable",
]
