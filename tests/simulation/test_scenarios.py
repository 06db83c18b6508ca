"""Directed scenarios: failures that real systems shipped, with whole replicas."""

from dataclasses import replace

import pytest

from node.base.codec import decode, encode
from node.base.types import (
    BlocksRequest,
    BlocksResponse,
    CertifiedBlock,
    Height,
    OrgId,
    Parameters,
    PeerMessage,
    Tip,
    Transactions,
    Vote,
    VoteKind,
)
from node.engine.replica import PeerSent
from node.testing.simulation import Plan, Simulation


def started(members: int = 4, seed: int = 7, **parameters: int) -> Simulation:
    limits = {"round_timeout_ms": 400, "round_timeout_max_ms": 3_200, "heartbeat_ms": 600_000} | parameters
    simulation = Simulation(Plan(seed=seed, members=members, parameters=Parameters(**limits)))
    simulation.start()
    simulation.run(100)
    return simulation


def reach(simulation: Simulation, height: int, orgs: tuple[OrgId, ...] | None = None, within_ms: int = 60_000) -> None:
    """Let time pass until these members (by default all) are there."""
    members = [simulation.members[org] for org in orgs or simulation.founded.orgs]
    assert simulation.run(within_ms, lambda: all(member.disk.height() >= height for member in members)), (
        f"heights {simulation.heights()} after {within_ms} ms"
    )


def test_one_transaction_makes_one_block_on_all():
    simulation = started()
    transaction = simulation.submit(simulation.founded.orgs[2])
    reach(simulation, 1)
    simulation.run(20_000)

    assert simulation.heights() == [1, 1, 1, 1]
    assert all(member.disk.transaction(transaction.id) is not None for member in simulation.members.values())


def test_an_idle_network_makes_only_heartbeat_blocks():
    # quorum#1630: the timer of empty blocks forks or stops the chain.
    simulation = started(heartbeat_ms=60_000)
    simulation.run(10 * 60_000)

    assert 9 <= min(simulation.heights()) <= max(simulation.heights()) <= 10
    blocks = [simulation.members[OrgId("m000")].disk.block(Height(height)) for height in range(1, 10)]
    assert all(certified is not None and not certified.block.transactions for certified in blocks)
    assert simulation.rounds_max <= 1


def test_two_of_four_down_make_no_block_and_one_that_returns_is_enough():
    simulation = started()
    a, b, c, d = simulation.founded.orgs
    simulation.submit(a)
    reach(simulation, 1)
    simulation.stop(c)
    simulation.stop(d)
    waiting = simulation.submit(a)
    simulation.run(120_000)
    assert simulation.heights() == [1, 1, 1, 1]

    starts = [simulation.members[org].starts for org in (a, b)]
    simulation.start(c)
    reach(simulation, 2, (a, b, c))

    assert simulation.members[c].disk.transaction(waiting.id) is not None
    assert [simulation.members[org].starts for org in (a, b)] == starts
    simulation.start(d)
    reach(simulation, 2)


def test_all_lose_power_at_once_and_go_on():
    simulation = started()
    for org in simulation.founded.orgs:
        simulation.submit(org)
    simulation.run(30)
    for org in simulation.founded.orgs:
        simulation.stop(org)
    simulation.run(1_000)

    simulation.start()
    simulation.submit(simulation.founded.orgs[0])

    reach(simulation, 1)


@pytest.mark.parametrize("victim", range(4))
def test_killed_at_every_effect_boundary_and_restarted(victim):
    # tendermint#8739: a validator that cannot sign a replayed vote again halts the chain.
    for effect in range(1, 60):
        simulation = Simulation(Plan(seed=effect, parameters=Parameters(round_timeout_ms=400)))
        org = simulation.founded.orgs[victim]
        simulation.members[org].crash_at_effect = effect
        simulation.start()
        simulation.run(50)
        author = simulation.founded.orgs[(victim + 1) % 4]
        simulation.submit(author)
        simulation.run(3_000)
        simulation.start()
        reach(simulation, 1, simulation.founded.orgs[:victim] + simulation.founded.orgs[victim + 1 :])
        simulation.submit(author)
        simulation.run(3_000)
        simulation.start()
        simulation.submit(author)

        reach(simulation, 2)
        if not simulation.crashes:
            return
    pytest.fail("more effects than were tried")


