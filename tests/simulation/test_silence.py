"""Members that lost their vote log, or all but their keys: silent until that is safe, and nobody else restarts."""

import pytest

from node.base.codec import decode
from node.base.types import Height, OrgId, Parameters, PeerMessage, Proposal, RoundChange, Vote
from node.engine.replica import EndSilence, HaltAt
from node.testing.simulation import Plan, Simulation


def started(members: int = 4, seed: int = 31) -> Simulation:
    limits = Parameters(round_timeout_ms=400, round_timeout_max_ms=3_200, heartbeat_ms=600_000)
    simulation = Simulation(Plan(seed=seed, members=members, parameters=limits))
    simulation.start()
    simulation.run(100)
    return simulation


def stop(simulation: Simulation, *orgs: OrgId) -> None:
    """Crash these members; the others notice before anything else happens."""
    for org in orgs:
        simulation.stop(org)
    simulation.run(60)


def grow(simulation: Simulation, blocks: int, *orgs: OrgId) -> None:
    """These members (by default all) come so many blocks further."""
    among = orgs or simulation.founded.orgs
    for _ in range(blocks):
        height = max(simulation.members[org].disk.height() for org in among) + 1
        simulation.submit(among[height % len(among)])
        reach(simulation, height, *among)


def reach(simulation: Simulation, height: int, *orgs: OrgId) -> None:
    members = [simulation.members[org] for org in orgs or simulation.founded.orgs]
    done = simulation.run(60_000, lambda: all(member.disk.height() >= height for member in members))
    assert done, f"heights {simulation.heights()}, not {height}"


def signed_heights(simulation: Simulation, org: OrgId) -> list[int]:
    """From now on, the heights of whatever the member signs and sends."""
    heights: list[int] = []

    def watch(sender: OrgId, receiver: OrgId, data: bytes) -> bool:
        message = decode(PeerMessage, data)
        if sender == org and isinstance(message, Proposal):
            heights.append(message.header.height)
        if sender == org and isinstance(message, Vote | RoundChange):
            heights.append(message.height)
        return False

    simulation.drop = watch
    return heights


def silence_of(simulation: Simulation, org: OrgId) -> int | None:
    replica = simulation.members[org].replica
    return None if replica is None or replica.silence is None else replica.silence.until


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("members", [4, 5, 7])
def test_a_wiped_member_follows_and_signs_again_three_blocks_above_the_highest_tip(members, everything):
    simulation = started(members)
    grow(simulation, 5)
    *others, lost = simulation.founded.orgs
    stop(simulation, lost)
    disk = simulation.members[lost].disk
    disk.wipe() if everything else disk.wipe_votes()
    heights = signed_heights(simulation, lost)

    simulation.start(lost)
    assert simulation.run(20_000, lambda: silence_of(simulation, lost) is not None)
    assert disk.height() == 5
    replica = simulation.members[lost].replica
    assert replica is not None
    assert replica.why_silent is not None
    grow(simulation, 2)
    assert heights == []
    grow(simulation, 3)

    assert silence_of(simulation, lost) == 8
    assert replica.why_silent is None
    assert min(heights) >= 8
    # It counts again: with as many away as may be, its vote is needed.
    faults = (members - 1) // 3
    stop(simulation, *others[:faults])
    grow(simulation, 1, *others[faults:], lost)


def test_a_restart_keeps_the_silence():
    simulation = started()
    grow(simulation, 4)
    lost = simulation.founded.orgs[0]
    stop(simulation, lost)
    simulation.members[lost].disk.wipe_votes()
    simulation.start(lost)
    assert simulation.run(20_000, lambda: silence_of(simulation, lost) == 7)
    heights = signed_heights(simulation, lost)

    stop(simulation, lost)
    simulation.start(lost)
    grow(simulation, 4)

    assert silence_of(simulation, lost) is not None
    assert min(heights) >= 7


@pytest.mark.parametrize("effect", range(1, 12))
def test_killed_at_every_effect_of_its_recovery_nothing_is_signed_twice(effect):
    # The checkers hold every signature against all earlier ones, across restarts and wipes.
    simulation = started(seed=effect)
    grow(simulation, 2)
    lost = simulation.founded.orgs[1]
    simulation.submit(simulation.founded.orgs[2])
    simulation.run(effect)
    stop(simulation, lost)
    member = simulation.members[lost]
    member.disk.wipe()
    member.crashes.at_effect = member.effects_done + effect
    simulation.start(lost)
    simulation.run(5_000)
    simulation.start()

    grow(simulation, 6)


