"""Killed at every effect boundary and restarted from what was written: never two signatures, and the height decides."""

import pytest

from node.base.codec import encode
from node.base.types import PeerMessage, PreparedBlock, Proposal, RoundChange, Vote, VoteKind
from node.core import consensus
from node.core.consensus.pen import kind_of
from node.testing.council import START, Council, Forge


def test_persist_stands_before_what_is_sent_and_a_lock_before_its_commit():
    forge = Forge(4)
    org = forge.proposer(0)
    machine = forge.machine(org)
    machine.step(forge.start_height(), now=START)
    machine.step(consensus.WorkAvailable(), now=START)
    block = forge.block(org)

    proposing = machine.step(consensus.Built(0, block), now=START)
    effects = list(proposing)
    for peer in forge.orgs:
        if peer != org:
            prepare = forge.vote(peer, VoteKind.PREPARE, block)
            effects += machine.step(consensus.Received(peer, prepare), now=START)

    persisted: list[object] = []
    for effect in effects:
        if isinstance(effect, consensus.PersistVotes):
            persisted.extend(effect.messages)
        if isinstance(effect, consensus.Broadcast):
            assert effect.message in persisted
    # The proposal is its proposer's prepare too.
    assert isinstance(proposing[0], consensus.PersistVotes)
    assert [type(message) for message in proposing[0].messages] == [Proposal]
    written = [message for e in effects if isinstance(e, consensus.PersistVotes) for message in e.messages]
    lock, commit = written[-2:]
    assert isinstance(lock, PreparedBlock)
    assert isinstance(commit, Vote)
    assert commit.kind is VoteKind.COMMIT


def run_with_a_kill(kill_org: int, kill_at: int) -> tuple[Council, bool]:
    """Member `kill_org` dies before its effect number `kill_at` and starts again from its vote log."""
    council = Council(4)
    effects = 0

    def survives(org, effect):
        nonlocal effects
        effects += org == council.forge.orgs[kill_org]
        return org != council.forge.orgs[kill_org] or effects != kill_at

    council.survives = survives
    for _ in range(5):
        if len(council.decided) < 4:
            council.work()
            council.pass_time()
    return council, effects >= kill_at


@pytest.mark.parametrize("kill_org", range(4))
def test_killed_at_every_effect_the_height_decides_and_nothing_is_signed_twice(kill_org):
    for kill_at in range(1, 30):
        council, killed = run_with_a_kill(kill_org, kill_at)
        if not killed:
            break
        # The killed one may have missed the decision of the others: catch-up brings it, which is not in play here.
        others = set(council.forge.orgs) - {council.forge.orgs[kill_org]}
        assert others <= set(council.decided)
        assert len({decision.block.digest for decision in council.decided.values()}) == 1
        check_signed_once(council)
    else:
        pytest.fail("the run has more effects than were tried")


def check_signed_once(council: Council) -> None:
    signed: dict[object, bytes] = {}
    for org, message in council.sent:
        if isinstance(message, Proposal | Vote | RoundChange):
            key = (org, kind_of(message), message.round)
            data = encode(message, PeerMessage)
            assert signed.setdefault(key, data) == data


def test_a_restarted_proposer_does_not_build_another_block_for_its_round():
    council = Council(4)
    proposer = council.forge.proposer(0)
    council.deliver = lambda sender, receiver, message: False
    council.work(proposer)
    before = [message for message in council.logs[proposer] if isinstance(message, Proposal)]

    council.restart(proposer)
    council.settle()
    council.work(proposer)

    assert [message for message in council.logs[proposer] if isinstance(message, Proposal)] == before
    assert [message for _, message in council.sent if isinstance(message, Proposal)].count(before[0]) == 4


def test_entries_of_a_height_that_is_over_are_ignored():
    forge = Forge(4)
    org = forge.proposer(0)
    old = forge.vote(org, VoteKind.COMMIT, forge.block(org))
    forge.height = type(forge.height)(2)
    machine = forge.machine(org)
    machine.step(forge.start_height(), now=START)

    effects = machine.step(consensus.Restored((old,)), now=START)

    assert effects == []
    assert machine.wake_at is None


def test_the_pen_refuses_a_second_signature():
    # tendermint#5668: a double-sign guard that never worked.
    forge = Forge(4)
    org = forge.orgs[0]
    pen = consensus.consensus.Pen(org, forge.chain, forge.signers[org], forge.height)
    pen.vote(VoteKind.PREPARE, forge.block(org).digest)

    with pytest.raises(AssertionError, match="signed already"):
        pen.vote(VoteKind.PREPARE, forge.block(org, mark=1).digest)
    pen.move_to(1)
    with pytest.raises(AssertionError, match="only go up"):
        pen.move_to(1)


def test_a_lock_survives_the_restart_and_goes_with_the_next_round_change():
    forge = Forge(4)
    me = next(org for org in forge.orgs if org not in (forge.proposer(0), forge.proposer(1)))
    lock = forge.prepared(forge.block(forge.proposer(0)), 0)
    log = (forge.vote(me, VoteKind.PREPARE, lock.block), lock, forge.vote(me, VoteKind.COMMIT, lock.block))
    machine = forge.machine(me)
    machine.step(forge.start_height(), now=START)

    restored = machine.step(consensus.Restored(log), now=START)
    wake_at = machine.wake_at
    assert wake_at is not None
    effects = machine.step(consensus.Tick(), now=START._replace(mono_ms=wake_at))

    # The block must be executed again: a quorum of commits may come without anything else.
    assert consensus.ExecuteBlock(lock.block) in restored
    persist, to_proposer, broadcast = effects[:3]
    assert isinstance(persist, consensus.PersistVotes)
    (change,) = persist.messages
    assert isinstance(change, RoundChange)
    assert (change.prepared_round, change.prepared) == (0, lock.block.digest)
    assert to_proposer == consensus.SendTo(forge.proposer(1), lock)
    assert broadcast == consensus.Broadcast(change)


def test_the_proposer_of_the_round_gets_the_lock_again_when_its_link_returns():
    forge = Forge(4)
    me = next(org for org in forge.orgs if org not in (forge.proposer(0), forge.proposer(1)))
    lock = forge.prepared(forge.block(forge.proposer(0)), 0)
    machine = forge.machine(me)
    machine.step(forge.start_height(), now=START)
    machine.step(consensus.Restored((lock, forge.round_change(me, 1, lock.certificate))), now=START)

    to_proposer = machine.step(consensus.PeerLinked(forge.proposer(1)), now=START)
    to_another = machine.step(consensus.PeerLinked(forge.proposer(0)), now=START)

    change = forge.round_change(me, 1, lock.certificate)
    assert [effect.message for effect in to_proposer if isinstance(effect, consensus.SendTo)] == [lock, change]
    assert [effect.message for effect in to_another if isinstance(effect, consensus.SendTo)] == [change]
