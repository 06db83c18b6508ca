"""The rules of agreement once more, written apart from the product's own checks and kept as plain as the paper.

The checkers hold members against these, so that a guard that is missing in `core` or `ledger` is missing in one place
only. Nothing here is fast or says reasons; it shares types and signing bytes with the product, and no decisions.
"""

from node.base.ports import Verifier
from node.base.types import (
    Certificate,
    Digest,
    MemberSet,
    OrgId,
    Proposal,
    RoundChange,
    Vote,
    VoteKind,
    header_digest,
    round_change_signing_bytes,
    vote_signing_bytes,
)


def quorum(members: int) -> int:
    """The smallest number that is more than two thirds."""
    count = 0
    while 3 * count <= 2 * members:
        count += 1
    return count


def proposer(members: MemberSet, height: int, round_: int) -> OrgId:
    """Whose turn it is."""
    orgs = sorted(member.org for member in members.members)
    return orgs[(height + round_) % len(orgs)]


class Oracle:
    """What is true of signed messages on one chain."""

    def __init__(self, chain: Digest, verify: Verifier) -> None:
        self._chain = chain
        self._verify = verify

    def signed_vote(self, members: MemberSet, vote: Vote) -> bool:
        """Whether a prepare or commit is what its member signed."""
        message = vote_signing_bytes(self._chain, vote.kind, vote.height, vote.round, vote.block)
        return self._signed(members, vote.org, message, vote.signature)

    def certified(self, members: MemberSet, certificate: Certificate, kind: VoteKind) -> bool:
        """Whether a quorum of the set signed this kind of vote for this block in this round."""
        message = vote_signing_bytes(self._chain, kind, certificate.height, certificate.round, certificate.block)
        signers = {s.org for s in certificate.signatures if self._signed(members, s.org, message, s.signature)}
        return len(signers) >= quorum(len(members.members)) and len(signers) == len(certificate.signatures)

    def justified(self, members: MemberSet, proposal: Proposal) -> bool:
        """QBFT 4.3: whether a correct member may follow the proposal, its block's content aside."""
        height, round_, block = proposal.header.height, proposal.round, header_digest(proposal.header)
        if proposal.org != proposer(members, height, round_):
            return False
        message = vote_signing_bytes(self._chain, VoteKind.PREPARE, height, round_, block)
        if not self._signed(members, proposal.org, message, proposal.signature):
            return False
        if round_ == 0:
            return proposal.prepared is None and not proposal.round_changes
        changes = [m for m in proposal.round_changes if self._asks_for(members, m, height, round_)]
        if len({m.org for m in changes}) < quorum(len(members.members)):
            return False
        claims = [(m.prepared_round, m.prepared) for m in changes if m.prepared_round is not None]
        if not claims:
            return proposal.prepared is None
        certificate = proposal.prepared
        highest = max(claimed for claimed, _ in claims if claimed is not None)
        return (
            certificate is not None
            and certificate.height == height
            and certificate.round == highest
            and certificate.block == block
            and (highest, block) in claims
            and self.certified(members, certificate, VoteKind.PREPARE)
        )

    def _asks_for(self, members: MemberSet, change: RoundChange, height: int, round_: int) -> bool:
        if (change.height, change.round) != (height, round_):
            return False
        if change.prepared_round is not None and not 0 <= change.prepared_round < round_:
            return False
        message = round_change_signing_bytes(self._chain, height, round_, change.prepared_round, change.prepared)
        return self._signed(members, change.org, message, change.signature)

    def _signed(self, members: MemberSet, org: OrgId, message: bytes, signature: bytes) -> bool:
        key = {member.org: member.node_key for member in members.members}.get(org)
        return key is not None and self._verify(key, message, signature)