def test_more_than_a_third_down_and_one_of_them_wiped_goes_on_by_starting_only_what_fell():
    # besu#8307: a wiped data directory deadlocks the network when it is restarted.
    simulation = started(7)
    grow(simulation, 3)
    orgs = simulation.founded.orgs
    fallen = orgs[:3]
    stop(simulation, *fallen)
    simulation.members[fallen[0]].disk.wipe()
    waiting = simulation.submit(orgs[5])
    simulation.run(60_000)
    assert max(simulation.heights()) == 3
    starts = [simulation.members[org].starts for org in orgs[3:]]

    simulation.start(*fallen)
    reach(simulation, 4)
    grow(simulation, 4)

    assert [simulation.members[org].starts for org in orgs[3:]] == starts
    assert all(member.disk.transaction(waiting.id) is not None for member in simulation.members.values())


def test_all_down_at_once_and_one_of_four_wiped_goes_on():
    simulation = started()
    grow(simulation, 3)
    stop(simulation, *simulation.founded.orgs)
    simulation.members[simulation.founded.orgs[2]].disk.wipe()

    simulation.start()
    grow(simulation, 5)


def test_two_of_four_wiped_stand_until_one_operator_speaks():
    simulation = started()
    grow(simulation, 3)
    a, b, *_ = simulation.founded.orgs
    stop(simulation, a, b)
    for org in (a, b):
        simulation.members[org].disk.wipe()
    simulation.start(a, b)
    simulation.submit(simulation.founded.orgs[3])
    simulation.run(120_000)
    # Those two know how far they are, so that the silence has an end; but the chain cannot come there.
    assert [silence_of(simulation, org) for org in (a, b)] == [6, 6]
    assert simulation.heights() == [3, 3, 3, 3]

    simulation.feed(a, EndSilence())
    grow(simulation, 3)

    assert simulation.members[a].disk.silence is not None
    assert simulation.members[a].disk.silence.recovered_at == 3
    grow(simulation, 2)
    assert silence_of(simulation, b) == 6


@pytest.mark.parametrize("members", [1, 2, 3])
def test_where_the_chain_needs_everybody_only_the_operator_ends_the_silence(members):
    simulation = started(members)
    grow(simulation, 2)
    lost = simulation.founded.orgs[0]
    stop(simulation, lost)
    simulation.members[lost].disk.wipe_votes()
    simulation.start(lost)
    simulation.submit(lost)
    simulation.run(60_000)
    replica = simulation.members[lost].replica
    assert replica is not None
    assert "lepton recover" in str(replica.why_silent)
    assert set(simulation.heights()) == {2}

    simulation.feed(lost, EndSilence())
    reach(simulation, 3)

    assert replica.why_silent is None
    grow(simulation, 2)


def test_the_operator_is_refused_while_the_member_is_behind_and_when_it_is_not_silent():
    simulation = started()
    grow(simulation, 3)
    lost, other = simulation.founded.orgs[:2]
    replica = simulation.members[other].replica
    assert replica is not None
    assert "not silent" in str(replica.recovery_refusal)
    stop(simulation, lost)
    simulation.members[lost].disk.wipe()
    simulation.start(lost)
    behind = simulation.members[lost]
    assert simulation.run(
        5_000, lambda: behind.replica is not None and bool(behind.replica.tips) and behind.disk.height() == 0
    )
    assert behind.replica is not None
    assert "caught up" in str(behind.replica.recovery_refusal)

    simulation.feed(lost, EndSilence())

    assert behind.disk.silence is None


def test_with_an_older_ledger_and_a_whole_vote_log_nothing_is_signed_below_it():
    simulation = started()
    grow(simulation, 4)
    orgs = simulation.founded.orgs
    old = orgs[0]
    # It has signed height 5, and is alone with that.
    simulation.drop = lambda sender, receiver, data: old in (sender, receiver)
    simulation.submit(old)
    simulation.run(2_000)
    disk = simulation.members[old].disk
    assert disk.votes
    stop(simulation, old)
    disk.wipe_ledger()
    heights = signed_heights(simulation, old)

    simulation.start(old)
    grow(simulation, 3)

    # What it had signed for height 5 was sent again, byte for byte: the checkers compare.
    assert min(heights) >= 5


