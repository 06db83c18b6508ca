"""Whether a proposal may stand in its round, and which block a proposer must propose (QBFT, section 4.3).

Pure functions over signed messages; the header's content is the ledger's to check.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.base.ports import Verifier
from node.base.types import (
    Certificate,
    Digest,
    Height,
    MemberSet,
    PreparedBlock,
    Proposal,
    RoundChange,
    VoteKind,
    certificate_digest,
    header_digest,
    round_change_signing_bytes,
    transactions_root,
    vote_signing_bytes,
)
from node.ledger.certificates import verify_certificate


@dataclass(frozen=True, slots=True)
class Context:
    """What all checks at one height hold messages against."""

    chain: Digest
    height: Height
    members: MemberSet
    parent: Digest
    parent_time_ms: int
    verify: Verifier


@dataclass(frozen=True, slots=True)
class Choice:
    """What a proposer may propose: the prepared block, or a fresh one where there is none."""

    round_changes: tuple[RoundChange, ...]
    prepared: PreparedBlock | None


Evidence = Mapping[tuple[int, Digest], PreparedBlock]
"""Prepared blocks with valid certificates, by (round, digest)."""


def check_round_change(context: Context, message: RoundChange) -> str | None:
    """None, or the reason why no correct member can have sent it."""
    key = context.members.keys.get(message.org)
    if key is None:
        return f"{message.org} is no member"
    if message.height != context.height:
        return f"is for height {message.height}"
    if (message.prepared_round is None) != (message.prepared is None):
        return "claims a prepared round without a block, or a block without a round"
    if message.prepared_round is not None and not 0 <= message.prepared_round < message.round:
        return f"claims to have prepared in round {message.prepared_round}, not before round {message.round}"
    signed = round_change_signing_bytes(
        context.chain, message.height, message.round, message.prepared_round, message.prepared
    )
    if not context.verify(key, signed, message.signature):
        return f"carries no signature of {message.org}"
    return None


def check_proposal(context: Context, proposal: Proposal) -> str | None:
    """None, or the reason why no correct proposer can have sent it. Time against a clock is checked elsewhere."""
    header = proposal.header
    key = context.members.keys.get(proposal.org)
    if key is None or proposal.org != context.members.proposer(context.height, proposal.round):
        return f"{proposal.org} is not the proposer of round {proposal.round}"
    if (header.chain, header.height, header.parent) != (context.chain, context.height, context.parent):
        return "does not follow this chain's head"
    if header.last_certificate != certificate_digest(proposal.last_certificate):
        return "carries another certificate than its header names"
    signed = vote_signing_bytes(context.chain, VoteKind.PREPARE, context.height, proposal.round, header_digest(header))
    if not context.verify(key, signed, proposal.signature):
        return f"carries no signature of {proposal.org}"
    if proposal.round == 0 and (proposal.round_changes or proposal.prepared is not None):
        return "justifies round 0, which needs nothing"
    reason = None if proposal.round == 0 else _check_justification(context, proposal)
    if reason is None and proposal.prepared is None:
        # The author is the round's proposer on a fresh proposal only: a re-proposal keeps its header (besu#7875).
        if header.author != proposal.org:
            return f"is fresh, but names {header.author} as its author"
        if header.time_ms <= context.parent_time_ms:
            return "is not later than its parent"
    return reason


def _check_justification(context: Context, proposal: Proposal) -> str | None:
    orgs = {message.org for message in proposal.round_changes}
    if len(orgs) != len(proposal.round_changes):
        return "counts a member's round change twice"
    if len(orgs) < context.members.quorum:
        return "is justified by less than a quorum of round changes"
    for message in proposal.round_changes:
        if message.round != proposal.round:
            return "is justified by round changes for another round"
        reason = check_round_change(context, message)
        if reason is not None:
            return f"is justified by a round change that {reason}"
    claims = {(m.prepared_round, m.prepared) for m in proposal.round_changes if m.prepared_round is not None}
    if not claims:
        return None if proposal.prepared is None else "carries a prepare certificate that no round change claims"
    if proposal.prepared is None:
        return "ignores what members have prepared"
    certificate = proposal.prepared
    # QBFT 4.3, HighestPrepared: the highest claim must be certified, and no other block may be proposed.
    highest = max(round_ for round_, _ in claims if round_ is not None)
    if certificate.round != highest or (highest, certificate.block) not in claims:
        return "does not certify the highest prepared round"
    if certificate.block != header_digest(proposal.header):
        return "proposes another block than the prepared one"
    return _check_prepares(context, certificate)


def _check_prepares(context: Context, certificate: Certificate) -> str | None:
    if certificate.height != context.height:
        return f"carries prepares of height {certificate.height}"
    return verify_certificate(context.chain, context.members, certificate, VoteKind.PREPARE, context.verify)


def check_prepared_block(context: Context, message: PreparedBlock) -> str | None:
    """None, or the reason why the block with its prepares is not what it says."""
    header = message.block.header
    if message.certificate.block != message.block.digest:
        return "certifies another block"
    if (header.chain, header.height, header.parent) != (context.chain, context.height, context.parent):
        return "does not follow this chain's head"
    reason = _check_prepares(context, message.certificate)
    if reason is not None:
        return reason
    if header.last_certificate != certificate_digest(message.block.last_certificate):
        return "carries another certificate than its header names"
    if header.transactions_root != transactions_root(message.block.transactions):
        return "carries other transactions than its header names"
    return None


def choose(round_changes: Iterable[RoundChange], quorum: int, evidence: Evidence) -> Choice | None:
    """What the proposer of these round changes' round may propose, or None while they justify nothing.

    A round change that claims what no evidence backs is left out, so that a false claim cannot block a proposer.
    """
    messages = list(round_changes)
    backed = [claim for m in messages if (claim := _claim(m)) is not None and claim in evidence]
    highest = max(backed, default=None)
    usable = tuple(message for message in messages if _is_usable(_claim(message), highest))
    if len(usable) < quorum:
        return None
    return Choice(usable, None if highest is None else evidence[highest])


def _claim(message: RoundChange) -> tuple[int, Digest] | None:
    if message.prepared_round is None or message.prepared is None:
        return None
    return message.prepared_round, message.prepared


def _is_usable(claim: tuple[int, Digest] | None, highest: tuple[int, Digest] | None) -> bool:
    if claim is None:
        return True
    # A lower claim needs no evidence: the highest certificate is what counts.
    return highest is not None and (claim == highest or claim[0] < highest[0])
