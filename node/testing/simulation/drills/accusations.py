"""Each lie that a member can see must be named, and nothing of it kept without bound."""

from dataclasses import replace

from node.base.types import (
    ZERO_DIGEST,
    BlocksResponse,
    BodiesResponse,
    Height,
    OrgId,
    PeerMessage,
    PreparedBlock,
    Tip,
    Transaction,
    VoteKind,
)
from node.testing.simulation.checkers import KEPT_PER_MEMBER_MAX, require
from node.testing.simulation.drills.stage import liar_of, must_accuse, say, stage
from node.testing.simulation.labels import name_message
from node.testing.simulation.liars.kit import Kit
from node.testing.simulation.liars.liar import make_kit
from node.testing.simulation.simulation import Simulation

ROUND_BEYOND = 2**32 + 1
ROUNDS_SENT = 500


def _staged(role: int = 3) -> tuple[Simulation, Kit, OrgId]:
    """A calm network of four; the liar stands at this place, and the judge elsewhere.

    At height 1 the proposer of round r is the member at place 1 + r, modulo four.
    """
    simulation = stage()
    orgs = simulation.founded.orgs
    return simulation, liar_of(simulation, orgs[role]), orgs[0]


def contradictions_are_named() -> None:
    """Two proposals, two prepares, two commits, two round changes in one round."""
    simulation, kit, judge = _staged(role=1)
    first, second = kit.block(), kit.block((), kit.wall_ms() + 1)
    pairs: list[tuple[PeerMessage, PeerMessage]] = [
        (kit.vote(VoteKind.PREPARE, 0, first.digest), kit.vote(VoteKind.PREPARE, 0, second.digest)),
        (kit.vote(VoteKind.COMMIT, 0, first.digest), kit.vote(VoteKind.COMMIT, 0, second.digest)),
        (kit.proposal(0, first), kit.proposal(0, second)),
        (kit.round_change(1), kit.round_change(1, 0, first.digest)),
    ]
    for one, other in pairs:
        say(simulation, kit, judge, one)
        must_accuse(simulation, kit, judge, f"contradicts its {type(one).__name__}", other)


def forgeries_are_named() -> None:
    """Wrong signatures, others' names, kinds and rounds that nobody may speak of."""
    simulation, kit, judge = _staged()
    other = simulation.founded.orgs[1]
    vote, change = kit.vote(VoteKind.PREPARE, 0, kit.any_digest()), kit.round_change(1)
    lies: dict[str, PeerMessage | bytes] = {
        "forges a vote": replace(vote, signature=kit.forged()),
        "forges a round change": replace(change, signature=kit.forged()),
        "votes in another's name": replace(vote, org=other),
        "asks in another's name": replace(change, org=other),
        "votes for a round change": kit.vote(VoteKind.ROUND_CHANGE, 0, kit.any_digest()),
        "speaks of a round beyond the last": kit.vote(VoteKind.PREPARE, ROUND_BEYOND, kit.any_digest()),
        "asks for a round beyond the last": kit.round_change(ROUND_BEYOND),
        "asks for a round below the first": kit.round_change(-1),
        "asks for round 0": kit.round_change(0),
        "claims to have prepared in the round it asks for": kit.round_change(2, 2, kit.any_digest()),
        "proposes where it is another's turn": kit.proposal(0, kit.block()),
        "sends bytes": b"\xff",
    }
    for what, lie in lies.items():
        must_accuse(simulation, kit, judge, what, lie)


def false_proposals_are_named() -> None:
    """Out of turn, forged, reasoned in round 0, an hour away, with another author."""
    simulation, kit, judge = _staged(role=1)
    block = kit.block()
    lies: dict[str, PeerMessage | bytes] = {
        "proposes out of turn": kit.proposal(1, block),
        "forges its proposal": replace(kit.proposal(0, block), signature=kit.forged()),
        "gives reasons in round 0": kit.proposal(0, block, (kit.round_change(0),)),
        "is an hour ahead": kit.proposal(0, kit.block((), kit.wall_ms() + 3_600_000)),
        "names another author": kit.proposal(0, block, header=replace(block.header, author=judge)),
    }
    for what, lie in lies.items():
        must_accuse(simulation, kit, judge, what, lie)