def test_a_member_that_was_away_catches_up_over_many_answers():
    simulation = started(seed=11)
    *present, away = simulation.founded.orgs
    simulation.stop(away)
    for height in range(1, 151):
        simulation.submit(present[height % 3])
        reach(simulation, height, tuple(present))

    simulation.start(away)
    reach(simulation, simulation.members[present[0]].disk.height(), within_ms=20_000)

    assert len({member.tip for member in simulation.members.values()}) == 1


def corrupt_blocks(response: BlocksResponse) -> BlocksResponse:
    first = response.blocks[0]
    header = replace(first.block.header, time_ms=first.block.header.time_ms + 1)
    return replace(response, blocks=(replace(first, block=replace(first.block, header=header)), *response.blocks[1:]))


def drop_signatures(response: BlocksResponse) -> BlocksResponse:
    first = response.blocks[0]
    certificate = replace(first.certificate, signatures=first.certificate.signatures[1:])
    return replace(response, blocks=(CertifiedBlock(first.block, certificate), *response.blocks[1:]))


def drop_transactions(response: BlocksResponse) -> BlocksResponse:
    first = response.blocks[0]
    return replace(response, blocks=(replace(first, block=replace(first.block, transactions=())), *response.blocks[1:]))


@pytest.mark.parametrize("lie", [corrupt_blocks, drop_signatures, drop_transactions, None])
def test_a_lying_sync_peer_is_dropped_and_another_serves(lie):
    # CVE-2025-24371, and its kin: false blocks, half certificates, silence.
    simulation = started(seed=12)
    liar, *honest, away = simulation.founded.orgs
    simulation.checkers.liars = frozenset({liar})
    simulation.stop(away)
    for height in range(1, 6):
        simulation.submit(honest[0])
        reach(simulation, height, (liar, *honest))

    def lies(sender: OrgId, receiver: OrgId, data: bytes) -> bool:
        message = decode(PeerMessage, data)
        if receiver != away:
            return False
        if sender != liar:
            # The liar is the first that the returned member hears of.
            return isinstance(message, Tip) and not simulation.members[away].faults_seen
        if not isinstance(message, BlocksResponse):
            return False
        if lie is not None:
            simulation.feed(away, PeerSent(liar, encode(lie(message), PeerMessage)))
        return True

    simulation.drop = lies
    simulation.start(away)
    reach(simulation, 5)

    assert liar in {fault.peer for fault in simulation.members[away].faults_seen}


def test_a_peer_that_claims_a_great_height_and_lowers_it_does_not_hold_the_catch_up():
    simulation = started(seed=13)
    liar, *honest, away = simulation.founded.orgs
    simulation.checkers.liars = frozenset({liar})
    simulation.stop(away)
    for height in range(1, 4):
        simulation.submit(honest[0])
        reach(simulation, height, (liar, *honest))

    simulation.drop = lambda sender, receiver, data: sender == liar and receiver == away
    simulation.start(away)
    for height in (2**62, 1, 2**62, 0):
        tip = Tip(Height(height), simulation.founded.chain)
        simulation.at(30, lambda tip=tip: simulation.feed(away, PeerSent(liar, encode(tip, PeerMessage))))

    reach(simulation, 3)


@pytest.mark.parametrize("delay_ms", range(0, 60, 3))
def test_a_block_delivered_by_catch_up_and_by_agreement_is_applied_once(delay_ms):
    # SmartBFT#484, #570, #663. The disk asserts that each height is written once, in order.
    simulation = started(seed=14)
    slow = simulation.founded.orgs[3]
    simulation.submit(simulation.founded.orgs[0])
    reach(simulation, 1)
    simulation.submit(simulation.founded.orgs[0])
    others = simulation.founded.orgs[:3]

    def also_send_the_block() -> None:
        for org in others:
            certified = simulation.members[org].disk.block(Height(2))
            if certified is not None:
                answer = BlocksResponse(Height(2), (certified,))
                for message in (Tip(Height(200), simulation.founded.chain), answer, answer):
                    simulation.feed(slow, PeerSent(org, encode(message, PeerMessage)))

    simulation.at(delay_ms, also_send_the_block)
    reach(simulation, 2)
    simulation.submit(slow)
    reach(simulation, 3)


