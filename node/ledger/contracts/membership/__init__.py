"""Who the members are: the founders from the genesis, and whom the members admit, suspend and remove by vote.

A motion passes when a quorum of the set in force supports it. Who is admitted is a candidate until it shows with
`ready` that it has caught up. What changes the set of voters waits in a queue and is in force two blocks after the
block that accepted it, at most max(1, floor((n - 1) / 3)) changes a block.

===============================  ==================================================================================
key                              value
===============================  ==================================================================================
``card/<organisation>``          `Card`: the newest
``standing/<organisation>``      `Standing`: candidate, member, suspended or removed
``certificates/<organisation>``  `Certificates`: the newest one, and for a while the one before
``overlap/<time>/<org>``         empty; when that while ends
``key/<hex>``                    `KnownKey`: every key of every card that was taken, for good
``motion/<id, hex>``             `OpenMotion`
``queue/<number>``               `Queued`: an accepted change that is not in force yet
``replaced/<organisation>``      the node key that its last rotation replaced
``recovered/<org>/<height>``     `Recovered`: an operator ended a silence by hand
``cel/<height>``                 the version of CEL that was adopted from that height on
``epoch``                        int; grows whenever who may connect, certificates or addresses changed
===============================  ==================================================================================

Refusals: already-admitted, already-leaving, already-ready, already-revoked, already-supported, bad-card, bad-height,
bad-signature, bad-version, key-taken, known, last-member, not-a-candidate, not-a-member, not-endorsed, not-in-force,
not-supported, old-card, old-height, revoked-key, rotation-waits, term-over, too-many-motions, unknown-height,
unknown-key, wrong-root.

`types` what is asked and kept; `store` reads and writes; `changes` the queue; `cards`, `motions`, `entering` the
methods.
"""

from node.ledger.contracts.contract import Contract, Method
from node.ledger.contracts.membership.cards import end_overlaps, found_member, present
from node.ledger.contracts.membership.changes import changes_max, coming_members, take_changes
from node.ledger.contracts.membership.entering import leave, ready, recovered
from node.ledger.contracts.membership.motions import support, suspend_now, withdraw
from node.ledger.contracts.membership.store import (
    NAME,
    candidates,
    card_of,
    cel_coming,
    cel_version_at,
    certificates_of,
    epoch,
    fingerprint,
    has_queue,
    is_revoked,
    keys_of,
    may_connect,
    open_motion,
    open_motions,
    queue,
    replaced_key,
    standing_of,
    standings,
)
from node.ledger.contracts.membership.types import (
    Admit,
    Adopt,
    Certificates,
    Change,
    Join,
    Leave,
    Motion,
    OpenMotion,
    Part,
    Present,
    Queued,
    Ready,
    Recovered,
    Rekey,
    Remove,
    Replace,
    Revoke,
    Standing,
    State,
    Support,
    Suspend,
    Withdraw,
    motion_id,
)

__all__ = [
    "MEMBERSHIP",
    "NAME",
    "Admit",
    "Adopt",
    "Certificates",
    "Change",
    "Join",
    "Leave",
    "Motion",
    "OpenMotion",
    "Part",
    "Present",
    "Queued",
    "Ready",
    "Recovered",
    "Rekey",
    "Remove",
    "Replace",
    "Revoke",
    "Standing",
    "State",
    "Support",
    "Suspend",
    "Withdraw",
    "candidates",
    "card_of",
    "cel_coming",
    "cel_version_at",
    "certificates_of",
    "changes_max",
    "coming_members",
    "end_overlaps",
    "epoch",
    "fingerprint",
    "found_member",
    "has_queue",
    "is_revoked",
    "keys_of",
    "may_connect",
    "motion_id",
    "open_motion",
    "open_motions",
    "queue",
    "replaced_key",
    "standing_of",
    "standings",
    "suspend_now",
    "take_changes",
]

MEMBERSHIP = Contract(
    NAME,
    {
        "support": Method(Support, support),
        "withdraw": Method(Withdraw, withdraw),
        "present": Method(Present, present),
        "ready": Method(Ready, ready),
        "leave": Method(Leave, leave),
        "recovered": Method(Recovered, recovered),
    },
)
