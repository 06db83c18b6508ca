"""Members that agree: the usual way, over rounds, and with locks."""

import pytest

from node.base.types import Instant, OrgId, PreparedBlock, Proposal, RoundChange, Vote, VoteKind, header_digest
from node.core import consensus
from node.testing.council import START, Council, Forge
from node.testing.signing import HeldSigners, verify_hash


def digests(council: Council) -> set[bytes]:
    return {decision.block.digest for decision in council.decided.values()}


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 10, 13])
def test_all_decide_in_round_0(n):
    council = Council(n)

    council.work()

    assert len(council.decided) == n
    assert len(digests(council)) == 1
    assert all(decision.certificate.round == 0 for decision in council.decided.values())
    assert not council.faults


def test_without_work_nobody_signs_or_waits():
    council = Council(4)

    assert not council.sent
    assert all(machine.wake_at is None for machine in council.machines.values())


def test_one_active_member_does_not_start_the_others_timers_but_two_do():
    council = Council(4)
    first, second = council.forge.orgs[2:]

    council.work(first)
    council.pass_time()

    waiting = [org for org, machine in council.machines.items() if machine.wake_at is not None]
    assert waiting == [first]
    council.work(second)
    council.pass_time()
    assert all(org in council.decided or council.machines[org].wake_at is not None for org in council.forge.orgs)


def test_a_silent_proposer_costs_one_round():
    council = Council(4)
    silent = council.forge.proposer(0)
    council.deliver = lambda sender, receiver, message: silent not in (sender, receiver)

    council.work()
    council.pass_time()

    assert set(council.decided) == set(council.forge.orgs) - {silent}
    assert {decision.certificate.round for decision in council.decided.values()} == {1}


@pytest.mark.parametrize("rounds", [1, 2, 3, 4, 5])
def test_a_re_proposal_keeps_the_digest(rounds):
    # besu#7875: a round inside the block's hash made a re-proposal invalid.
    council = Council(4)
    silenced = {"commits": True}

    def deliver(sender: OrgId, receiver: OrgId, message: object) -> bool:
        return not (silenced["commits"] and isinstance(message, Vote) and message.kind is VoteKind.COMMIT)

    council.deliver = deliver
    council.work()
    for _ in range(rounds - 1):
        council.pass_time()
    silenced["commits"] = False
    council.pass_time()

    proposals = [message for _, message in council.sent if isinstance(message, Proposal)]
    assert [proposal.round for proposal in proposals] == list(range(rounds + 1))
    assert len({header_digest(proposal.header) for proposal in proposals}) == 1
    assert len(council.decided) == 4
    assert digests(council) == {header_digest(proposals[0].header)}
    assert {proposal.header.author for proposal in proposals} == {council.forge.proposer(0)}


def test_two_locks_end_in_a_decision():
    # quorum#305 (IBFT 1): members lock different blocks and never unlock.
    council = Council(4)
    a, _, _, d = council.forge.orgs

    def only(*lucky: OrgId):
        def deliver(sender: OrgId, receiver: OrgId, message: object) -> bool:
            if isinstance(message, Vote) and message.kind is VoteKind.PREPARE:
                return receiver in lucky
            if isinstance(message, PreparedBlock):
                return False
            return not isinstance(message, Vote)

        return deliver

    # Round 0: only `a` sees a quorum of prepares, and locks.
    council.deliver = only(a)
    council.work()
    first = {org for org in council.forge.orgs if any(isinstance(m, PreparedBlock) for m in council.logs[org])}
    # Round 1: without the round change of `a`, a fresh block; only `d` locks it.
    withhold_a = only(d)
    council.deliver = lambda s, r, m: withhold_a(s, r, m) and not (s == a and isinstance(m, RoundChange))
    council.pass_time()
    locks = {
        org: [m for m in council.logs[org] if isinstance(m, PreparedBlock)][-1].block.digest
        for org in council.forge.orgs
        if any(isinstance(m, PreparedBlock) for m in council.logs[org])
    }
    assert first == {a}
    assert set(locks) == {a, d}
    assert locks[a] != locks[d]

    council.deliver = lambda sender, receiver, message: True
    for _ in range(6):
        if len(council.decided) < 4:
            council.pass_time()

    assert len(council.decided) == 4
    # The higher lock wins.
    assert digests(council) == {locks[d]}


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7])
def test_all_restart_after_every_lock_and_decide_the_locked_block(n):
    council = Council(n)
    council.deliver = lambda s, r, m: not (isinstance(m, Vote) and m.kind is VoteKind.COMMIT)
    council.work()
    locked = {
        message.block.digest for log in council.logs.values() for message in log if isinstance(message, PreparedBlock)
    }
    council.decided.clear()

    council.deliver = lambda sender, receiver, message: True
    for org in council.forge.orgs:
        council.restart(org)
    council.settle()

    # Whoever decides first no longer repeats its votes; the others get the block by catch-up, not in play here.
    assert len(locked) == 1
    assert council.decided
    assert digests(council) == locked


def test_timeouts_double_up_to_the_cap():
    council = Council(4)
    council.deliver = lambda sender, receiver, message: False
    council.work()
    machine = council.machines[council.forge.orgs[2]]
    waits = []
    for _ in range(8):
        wake_at = machine.wake_at
        assert wake_at is not None
        waits.append(wake_at - council.now.mono_ms)
        council.pass_time()

    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000, 16_000]