def false_prepared_blocks_are_named() -> None:
    """A certificate of nobody, one for another block, a short one."""
    simulation, kit, judge = _staged()
    block, other = kit.block(), kit.block((), kit.wall_ms() + 5)
    for signer in (make_kit(org, simulation) for org in simulation.founded.orgs):
        kit.learn(signer.vote(VoteKind.PREPARE, 0, block.digest))
    quorum = kit.certificate(VoteKind.PREPARE, 0, block.digest)
    lies: dict[str, PeerMessage | bytes] = {
        "has a certificate of nobody": PreparedBlock(block, replace(quorum, signatures=())),
        "has a certificate of too few": PreparedBlock(block, replace(quorum, signatures=quorum.signatures[:2])),
        "has a certificate for another block": PreparedBlock(other, quorum),
        "counts a signature twice": PreparedBlock(block, replace(quorum, signatures=quorum.signatures[:1] * 3)),
    }
    for what, lie in lies.items():
        must_accuse(simulation, kit, judge, what, lie)


def reasons_that_are_none_are_named() -> None:
    """A proposal of round 1 with true round changes, and with every way of not being justified by them."""
    simulation, kit, judge = _staged(role=2)
    kits = [make_kit(org, simulation) for org in simulation.founded.orgs]
    prepared, mine = kit.block(), kit.block((), kit.wall_ms() + 5)
    for signer in kits:
        kit.learn(signer.vote(VoteKind.PREPARE, 0, prepared.digest))
    quorum = kit.certificate(VoteKind.PREPARE, 0, prepared.digest)
    free = [signer.round_change(1) for signer in kits]
    bound = [free[0], free[1], kits[2].round_change(1, 0, prepared.digest)]
    lies: dict[str, PeerMessage | bytes] = {
        "has no quorum behind its round": kit.proposal(1, mine, free[:2]),
        "counts a round change twice": kit.proposal(1, mine, [free[0]] * 3),
        "uses round changes for another round": kit.proposal(1, mine, [signer.round_change(2) for signer in kits]),
        "forges a round change": kit.proposal(1, mine, [*free[:2], replace(free[2], signature=kit.forged())]),
        "ignores what is prepared": kit.proposal(1, mine, bound),
        "proposes another block than the prepared one": kit.proposal(1, mine, bound, quorum),
        "brings a certificate that nobody claims": kit.proposal(1, prepared, free[:3], quorum),
        "brings too short a certificate": kit.proposal(
            1, prepared, bound, replace(quorum, signatures=quorum.signatures[:2])
        ),
        "brings a certificate of another round": kit.proposal(1, prepared, bound, replace(quorum, round=1)),
    }
    for what, lie in lies.items():
        must_accuse(simulation, kit, judge, what, lie)


def a_lower_prepared_round_is_no_reason() -> None:
    """Two blocks were prepared, in rounds 0 and 1; a proposal of round 2 brings back the first."""
    simulation, kit, judge = _staged(role=3)
    kits = [make_kit(org, simulation) for org in simulation.founded.orgs]
    first, second = kit.block(), kit.block((), kit.wall_ms() + 5)
    for signer in kits:
        kit.learn(signer.vote(VoteKind.PREPARE, 0, first.digest))
    lower = kit.certificate(VoteKind.PREPARE, 0, first.digest)
    claims = [
        kits[0].round_change(2, 0, first.digest),
        kits[1].round_change(2, 1, second.digest),
        kits[2].round_change(2),
    ]
    proposal = kit.proposal(2, first, claims, lower)
    must_accuse(simulation, kit, judge, "brings a lower round's certificate", proposal)


def false_tips_are_named() -> None:
    """A lowered tip, two heads at one height."""
    simulation, kit, judge = _staged()
    say(simulation, kit, judge, Tip(Height(9), kit.chain, Height(1)))
    must_accuse(simulation, kit, judge, "lowers its tip", Tip(Height(8), kit.chain, Height(1)))
    must_accuse(simulation, kit, judge, "names two heads", Tip(Height(8), kit.any_digest(), Height(1)))


