"""What the membership contract is asked and what it keeps."""

import enum
from dataclasses import dataclass

from node.base.codec import encode
from node.base.crypto import digest
from node.base.types import Card, Digest, Height, OrgId, PublicKey, Signature


class State(enum.IntEnum):
    """What an organisation is to the network. One that never was anything has no standing."""

    CANDIDATE = 1
    """Admitted and catching up: connects, signs only `membership.*`, does not vote."""
    MEMBER = 2
    SUSPENDED = 3
    """Out of the set and of the links; a motion may admit it again."""
    REMOVED = 4
    """As suspended, for good unless a motion admits it again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An organisation's state, and what every transaction of it is held against."""

    state: State
    since: Height
    """The first height at which it holds."""
    tls_until_ms: int
    """The term of its certificate: after it, only `membership.*`."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The TLS certificates (DER) of an organisation: the newest, and the one that it replaces, for a while."""

    current: bytes
    previous: bytes | None
    previous_until_ms: int
    """Block time at which the previous one ends; 0 with none."""


@dataclass(frozen=True, slots=True)
class Admit:
    """The organisation of this card becomes a candidate."""

    card: Card


@dataclass(frozen=True, slots=True)
class Suspend:
    """The member leaves the set."""

    org: OrgId


@dataclass(frozen=True, slots=True)
class Remove:
    """The organisation leaves the network."""

    org: OrgId


@dataclass(frozen=True, slots=True)
class Revoke:
    """The key was stolen: nobody ever uses it again. A member whose node key in force it is leaves the set."""

    org: OrgId
    key: PublicKey
    """Organisation, node or data key; of a TLS key the SHA-256 of its certificate."""


@dataclass(frozen=True, slots=True)
class Replace:
    """The organisation's next card, whose organisation key the old one cannot endorse: it was stolen or lost."""

    card: Card


@dataclass(frozen=True, slots=True)
class Adopt:
    """From this height on, organisations' conditions are decided by this version of cel-expr-python.

    Until then the operators install it; whoever has another one from then on does not vote.
    """

    cel_version: str
    from_height: Height


Motion = Admit | Suspend | Remove | Revoke | Replace | Adopt
"""What a quorum of the members in force decides. Equal motions are one motion. Append only."""


def motion_id(motion: Motion) -> Digest:
    """Names a motion; whoever supports the same supports this one."""
    return Digest(digest("lepton/motion", encode(motion, Motion)))


@dataclass(frozen=True, slots=True)
class Support:
    """`support`: the caller is for the motion. The first opens it, a quorum makes it pass."""

    motion: Motion


@dataclass(frozen=True, slots=True)
class Withdraw:
    """`withdraw`: the caller is no longer for the motion."""

    motion: Digest


@dataclass(frozen=True, slots=True)
class Present:
    """`present`: the newer card of an organisation, handed in by itself or by any member for it."""

    card: Card
    endorsement: Signature | None
    """Of the organisation key on the ledger over `endorsement_signing_bytes`, for a card with another one."""


@dataclass(frozen=True, slots=True)
class Ready:
    """`ready`: the calling candidate has executed the chain up to one of the last blocks."""

    height: Height
    state_root: Digest


@dataclass(frozen=True, slots=True)
class Leave:
    """`leave`: the caller leaves the network."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """`recovered`: the caller's operator ended the silence that a lost vote log asks for, at this height."""

    height: Height


@dataclass(frozen=True, slots=True)
class OpenMotion:
    """A motion that has no quorum yet."""

    motion: Motion
    opener: OrgId
    until_ms: int
    """The last block time at which it may pass."""
    supporters: tuple[OrgId, ...]
    """Ascending. Who left the set since is counted no more, but stands here."""


@dataclass(frozen=True, slots=True)
class Join:
    """The candidate enters the set with the node key that it signed `ready` with."""

    org: OrgId
    node_key: PublicKey


@dataclass(frozen=True, slots=True)
class Part:
    """The member leaves the set."""

    org: OrgId
    state: State
    """SUSPENDED or REMOVED."""


@dataclass(frozen=True, slots=True)
class Rekey:
    """The member's node key in force changes to this one."""

    org: OrgId
    node_key: PublicKey


Change = Join | Part | Rekey
"""One accepted change of the member set, waiting for its block."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A change in the queue, with the block that accepted it."""

    change: Change
    accepted: Height


@dataclass(frozen=True, slots=True)
class KnownKey:
    """Whose a key is or was. A key never passes from one organisation to another."""

    org: OrgId
    revoked: bool
