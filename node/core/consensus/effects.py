"""What the consensus asks for. The order of a list is a promise: `PersistVotes` stands before what it covers."""

from dataclasses import dataclass

from node.base.types import Block, Certificate, Height, OrgId, Proposal, Statement
from node.core.consensus.inputs import ConsensusMessage


@dataclass(frozen=True, slots=True)
class PersistVotes:
    """Write these to the vote log in one sync, before any later effect."""

    messages: tuple[ConsensusMessage, ...]


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to every other member of the height."""

    message: ConsensusMessage


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send to one member."""

    peer: OrgId
    message: ConsensusMessage | Statement


@dataclass(frozen=True, slots=True)
class Build:
    """Make a fresh block from what waits and answer with `Built`."""

    height: Height
    round: int


@dataclass(frozen=True, slots=True)
class ExecuteProposal:
    """Get the bodies, execute, and answer with `Executed` when the block is what its header says."""

    proposal: Proposal


@dataclass(frozen=True, slots=True)
class ExecuteBlock:
    """Execute and answer with `Executed` when the block is what its header says."""

    block: Block


@dataclass(frozen=True, slots=True)
class Decide:
    """The block is final; the height is over for the consensus until the next `StartHeight`."""

    block: Block
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class PeerFault:
    """A peer sent what no correct member sends."""

    peer: OrgId
    reason: str


@dataclass(frozen=True, slots=True)
class Equivocated:
    """A member signed two different statements of one kind, height and round; both signatures hold."""

    first: Statement
    second: Statement


Effect = PersistVotes | Broadcast | SendTo | Build | ExecuteProposal | ExecuteBlock | Decide | PeerFault | Equivocated