def test_a_silent_member_tells_nobody_how_far_it_is():
    # Both wiped: one that answered from its empty ledger would make the other sign too early.
    simulation = started(7)
    grow(simulation, 4)
    a, b, *others = simulation.founded.orgs
    stop(simulation, a, b, *others)
    for org in (a, b):
        simulation.members[org].disk.wipe()

    simulation.start(a, b)
    simulation.run(30_000)
    assert [silence_of(simulation, org) for org in (a, b)] == [None, None]
    simulation.start()
    grow(simulation, 1)

    assert [simulation.run(20_000, lambda org=org: silence_of(simulation, org) is not None) for org in (a, b)]
    assert all(int(str(silence_of(simulation, org))) >= 7 for org in (a, b))


def test_a_lying_tip_neither_shortens_nor_prolongs_the_silence():
    simulation = started()
    grow(simulation, 5)
    liar, *_, lost = simulation.founded.orgs
    stop(simulation, lost)
    simulation.members[lost].disk.wipe_votes()
    heights = signed_heights(simulation, lost)
    watch = simulation.drop

    def lie(sender: OrgId, receiver: OrgId, data: bytes) -> bool:
        watch(sender, receiver, data)
        # Its answers come from an earlier moment: another start's nonce.
        return sender == liar and type(decode(PeerMessage, data)).__name__ == "CertifiedTip"

    simulation.drop = lie
    simulation.start(lost)
    grow(simulation, 5)

    assert silence_of(simulation, lost) == 8
    assert min(heights) >= 8


def test_a_height_to_halt_at_stops_agreement_and_catch_up_and_ends_on_the_operators_word():
    simulation = started()
    orgs = simulation.founded.orgs
    for org in orgs[:2]:
        simulation.feed(org, HaltAt(Height(3)))
    grow(simulation, 3)
    simulation.submit(orgs[3])
    simulation.run(30_000)
    assert simulation.heights() == [3, 3, 3, 3]
    signed = signed_heights(simulation, orgs[0])

    # The halt stays over a restart, as the member's folder keeps it.
    stop(simulation, orgs[0])
    simulation.members[orgs[0]].halt_at = Height(3)
    simulation.start(orgs[0])
    simulation.run(30_000)
    assert simulation.heights() == [3, 3, 3, 3]
    assert signed == []

    # One more is a quorum; the last one stays where it is and signs nothing.
    simulation.feed(orgs[1], HaltAt(None))
    grow(simulation, 2, *orgs[1:])
    assert simulation.heights() == [3, *[max(simulation.heights())] * 3]
    assert signed == []

    simulation.members[orgs[0]].halt_at = None
    simulation.feed(orgs[0], HaltAt(None))
    grow(simulation, 2)


def test_a_halt_is_not_taken_for_a_height_that_is_over():
    simulation = started()
    grow(simulation, 2)
    org = simulation.founded.orgs[0]
    replica = simulation.members[org].replica
    assert replica is not None

    simulation.feed(org, HaltAt(Height(2)))

    assert replica.halt_at is None
    simulation.feed(org, HaltAt(Height(3)))
    assert replica.halt_at == 3
    grow(simulation, 1)
    assert replica.is_halted
    simulation.feed(org, HaltAt(Height(2)))
    assert replica.halt_at == 3


def test_a_restarted_proposer_hears_what_waits_before_it_builds():
    # The others' waiting transactions come after their round changes: an empty block would be one too early.
    for seed in range(20):
        simulation = started(seed=seed)
        grow(simulation, 1)
        a, b, c, d = simulation.founded.orgs
        # Height 2: m002 proposes in round 0, m003 in round 1.
        stop(simulation, c)
        stop(simulation, d)
        waiting = simulation.submit(a)
        simulation.run(900)
        simulation.start(d)
        reach(simulation, 2, a, b, d)

        assert simulation.members[a].disk.transaction(waiting.id) is not None
        second = simulation.members[a].disk.block(Height(2))
        assert second is not None
        assert second.block.transactions
