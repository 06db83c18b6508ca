"""Where agreement stands at one height, for an operator who asks what it waits for. Read only."""

from dataclasses import dataclass

from node.base.types import Height, OrgId
from node.core.consensus.agreement import Agreement


@dataclass(frozen=True, slots=True)
class Standing:
    """One height as this member sees it."""

    height: Height
    """Being agreed on."""
    round: int
    proposer: OrgId
    quorum: int
    members: tuple[OrgId, ...]
    """Who votes at this height."""
    deadline_ms: int | None
    """When the round ends, `mono_ms`; None while there is no reason for a block."""
    proposed: bool
    """Whether the round's proposal is here."""
    executed: bool
    """Whether its block is here too and was found valid."""
    prepared: tuple[OrgId, ...]
    """Who prepared in this round."""
    committed: tuple[OrgId, ...]
    """Who committed in this round."""
    rounds: dict[OrgId, int]
    """The highest round of this height that each member was heard in; who was not heard is not in it."""


def standing(at: Agreement) -> Standing:
    """What is known of the height now."""
    members = at.context.members
    rounds: dict[OrgId, int] = {}
    for org in members.orgs:
        change = at.round_changes.find(org)
        heard = [*at.prepares.rounds_by(org), *at.commits.rounds_by(org), *([] if change is None else [change.round])]
        if org in at.seconded:
            heard.append(at.round)
        if heard:
            rounds[org] = max(heard)
    return Standing(
        height=at.context.height,
        round=at.round,
        proposer=members.proposer(at.context.height, at.round),
        quorum=members.quorum,
        members=members.orgs,
        deadline_ms=at.deadline_ms,
        proposed=at.proposal is not None,
        executed=at.proposed is not None and at.proposed in at.executed,
        prepared=tuple(
            org for org in members.orgs if org in at.seconded or at.prepares.find(org, at.round) is not None
        ),
        committed=tuple(org for org in members.orgs if at.commits.find(org, at.round) is not None),
        rounds=rounds,
    )