def test_a_member_that_is_a_round_ahead_waits_for_the_others_and_says_its_wish_again():
    # Found by a seed: time-outs at the cap are equal, so who goes on alone is never in one round with the others.
    council = Council(4)
    ahead, *others = council.forge.orgs
    silent = others.pop()
    council.deliver = lambda sender, receiver, message: (
        silent not in (sender, receiver)
        and ahead
        not in (
            sender,
            receiver,
        )
    )
    council.work(ahead)
    council.pass_time()
    assert council.machines[ahead].round == 1
    council.work(*others)
    council.sent.clear()
    council.pass_time()
    assert council.machines[ahead].round == 1
    again = {message.round for sender, message in council.sent if sender == ahead and isinstance(message, RoundChange)}
    assert again <= {1}

    council.deliver = lambda sender, receiver, message: silent not in (sender, receiver)
    for _ in range(12):
        if len(council.decided) == 3:
            break
        council.pass_time()

    assert set(council.decided) == {ahead, *others}


def test_a_round_lasts_its_time_out_from_the_moment_when_a_quorum_is_in_it():
    forge = Forge(4)
    first, second, third, _ = forge.orgs
    machine = forge.machine(first)
    machine.step(forge.start_height(), now=START)
    machine.step(consensus.WorkAvailable(), now=START)
    late = Instant(START.mono_ms + 1_000, START.wall_ms + 1_000)
    machine.step(consensus.Tick(), now=late)
    assert machine.round == 1
    later = Instant(late.mono_ms + 1_500, late.wall_ms + 1_500)
    for org in (second, third):
        machine.step(consensus.Received(org, forge.round_change(org, 1)), now=later)

    assert machine.wake_at == later.mono_ms + 2_000


def test_a_prepare_that_comes_after_the_quorum_is_counted_and_not_verified():
    forge = Forge(4)
    proposer, second, third, late = forge.proposer(0), *(org for org in forge.orgs if org != forge.proposer(0))
    block, verified = forge.block(proposer), []

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        verified.append(key)
        return verify_hash(key, message, signature)

    machine = consensus.Consensus(
        org=second,
        chain=forge.chain,
        keyring=HeldSigners((forge.signers[second],)),
        verify=verify,
        parameters=forge.parameters,
        sign_from=forge.height,
    )
    machine.step(forge.start_height(), now=START)
    machine.step(consensus.Received(proposer, forge.proposal(block)), now=START)
    machine.step(consensus.Executed(block), now=START)
    for org in (proposer, third):
        machine.step(consensus.Received(org, forge.vote(org, VoteKind.PREPARE, block)), now=START)
    assert machine.standing.prepared == tuple(sorted((proposer, second, third)))
    verified.clear()

    effects = machine.step(consensus.Received(late, forge.vote(late, VoteKind.PREPARE, block)), now=START)

    assert not effects
    assert forge.signers[late].public_key not in verified
    assert machine.standing.prepared == forge.orgs
    assert machine.standing.rounds == dict.fromkeys(forge.orgs, 0)


def test_a_proposal_is_its_proposers_prepare_and_signed_once():
    council = Council(4)
    proposer, member, third, _ = (
        council.forge.proposer(0),
        *(org for org in council.forge.orgs if org != council.forge.proposer(0)),
    )
    council.deliver = lambda sender, receiver, message: (
        isinstance(message, Proposal) or (sender, receiver) == (third, member)
    )

    council.work()

    said = [message for org, message in council.sent if org == proposer]
    assert [type(message) for message in said] == [Proposal]
    (lock,) = (message for message in council.logs[member] if isinstance(message, PreparedBlock))
    assert {signed.org for signed in lock.certificate.signatures} == {proposer, member, third}


def test_who_prepared_in_its_own_round_proposes_nothing_in_it():
    forge = Forge(4)
    org = forge.proposer(0)
    machine = forge.machine(org)
    machine.step(forge.start_height(), now=START)
    machine.step(consensus.Restored((forge.vote(org, VoteKind.PREPARE, forge.block(org)),)), now=START)

    assert machine.step(consensus.WorkAvailable(), now=START) == []
    assert machine.step(consensus.Built(0, forge.block(org, mark=1)), now=START) == []


def test_a_prepare_of_another_block_is_verified_and_proven_after_the_quorum_too():
    forge = Forge(4)
    proposer, second, third, liar = forge.proposer(0), *(org for org in forge.orgs if org != forge.proposer(0))
    block, other = forge.block(proposer), forge.block(proposer, mark=9)
    machine = forge.machine(second)
    machine.step(forge.start_height(), now=START)
    machine.step(consensus.Received(proposer, forge.proposal(block)), now=START)
    machine.step(consensus.Executed(block), now=START)
    for org in (proposer, third, liar):
        machine.step(consensus.Received(org, forge.vote(org, VoteKind.PREPARE, block)), now=START)

    effects = machine.step(consensus.Received(liar, forge.vote(liar, VoteKind.PREPARE, other)), now=START)

    assert [effect.first.org for effect in effects if isinstance(effect, consensus.Equivocated)] == [liar]