def false_rows_are_named_and_others_are_asked() -> None:
    """A member that is behind gets an empty answer, then the true one of another."""
    simulation = stage()
    liar, second, third, away = simulation.founded.orgs
    kit = liar_of(simulation, liar)
    simulation.stop(away)
    for height in (1, 2, 3):
        simulation.submit(second)
        simulation.must_reach(height, liar, second, third)
    simulation.drop = lambda sender, receiver, data: receiver == away and sender == liar
    simulation.start(away)
    say(simulation, kit, away, Tip(Height(3), kit.chain, Height(1)))
    simulation.run(50)
    say(simulation, kit, away, BlocksResponse(Height(1), ()))
    simulation.must_reach(3, away, within_ms=20_000)


def strangers_rounds_fill_nothing() -> None:
    """One member speaks of hundreds of rounds; what is kept stays bounded, and its round is not followed."""
    simulation, kit, judge = _staged()
    for round_ in range(1, ROUNDS_SENT):
        for message in (
            kit.vote(VoteKind.PREPARE, round_, kit.any_digest()),
            kit.vote(VoteKind.COMMIT, round_, kit.any_digest()),
        ):
            say(simulation, kit, judge, message)
        say(simulation, kit, judge, kit.round_change(round_))
    replica = simulation.members[judge].replica
    assert replica is not None, "nobody stopped it"
    bound = KEPT_PER_MEMBER_MAX * 4
    require(replica.kept <= bound, f"{judge} keeps {replica.kept} messages of one member's rounds")
    require(replica.round == 0, f"{judge} follows one member to round {replica.round}")


def a_second_proposal_changes_nothing() -> None:
    """A proposer that proposes twice to one member gets one prepare."""
    simulation, kit, judge = _staged(role=1)
    for block in (kit.block(), kit.block((), kit.wall_ms() + 1)):
        say(simulation, kit, judge, kit.proposal(0, block))
        simulation.run(10)
    count = len(simulation.members[judge].disk.votes)
    require(count == 1, f"{judge} signed {count} messages for two proposals of one round")


def worthless_transactions_are_in_no_block() -> None:
    """A proposer brings, with its body, what another organisation never signed, what is another chain's, or over."""
    for what in range(3):
        simulation, kit, judge = _staged(role=1)
        true = kit.transaction(9)
        worthless = (
            Transaction(replace(true.body, org=judge), true.signature),
            kit.transaction(9, chain=ZERO_DIGEST),
            kit.transaction(9, until_ms=1),
        )
        block = kit.block(worthless[what : what + 1])
        for org in kit.peers:
            say(simulation, kit, org, kit.proposal(0, block))
            say(simulation, kit, org, BodiesResponse(block.transactions))
        simulation.submit(judge)
        simulation.must_reach(1)


def claims_without_evidence_are_left_out() -> None:
    """Round 0 fails; for round 1 its proposer has a liar's claim of a lock first, and the others' true words after."""
    simulation, kit, _ = _staged(role=3)
    first, silenced, proposer, _ = simulation.founded.orgs
    simulation.drop = lambda sender, receiver, data: (
        sender == kit.org or (sender == silenced and name_message(data) == "Proposal")
    )
    say(simulation, kit, proposer, kit.round_change(1, 0, kit.any_digest()))
    for org in (first, silenced, proposer):
        simulation.submit(org)
    simulation.must_reach(1)


def a_wiped_vote_log_keeps_silent() -> None:
    """A member prepared, lost its vote log, and sees another proposal of the same round."""
    simulation, kit, judge = _staged(role=1)
    for mark in (0, 1):
        say(simulation, kit, judge, kit.proposal(0, kit.block((), kit.wall_ms() + mark)))
        simulation.run(5)
        simulation.stop(judge)
        simulation.members[judge].disk.wipe_votes()
        simulation.start(judge)


DRILLS = (
    contradictions_are_named,
    forgeries_are_named,
    false_proposals_are_named,
    false_prepared_blocks_are_named,
    reasons_that_are_none_are_named,
    a_lower_prepared_round_is_no_reason,
    false_tips_are_named,
    false_rows_are_named_and_others_are_asked,
    strangers_rounds_fill_nothing,
    a_second_proposal_changes_nothing,
    worthless_transactions_are_in_no_block,
    claims_without_evidence_are_left_out,
    a_wiped_vote_log_keeps_silent,
)
