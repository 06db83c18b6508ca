"""A member set that changes between two heights: who leaves, who enters, what was signed under the set before."""

from dataclasses import replace

import pytest

from node.base.types import Height, OrgId, PreparedBlock, Proposal, RoundChange, Vote, VoteKind
from node.core import consensus
from node.testing.council import START, Council, Forge

NEW = OrgId("m900")


def decide(council: Council, *away: OrgId) -> None:
    """The set of this height decides, without those that are away."""
    council.deliver = lambda sender, receiver, message: not {sender, receiver} & set(away)
    for _ in range(8):
        council.work(*[org for org in council.forge.orgs if org not in away])
        if set(council.forge.orgs) - set(away) <= set(council.decided):
            break
        council.pass_time()
    assert set(council.forge.orgs) - set(away) <= set(council.decided)
    assert len({decision.block.digest for decision in council.decided.values()}) == 1
    assert council.faults == []


def test_the_proposer_of_the_next_height_is_removed():
    council = Council(4)
    decide(council)
    coming = council.forge.members.proposer(Height(2), 0)
    rest = tuple(org for org in council.forge.orgs if org != coming)
    sent_before = len(council.sent)

    council.advance(*rest)
    decide(council)

    assert coming not in council.decided
    assert coming not in {sender for sender, _ in council.sent[sent_before:]}


def test_one_that_enters_votes_from_its_first_height_on_and_is_needed_for_the_quorum():
    council = Council(4)
    decide(council)
    council.advance(*council.forge.orgs, NEW)

    decide(council, council.forge.orgs[0])

    assert NEW in council.decided
    certificates = [decision.certificate for decision in council.decided.values()]
    assert all(NEW in {signed.org for signed in certificate.signatures} for certificate in certificates)
    assert all(len(certificate.signatures) >= 4 for certificate in certificates)


def test_who_enters_listened_before_and_signed_nothing():
    council = Council(4)
    council.machines[NEW], council.logs[NEW] = council.forge.machine(NEW, *council.forge.signers.values()), []
    council.give(NEW, council.forge.start_height())
    block = council.forge.block(council.forge.proposer(0))
    for message in (council.forge.proposal(block), council.forge.vote(council.forge.orgs[0], VoteKind.PREPARE, block)):
        council.give(NEW, consensus.Received(message.org, message))
    council.work(NEW)
    decide(council)

    assert council.logs[NEW] == []
    assert council.machines[NEW].wake_at is None


def test_who_is_not_in_the_set_counts_for_nothing():
    forge = Forge(4)
    gone = forge.orgs[0]
    forge.enter_height(Height(2), forge.orgs[1:])
    me = forge.orgs[-1]
    machine = forge.machine(me)
    machine.step(forge.start_height(), now=START)
    block = forge.block(forge.proposer(0))
    said = (
        forge.vote(gone, VoteKind.PREPARE, block),
        forge.vote(gone, VoteKind.COMMIT, block),
        forge.round_change(gone, 1),
        forge.proposal(block, org=gone),
    )

    for message in said:
        assert machine.step(consensus.Received(gone, message), now=START) == []
    assert machine.kept == 0


@pytest.mark.parametrize("part", ["round changes", "certificate"])
def test_justifications_of_a_height_are_held_against_its_own_set(part):
    forge = Forge(4)
    old = forge.members
    gone = forge.orgs[0]
    forge.enter_height(Height(2), forge.orgs[1:])
    new = forge.members
    block = forge.block(forge.proposer(0))

    def re_proposal(certificate_by: object, changes_by: object) -> Proposal:
        forge.members = certificate_by
        certificate = forge.certificate(block, 0, VoteKind.PREPARE)
        forge.members = changes_by
        changes = tuple(forge.round_change(org, 1, certificate) for org in forge.orgs[: forge.members.quorum])
        forge.members = new
        return forge.proposal(block, 1, changes, certificate)

    def heard(proposal: Proposal) -> list[consensus.Effect]:
        machine = forge.machine(forge.orgs[-1])
        machine.step(forge.start_height(), now=START)
        return machine.step(consensus.Received(proposal.org, proposal), now=START)

    false = re_proposal(old, new) if part == "certificate" else re_proposal(new, old)
    assert gone in {signed.org for signed in false.prepared.signatures} | {m.org for m in false.round_changes}

    assert [type(effect) for effect in heard(false)] == [consensus.PeerFault]
    assert [type(effect) for effect in heard(re_proposal(new, new))] == [consensus.ExecuteProposal]


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_lock_under_the_new_set_is_proposed_again_by_one_that_has_just_entered(rounds):
    council = Council(4)
    decide(council)
    council.advance(*council.forge.orgs[1:], NEW)
    council.deliver = lambda s, r, m: not (isinstance(m, Vote) and m.kind is VoteKind.COMMIT)
    council.work()
    for _ in range(rounds):
        council.pass_time()
    locked = {m.block.digest for log in council.logs.values() for m in log if isinstance(m, PreparedBlock)}
    locked -= {m.block.digest for log in council.logs.values() for m in log if of_height(m, 1)}

    decide(council)

    assert {decision.block.digest for decision in council.decided.values()} == locked
    assert len(locked) == 1


