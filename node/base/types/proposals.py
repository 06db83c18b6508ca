"""What carries whole blocks between members: proposals, and blocks with the certificates that made them final."""

from dataclasses import dataclass

from node.base.types.agreement import Certificate, RoundChange, Vote, VoteKind
from node.base.types.ledger import Block, Header, header_digest
from node.base.types.names import Digest, OrgId, Signature


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposer's block for one round, by header and transaction ids; the bodies travel once, by gossip.

    In round 0 there is no justification. In a later round `round_changes` is a quorum for that round, and
    `prepared` the prepare certificate of the highest prepared block among them, which must be this one.

    Its signature is that of its proposer's prepare, which is not sent again (PBFT, Castro and Liskov 1999, 4.2: the
    pre-prepare stands for the primary's prepare). So two proposals in one round are two prepares, one kind of proof.
    """

    round: int
    header: Header
    transactions: tuple[Digest, ...]
    last_certificate: Certificate | None
    round_changes: tuple[RoundChange, ...]
    prepared: Certificate | None
    org: OrgId
    signature: Signature

    @property
    def prepare(self) -> Vote:
        """The proposer's prepare."""
        header = self.header
        return Vote(VoteKind.PREPARE, header.height, self.round, header_digest(header), self.org, self.signature)


@dataclass(frozen=True, slots=True)
class CertifiedBlock:
    """A block with a certificate that made it final: what a member stores and what catch-up sends."""

    block: Block
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class CertifiedHeader:
    """A header with a certificate that made its block final: what is left of a pruned block."""

    header: Header
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class PreparedBlock:
    """A block with the prepare certificate that locks a member on it.

    It goes with a round change that claims it, to the proposer of the round asked for, who could not propose the
    block again without; and into the vote log before the commit, so that a lock and its bodies survive a restart.
    """

    block: Block
    certificate: Certificate
