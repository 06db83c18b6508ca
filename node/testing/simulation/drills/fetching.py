"""What a member that is behind, or that lacks bodies, must not take: each lie is named, and another member serves."""

from dataclasses import replace
from typing import Any

from node.base.codec import decode
from node.base.types import (
    Block,
    BlocksResponse,
    BodiesResponse,
    Certificate,
    CertifiedBlock,
    Height,
    OrgId,
    PeerMessage,
    Proposal,
    Tip,
    Transaction,
    Transactions,
    certificate_digest,
)
from node.engine.replica import PeerSent
from node.testing.simulation.checkers import require
from node.testing.simulation.drills.stage import liar_of, must_accuse, say, stage
from node.testing.simulation.liars.kit import Kit, to_bytes
from node.testing.simulation.liars.syncing import LIES
from node.testing.simulation.simulation import Simulation

_MESSAGE: Any = PeerMessage
BLOCKS = 4
SLOW_DISK_MS = 900


def _behind() -> tuple[Simulation, Kit, OrgId, list[CertifiedBlock]]:
    """Three of four made blocks; the fourth has just started, hears nobody, and asked the liar for all of them."""
    simulation = stage(seed=12)
    liar, second, third, away = simulation.founded.orgs
    kit = liar_of(simulation, liar)
    simulation.stop(away)
    for height in range(1, BLOCKS + 1):
        simulation.submit(second)
        simulation.must_reach(height, liar, second, third)
    simulation.drop = lambda sender, receiver, data: receiver == away
    simulation.start(away)
    simulation.run(100)
    blocks = [simulation.members[second].disk.block(Height(height)) for height in range(1, BLOCKS + 1)]
    say(simulation, kit, away, Tip(Height(BLOCKS), kit.chain, Height(1)))
    simulation.run(10)
    return simulation, kit, away, [block for block in blocks if block is not None]


def false_blocks_are_named() -> None:
    """The second block of a row is false in every way that a liar knows; then the others serve."""
    for lie in LIES:
        simulation, kit, away, (first, second, *rest) = _behind()
        row = BlocksResponse(Height(1), (first, lie(kit, second), *rest))
        must_accuse(simulation, kit, away, f"serves a false block ({lie.__name__})", row)
        simulation.drop = lambda sender, receiver, data: False
        simulation.submit(away)
        simulation.must_reach(BLOCKS + 1)


def false_rows_are_named() -> None:
    """Blocks in another order, from another height on."""
    for order in ([1, 0, 2], [1, 2, 3], [0, 2]):
        simulation, kit, away, blocks = _behind()
        row = BlocksResponse(Height(1), tuple(blocks[at] for at in order))
        must_accuse(simulation, kit, away, f"serves blocks {order}", row)


def nothing_is_signed_on_what_power_could_take() -> None:
    """A row breaks off after blocks that are not synced; the member then votes."""
    simulation, kit, away, (first, second, third, fourth) = _behind()
    lie = LIES[0](kit, third)
    say(simulation, kit, away, BlocksResponse(Height(1), (first, second, lie, fourth)))
    simulation.submit(away)
    simulation.run(20_000)
    require(bool(simulation.members[away].disk.votes), f"{away} had work and asked for no round")
    simulation.stop(away)
    simulation.drop = lambda sender, receiver, data: False
    simulation.start(away)
    simulation.must_reach(BLOCKS)


def nothing_is_signed_below_a_fetched_block() -> None:
    """The member's round times out while its slow disk takes over a row of blocks."""
    simulation, kit, away, blocks = _behind()
    simulation.submit(away)
    simulation.members[away].disk_ms = SLOW_DISK_MS
    say(simulation, kit, away, BlocksResponse(Height(1), tuple(blocks)))
    simulation.run(10 * SLOW_DISK_MS)
    require(simulation.members[away].disk.height() == BLOCKS, f"{away} did not take over the row")


def false_bodies_speak_against_nobody() -> None:
    """A liar answers with the proposal's transactions under other signatures; the proposer is not blamed."""
    simulation = stage(seed=16)
    judge, proposer, _, liar = simulation.founded.orgs
    kit = liar_of(simulation, liar)
    held: list[Transaction] = []

    def keep_bodies(sender: OrgId, receiver: OrgId, data: bytes) -> bool:
        message: PeerMessage = decode(_MESSAGE, data)
        if isinstance(message, Transactions):
            held.extend(decode(Transaction, form) for form in message.forms)
        return receiver == judge and isinstance(message, Transactions | BodiesResponse)

    simulation.drop = keep_bodies
    simulation.submit(proposer)
    simulation.run(60)
    bodies = tuple(replace(transaction, signature=kit.forged()) for transaction in held[:1])
    require(bool(bodies), "the transaction was sent to nobody")
    simulation.feed(judge, PeerSent(liar, to_bytes(BodiesResponse(bodies))))
    simulation.drop = lambda sender, receiver, data: False
    simulation.must_reach(1)


def false_parents_certificates_are_named() -> None:
    """A proposal whose block carries a certificate of its parent that is short, forged, counted twice, or another's."""
    simulation = stage(seed=17)
    judge, author, _, liar = simulation.founded.orgs
    for height in (1, 2):
        simulation.submit(author)
        simulation.must_reach(height)
    kit = liar_of(simulation, liar)
    last, before = simulation.members[judge].disk.block(Height(2)), simulation.members[judge].disk.block(Height(1))
    assert last is not None, "must_reach says so"
    assert before is not None, "must_reach says so"
    true = last.certificate
    wrong = {
        "carries a short certificate": replace(true, signatures=true.signatures[:2]),
        "counts a signature twice": replace(true, signatures=true.signatures[:1] * 3),
        "carries a forged one": replace(
            true, signatures=tuple(replace(signed, signature=kit.forged()) for signed in true.signatures)
        ),
    }
    # At height 3 the proposer of round 0 is the fourth member; each further lie needs a member that saw none yet.
    for judge, (what, certificate) in zip(simulation.founded.orgs[:3], wrong.items(), strict=True):
        must_accuse(simulation, kit, judge, what, _carrying(kit, certificate))
    simulation.stop(judge)
    simulation.start(judge)
    must_accuse(simulation, kit, judge, "carries the one before", _carrying(kit, before.certificate))


def _carrying(kit: Kit, certificate: Certificate) -> Proposal:
    header = replace(kit.block().header, last_certificate=certificate_digest(certificate))
    return kit.proposal(0, Block(header, (), certificate))


DRILLS = (
    false_blocks_are_named,
    false_rows_are_named,
    nothing_is_signed_on_what_power_could_take,
    nothing_is_signed_below_a_fetched_block,
    false_bodies_speak_against_nobody,
    false_parents_certificates_are_named,
)