def of_height(message: object, height: int) -> bool:
    return isinstance(message, PreparedBlock) and message.certificate.height == height


@pytest.mark.parametrize("stopped", range(5))
def test_who_restarts_across_the_change_takes_nothing_of_the_old_set_along(stopped):
    council = Council(4)
    council.work()
    old = council.forge.orgs
    council.advance(*old[1:], NEW)
    victim = sorted({*old, NEW})[stopped]
    council.deliver = lambda s, r, m: not (isinstance(m, Vote) and m.kind is VoteKind.COMMIT)
    council.work()

    council.restart(victim)
    council.settle()
    decide(council)

    signed: dict[object, object] = {}
    for org, message in council.sent:
        if isinstance(message, Proposal | Vote | RoundChange):
            kind = message.kind if isinstance(message, Vote) else type(message)
            height = message.header.height if isinstance(message, Proposal) else message.height
            assert signed.setdefault((org, kind, height, message.round), message) == message


def test_what_a_coming_member_says_early_counts_when_its_height_begins():
    forge = Forge(4)
    me = forge.orgs[-1]
    machine = forge.machine(me)
    machine.step(forge.start_height(), now=START)
    forge.enter_height(Height(2), (*forge.orgs, NEW))
    block = forge.block(forge.proposer(0))
    machine.step(consensus.Received(NEW, forge.vote(NEW, VoteKind.PREPARE, block)), now=START)

    machine.step(forge.start_height(), now=START)

    standing = machine.standing
    assert standing is not None
    assert standing.prepared == (NEW,)


def test_a_vote_log_of_a_height_ahead_is_taken_up_when_that_begins():
    forge = Forge(4)
    me = next(org for org in forge.orgs if org != forge.members.proposer(Height(3), 0))
    forge.height = Height(3)
    ahead = forge.vote(me, VoteKind.PREPARE, forge.block(forge.proposer(0)))
    forge.height = Height(1)
    machine = forge.machine(me, sign_from=Height(3))
    machine.step(forge.start_height(), now=START)
    quiet = machine.step(consensus.Restored((ahead,)), now=START)
    for height in (2, 3):
        forge.height = Height(height)
        quiet += machine.step(forge.start_height(), now=START)

    linked = machine.step(consensus.PeerLinked(forge.orgs[0]), now=START)
    other = forge.block(forge.proposer(0), mark=5)
    machine.step(consensus.Received(forge.proposer(0), forge.proposal(other)), now=START)
    voted = machine.step(consensus.Executed(other), now=START)

    assert not [effect for effect in quiet if isinstance(effect, consensus.PersistVotes)]
    assert [effect.message for effect in linked if isinstance(effect, consensus.SendTo)] == [ahead]
    assert not [effect for effect in voted if isinstance(effect, consensus.PersistVotes)]


def test_a_silent_member_signs_nothing_and_decides_with_the_others():
    council = Council(4)
    silent = council.forge.orgs[0]
    council.machines[silent] = council.forge.machine(silent, sign_from=Height(3))
    council.give(silent, council.forge.start_height())
    for _ in (1, 2):
        decide(council)
        council.advance(*council.forge.orgs)
    assert council.logs[silent] == []

    decide(council)

    assert council.logs[silent]
    assert {replace(m).height for m in council.logs[silent] if isinstance(m, Vote)} == {3}


def test_a_silence_that_ends_in_the_middle_of_a_height_lets_it_decide():
    council = Council(4)
    silent, away = council.forge.orgs[:2]
    council.machines[silent] = council.forge.machine(silent, sign_from=None)
    council.give(silent, council.forge.start_height())
    council.deliver = lambda sender, receiver, message: away not in (sender, receiver)
    for _ in range(3):
        council.work()
        council.pass_time()
    assert council.decided == {}
    rounds = {org: council.machines[org].round for org in council.forge.orgs if org not in (silent, away)}

    council.give(silent, consensus.SignFrom(Height(1)))
    # At once where the others are, without waiting for one of them to repeat itself.
    assert council.machines[silent].round == min(rounds.values()) > 0
    decide(council, away)


def test_one_grows_to_seven_and_shrinks_to_one_with_a_restart_at_each_height():
    # quorum#796, besu#8425, quorum#1728.
    council = Council(1)
    names = [OrgId(f"m{index:03}") for index in range(7)]
    sizes = [*range(2, 8), *range(6, 0, -1)]
    decide(council)
    for step, size in enumerate(sizes):
        orgs = names[:size] if step % 2 else names[7 - size :] if size > 3 else names[:size]
        council.advance(*orgs)
        council.restart(orgs[step % size])
        council.settle()
        decide(council)