def test_a_transaction_that_only_one_member_knows_is_still_included():
    simulation = started(seed=15)
    author = simulation.founded.orgs[2]
    simulation.drop = lambda sender, receiver, data: (
        sender == author and isinstance(decode(PeerMessage, data), Transactions)
    )
    transaction = simulation.submit(author)
    simulation.run(1_000)
    simulation.drop = lambda sender, receiver, data: False

    members = simulation.members.values()
    assert simulation.run(30_000, lambda: all(m.disk.transaction(transaction.id) is not None for m in members))


def test_missing_bodies_are_fetched_for_a_proposal():
    simulation = started(seed=16)
    author = simulation.founded.orgs[1]
    # Height 1, round 0 is proposed by the author itself; the bodies go to nobody but by request.
    simulation.drop = lambda sender, receiver, data: isinstance(decode(PeerMessage, data), Transactions)
    simulation.submit(author)

    reach(simulation, 1, within_ms=2_000)
    assert simulation.rounds_max == 0


def test_a_late_round_change_is_answered_with_the_tip():
    simulation = started(seed=18)
    laggard = simulation.founded.orgs[3]
    # The last one sees neither the others' commits nor their tips.
    blocked = True

    def drop(sender: OrgId, receiver: OrgId, data: bytes) -> bool:
        message = decode(PeerMessage, data)
        if receiver != laggard or not blocked:
            return False
        return isinstance(message, Tip) or (isinstance(message, Vote) and message.kind is VoteKind.COMMIT)

    simulation.drop = drop
    simulation.submit(simulation.founded.orgs[0])
    reach(simulation, 1, simulation.founded.orgs[:3])
    blocked = False

    reach(simulation, 1, within_ms=2_000)


def test_answers_are_bounded():
    simulation = started(seed=19)
    asked, asker = simulation.founded.orgs[:2]
    simulation.submit(asked)
    reach(simulation, 1)
    answers: list[BlocksResponse] = []

    def watch(sender: OrgId, receiver: OrgId, data: bytes) -> bool:
        message = decode(PeerMessage, data)
        if isinstance(message, BlocksResponse):
            answers.append(message)
        return False

    simulation.drop = watch
    for start, count in ((0, 2**62), (1, -5), (2**62, 2**62), (1, 2**63 - 1)):
        request = BlocksRequest(Height(start), count)
        simulation.feed(asked, PeerSent(asker, encode(request, PeerMessage)))

    assert [len(answer.blocks) for answer in answers] == [1, 0, 0, 1]


def test_garbage_is_a_fault_and_not_a_crash():
    simulation = started(seed=20)
    org, peer = simulation.founded.orgs[:2]
    simulation.checkers.liars = frozenset({peer})
    good = encode(Tip(Height(0), simulation.founded.chain), PeerMessage)
    for data in (b"", b"\xff", good[:-1], good + b"\x00", bytes(1_000)):
        simulation.feed(org, PeerSent(peer, data))

    assert [fault.peer for fault in simulation.members[org].faults_seen] == [peer] * 5


@pytest.mark.parametrize("members", [4, 10, 31])
def test_messages_per_member_and_block_grow_with_the_members_and_no_faster(members):
    # p2pfl#87: storms. One block: a proposal, two votes and a tip to each other member, and a body or its forwarding.
    simulation = started(members, seed=21)
    sent: dict[OrgId, int] = dict.fromkeys(simulation.founded.orgs, 0)

    def count(sender: OrgId, receiver: OrgId, data: bytes) -> bool:
        sent[sender] += 1
        return False

    simulation.drop = count
    simulation.submit(simulation.founded.orgs[0])
    reach(simulation, 1)
    simulation.run(1_000)

    assert max(sent.values()) <= 5 * (members - 1) + 6
    before = sum(sent.values())
    simulation.run(60_000)
    # Idle: one tip every five seconds from each.
    assert sum(sent.values()) - before <= members * 13


def test_the_growing_rounds_of_a_stalled_height_do_not_fill_anything():
    simulation = started(seed=22)
    a, _, c, d = simulation.founded.orgs
    simulation.stop(c)
    simulation.stop(d)
    simulation.submit(a)
    simulation.run(30 * 60_000)
    votes = len(simulation.members[a].disk.votes)

    # One round change for each capped time-out, and nothing else.
    assert votes <= 30 * 60_000 / 3_200 + 10
    simulation.start(c, d)
    reach(simulation, 1, within_ms=15_000)
