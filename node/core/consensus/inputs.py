"""What the consensus is told."""

from dataclasses import dataclass
from typing import assert_never

from node.base.types import (
    Block,
    Digest,
    Height,
    MemberSet,
    OrgId,
    PreparedBlock,
    Proposal,
    RoundChange,
    Statement,
    Vote,
)

ConsensusMessage = Proposal | Vote | RoundChange | PreparedBlock
"""What members send each other to agree, and what the vote log keeps."""


@dataclass(frozen=True, slots=True)
class StartHeight:
    """The chain's head changed: agree on the block after it."""

    height: Height
    members: MemberSet
    parent: Digest
    parent_time_ms: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What this member wrote into its vote log for one height, in that order; given once, after a `StartHeight`.

    Of a later height, it is kept until that one begins: the ledger is older than the log.
    """

    messages: tuple[ConsensusMessage, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """A message of an authenticated peer."""

    peer: OrgId
    message: ConsensusMessage


@dataclass(frozen=True, slots=True)
class Overtaken:
    """This height is final without this machine: until the next `StartHeight` it says nothing more."""


@dataclass(frozen=True, slots=True)
class ToldOf:
    """A peer passes on what another member signed, because it heard of something else."""

    peer: OrgId
    statement: Statement


@dataclass(frozen=True, slots=True)
class SignFrom:
    """This member signs from this height on: its silence has an end."""

    height: Height


@dataclass(frozen=True, slots=True)
class WorkAvailable:
    """This member knows a reason for a block: a valid transaction, a due heartbeat, a due deadline."""


@dataclass(frozen=True, slots=True)
class Built:
    """The answer to `Build`: a block that this member has executed and may propose in that round."""

    round: int
    block: Block


@dataclass(frozen=True, slots=True)
class Executed:
    """The answer to `ExecuteProposal` and `ExecuteBlock`: the block with all bodies, valid as its header says."""

    block: Block


@dataclass(frozen=True, slots=True)
class PeerLinked:
    """A link came up; what was sent to the peer before may be lost."""

    peer: OrgId


@dataclass(frozen=True, slots=True)
class Tick:
    """`wake_at` has come."""


Input = (
    StartHeight
    | Restored
    | Received
    | ToldOf
    | SignFrom
    | Overtaken
    | WorkAvailable
    | Built
    | Executed
    | PeerLinked
    | Tick
)


def height_of(message: ConsensusMessage) -> Height:
    """The height that a message speaks of."""
    match message:
        case Proposal():
            return message.header.height
        case Vote() | RoundChange():
            return message.height
        case PreparedBlock():
            return message.certificate.height
        case _:
            assert_never(message)
