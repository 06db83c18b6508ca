"""The member set's changes: only by a quorum, only on true evidence, only so many at once, never to nobody."""

from dataclasses import replace

from node.base.types import Digest, OrgId, Statement, VoteKind, statement_of
from node.ledger.contracts.evidence import Report
from node.ledger.contracts.membership.types import Leave, Present, Remove, Support
from node.testing.simulation.checkers import require
from node.testing.simulation.drills.stage import call, more_blocks, stage
from node.testing.simulation.liars.kit import Kit
from node.testing.simulation.liars.liar import make_kit
from node.testing.simulation.simulation import Simulation

BLOCKS_AFTER = 3
"""So many blocks after a change was accepted, it must be in force."""


def _orgs(simulation: Simulation) -> tuple[OrgId, ...]:
    return simulation.checkers.newest_set.orgs


def a_quorum_removes_and_less_does_not() -> None:
    """Two of four are not enough; with the third the member is out, and the others go on."""
    simulation = stage()
    first, second, third, victim = simulation.founded.orgs
    for org in (first, second):
        call(simulation, org, "membership", "support", Support(Remove(victim)))
    simulation.must_reach(1)
    more_blocks(simulation, BLOCKS_AFTER, first)
    require(victim in _orgs(simulation), "two of four removed a member")
    call(simulation, third, "membership", "support", Support(Remove(victim)))
    more_blocks(simulation, BLOCKS_AFTER, first)
    require(victim not in _orgs(simulation), "a quorum's decision to remove a member is not in force")


def removals_wait_their_turn() -> None:
    """Of three removals at n = 7 at most two are taken by one block, as the checkers see; all three come."""
    simulation = stage(members=7)
    *stay, x, y, z = simulation.founded.orgs
    for victim in (x, y, z):
        for org in (*stay, x):
            call(simulation, org, "membership", "support", Support(Remove(victim)))
    simulation.must_reach(1, *stay)
    more_blocks(simulation, BLOCKS_AFTER + 1, stay[0])
    require(set(_orgs(simulation)) == set(stay), f"after three removals there are {_orgs(simulation)}")


def the_last_member_stays() -> None:
    """A network of one cannot leave itself."""
    simulation = stage(members=1)
    (only,) = simulation.founded.orgs
    call(simulation, only, "membership", "leave", Leave())
    call(simulation, only, "membership", "support", Support(Remove(only)))
    simulation.must_reach(1)
    more_blocks(simulation, BLOCKS_AFTER, only)
    require(_orgs(simulation) == (only,), "the last member left")


def a_rotated_key_is_in_force() -> None:
    """A card with a new node key; after it the member votes with that key and signs with it."""
    simulation = stage()
    org = simulation.founded.orgs[1]
    call(simulation, org, "membership", "present", Present(simulation.founded.rotated_card(org), None))
    simulation.must_reach(1)
    more_blocks(simulation, BLOCKS_AFTER, simulation.founded.orgs[0])
    key = simulation.checkers.newest_set.keys[org]
    require(key == simulation.founded.next_signers[org].public_key, f"{org} does not vote with its new key")
    simulation.stop(simulation.founded.orgs[3])
    simulation.submit(org)
    simulation.must_reach(simulation.members[org].disk.height() + 1, *simulation.founded.orgs[:3])


def true_evidence_suspends() -> None:
    """Two prepares of one member for one round, and it is out."""
    simulation = stage()
    reporter, _, _, liar = simulation.founded.orgs
    kit = make_kit(liar, simulation)
    statements = _statement(kit, b"1"), _statement(kit, b"2")
    call(simulation, reporter, "evidence", "report", Report(*statements))
    simulation.must_reach(1)
    more_blocks(simulation, BLOCKS_AFTER, reporter)
    require(liar not in _orgs(simulation), f"{liar} signed two prepares of one round, and votes on")


def false_evidence_suspends_nobody() -> None:
    """A forged statement, the same statement twice, statements of two rounds."""
    simulation = stage()
    liar, _, _, victim = simulation.founded.orgs
    kit, thief = make_kit(victim, simulation), make_kit(liar, simulation)
    true = _statement(kit, b"1")
    forged = replace(true, block=Digest(b"2" * 32), signature=thief.forged())
    for report in (Report(true, forged), Report(true, true), Report(true, _statement(kit, b"2", round_=1))):
        height = simulation.members[liar].disk.height()
        call(simulation, liar, "evidence", "report", report)
        simulation.must_reach(height + 1)
    more_blocks(simulation, BLOCKS_AFTER, liar)
    require(victim in _orgs(simulation), f"{victim} is out without having contradicted itself")


def _statement(kit: Kit, mark: bytes, round_: int = 0) -> Statement:
    return statement_of(kit.vote(VoteKind.PREPARE, round_, Digest(mark * 32), 1))


def a_foreign_card_changes_nobody() -> None:
    """A card of another organisation, signed with the wrong organisation key, rotates nothing."""
    simulation = stage()
    thief, victim = simulation.founded.orgs[:2]
    card = simulation.founded.forged_card(victim, thief)
    call(simulation, thief, "membership", "present", Present(card, None))
    simulation.must_reach(1)
    more_blocks(simulation, BLOCKS_AFTER, thief)
    before = simulation.founded.signers[victim].public_key
    require(simulation.checkers.newest_set.keys[victim] == before, f"{thief} changed the key of {victim}")


DRILLS = (
    a_quorum_removes_and_less_does_not,
    removals_wait_their_turn,
    the_last_member_stays,
    a_rotated_key_is_in_force,
    true_evidence_suspends,
    false_evidence_suspends_nobody,
    a_foreign_card_changes_nobody,
)
