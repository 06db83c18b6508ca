"""Members train in one process: full participation, blocked links, members that vanish, traffic, restarts."""

import asyncio
import random

import numpy as np
import pytest

from node.base.types import OrgId
from node.core.averaging import flat
from node.ledger.contracts.training import JobState, Phase
from node.testing.training import TrainingWorld


def parameters_of(world, file):
    return flat(world.members[OrgId("m0")].learner.open_model(file)[1]).astype(np.float64)


async def finished(world):
    """Runs the job to its end; returns the one model that all living members hold."""
    await world.until_done()
    assert (world.job.state, world.job.reason) == (JobState.DONE, "")
    files = await world.models()
    assert len(set(files.values())) == 1
    return next(iter(files.values()))


async def test_all_members_end_with_the_weighted_mean_and_equal_bytes(tmp_path):
    async with TrainingWorld(tmp_path, 4, rounds=1) as world:
        world.approve({"m0": 500, "m1": 200, "m2": 100, "m3": 100})
        file = await finished(world)
        weights = world.job.weights
        updates = [world.members[org].learner.update(1).astype(np.float64) for org in world.orgs]
        mean = sum(w * u for w, u in zip(weights, updates, strict=True)) / sum(weights)
        step = 2.0 ** (world.record(1).exponent - 21)
        assert np.abs(parameters_of(world, file) - mean).max() <= step
        assert world.record(1).candidates == tuple(world.orgs)
        # A quorum of equal reports ends a phase; the last one comes too late, which is no fault.
        assert {method for _, method, _ in world.rejected} <= {"prepared", "have"}


async def test_several_training_rounds_run_without_anybody_conducting_them(tmp_path):
    async with TrainingWorld(tmp_path, 4, rounds=4) as world:
        world.approve()
        await finished(world)
        assert [world.record(number).candidates for number in range(1, 5)] == [tuple(world.orgs)] * 4
        assert {member.learner.trainings for member in world.members.values()} == {4}
        # The scale follows the updates, which halve each time.
        assert world.record(4).exponent < world.record(1).exponent


@pytest.mark.parametrize("length", [1, 200, 256, 257, 600, 1025])
async def test_models_smaller_than_one_leaf_per_member_work(tmp_path, length):
    async with TrainingWorld(tmp_path, 4, rounds=1, length=length) as world:
        world.approve()
        assert parameters_of(world, await finished(world)).size == length


@pytest.mark.parametrize("count", [1, 2, 3, 5])
async def test_other_numbers_of_members_work(tmp_path, count):
    async with TrainingWorld(tmp_path, count) as world:
        world.approve()
        await finished(world)


async def train_with_a_bad_link(folder, kind, asker, asked):
    async with TrainingWorld(folder, 4, rounds=1, progress_deadline_ms=6_000) as world:
        getattr(world, kind).add((world.orgs[asker], world.orgs[asked]))
        world.approve()
        await finished(world)
        assert world.record(1).candidates == tuple(world.orgs)
        assert world.record(1).attempt == 0


@pytest.mark.parametrize("kind", ["blocked", "swallowing"])
async def test_any_one_blocked_link_drops_nobody(tmp_path, kind):
    async with asyncio.TaskGroup() as group:
        for asker in range(4):
            for asked in range(4):
                if asker != asked:
                    group.create_task(train_with_a_bad_link(tmp_path / f"{asker}{asked}", kind, asker, asked))


async def test_relayed_leaves_cannot_be_read_by_who_carries_them(tmp_path):
    async with TrainingWorld(tmp_path, 4, rounds=1) as world:
        m0, m1 = world.orgs[:2]
        world.blocked.add((m0, m1))
        carried = []

        def watch(sender, receiver, chunk):
            carried.append((sender, receiver, chunk))
            return chunk

        world.tamper = watch
        world.approve()
        await finished(world)
        plain = {chunk for sender, _, chunk in carried if sender == m1}
        relayed = [chunk for sender, receiver, chunk in carried if receiver == m0 and sender != m1 and chunk in plain]
        # What a relay passes on came out of m1 sealed: the same bytes on both legs, and no chunk of an update.
        own = await world.members[m1].engine._running[world.id, 1].holdings.own()
        packed = own.chunk(*_range_of(world, m0))
        assert relayed
        assert packed not in relayed
        assert all(packed[100:140] not in chunk for chunk in relayed)


def _range_of(world, org):
    range_ = next(range_ for range_ in world.record(1).ranges if range_.reducer == org)
    return range_.start, range_.stop


def kill_at(world, org, number, phase):
    """The member vanishes the moment the ledger enters the phase."""
    killed = []

    def watch(job):
        if not killed and job.current.training_round == number and job.current.phase is phase:
            killed.append(asyncio.get_running_loop().create_task(world.members[org].stop()))
            world.members[org].alive = False

    world.on_change = watch
    return killed


@pytest.mark.parametrize("victim", range(4))
@pytest.mark.parametrize(
    ("number", "phase"),
    [
        (0, Phase.PREPARING),
        (1, Phase.COMMITTING),
        (1, Phase.REDUCING),
        (1, Phase.CLOSING),
        (2, Phase.COMMITTING),
    ],
)
async def test_a_member_that_vanishes_in_any_phase_stops_nobody(tmp_path, victim, number, phase):
    async with TrainingWorld(tmp_path, 4) as world:
        org = world.orgs[victim]
        killed = kill_at(world, org, number, phase)
        world.approve()
        await finished(world)
        assert killed
        others = tuple(one for one in world.orgs if one != org)
        assert world.record(2).candidates == others
        assert world.record(1).candidates == (tuple(world.orgs) if (number, phase) >= (1, Phase.CLOSING) else others)


async def test_a_result_whose_reducer_has_no_link_is_made_again_long_before_the_deadline(tmp_path):
    deadline_s = 20
    async with TrainingWorld(tmp_path, 4, rounds=1, progress_deadline_ms=1_000 * deadline_s) as world:
        killed = kill_at(world, world.orgs[1], 1, Phase.CLOSING)
        world.approve()
        async with asyncio.timeout(deadline_s / 2):
            await finished(world)
        assert killed
        assert world.record(1).candidates == tuple(world.orgs)
        notes = [note for member in world.members.values() for note in member.log]
        assert len(notes) < 60, "a fault that repeats itself is told once"


async def test_a_member_that_is_silent_from_the_start_is_left_out(tmp_path):
    async with TrainingWorld(tmp_path, 4) as world:
        await world.members[OrgId("m2")].stop()
        world.approve()
        await finished(world)
        assert world.record(0).candidates == ("m0", "m1", "m3")


@pytest.mark.parametrize(
    ("number", "phase"),
    [(0, Phase.PREPARING), (1, Phase.COMMITTING), (1, Phase.REDUCING), (1, Phase.CLOSING), (2, Phase.REDUCING)],
)
async def test_a_member_that_restarts_in_any_phase_goes_on_where_the_ledger_stands(tmp_path, number, phase):
    async with TrainingWorld(tmp_path, 4, rounds=3, progress_deadline_ms=5_000) as world:
        org = world.orgs[1]
        killed = kill_at(world, org, number, phase)
        world.approve()
        await world.until(lambda job: bool(killed))
        await killed[0]
        world.members[org].start()
        await finished(world)
        # It was back before anybody's deadline: nobody dropped it, and it did not commit to a second update.
        assert [world.record(at).candidates for at in range(1, 4)] == [tuple(world.orgs)] * 3


async def test_a_late_member_comes_back_and_joins_the_next_training_round(tmp_path):
    async with TrainingWorld(tmp_path, 4, rounds=3) as world:
        org = world.orgs[3]
        killed = kill_at(world, org, 1, Phase.COMMITTING)
        world.members[OrgId("m0")].learner.gate.clear()
        world.approve()
        await world.until(lambda job: bool(killed))
        await world.until(lambda job: org in job.absent)
        world.members[org].start()
        await world.until(lambda job: not job.absent)
        world.members[OrgId("m0")].learner.gate.set()
        await finished(world)
        assert world.record(1).candidates == ("m0", "m1", "m2")
        assert world.record(2).candidates == tuple(world.orgs)
        assert world.record(3).candidates == tuple(world.orgs)


async def test_a_member_that_is_back_after_the_end_fetches_the_model(tmp_path):
    async with TrainingWorld(tmp_path, 4) as world:
        org = world.orgs[3]
        killed = kill_at(world, org, 1, Phase.COMMITTING)
        world.approve()
        await world.until_done()
        await killed[0]
        world.members[org].start()
        assert org in await world.models()
        await finished(world)


async def test_a_member_that_is_behind_waits_for_the_next_block_but_not_for_ever(tmp_path):
    async with TrainingWorld(tmp_path, 4, rounds=1, progress_deadline_ms=5_000) as world:
        world.members[OrgId("m3")].behind = True
        world.approve()
        await finished(world)
        for number in (0, 1):
            assert world.record(number).commitments[-1].org == "m3"
        assert world.record(1).candidates == tuple(world.orgs)


async def test_slow_training_with_heartbeats_is_not_late(tmp_path):
    async with TrainingWorld(tmp_path, 4, rounds=1, progress_deadline_ms=1_500) as world:
        world.members[OrgId("m1")].learner.gate.clear()
        asyncio.get_running_loop().call_later(2.5, world.members[OrgId("m1")].learner.gate.set)
        world.approve()
        await finished(world)
        assert world.record(1).candidates == tuple(world.orgs)


async def test_a_member_whose_training_fails_gives_up_at_once_in_words(tmp_path):
    async with TrainingWorld(tmp_path, 4, progress_deadline_ms=60_000) as world:
        world.members[OrgId("m1")].learner.trouble = "the column age has no numbers"
        world.approve()
        await finished(world)
        assert world.record(1).candidates == ("m0", "m2", "m3")
        assert any("the column age has no numbers" in line for line in world.members[OrgId("m1")].log)


async def test_data_that_nobody_can_prepare_fails_the_job_in_words(tmp_path):
    async with TrainingWorld(tmp_path, 4, recipe=b"impossible") as world:
        world.approve()
        await world.until_done()
        assert world.job.reason == "the data cannot be prepared: nobody has the column age"


@pytest.mark.parametrize("count", [4, 7])
async def test_traffic_per_member_stays_near_the_butterfly(tmp_path, count):
    length = 262_144
    async with TrainingWorld(tmp_path, count, rounds=1, length=length, progress_deadline_ms=10_000) as world:
        world.approve()
        await finished(world)
        most = 1.1 * 2 * (count - 1) / count * 4 * length
        assert max(world.sent.values()) <= most
        assert max(world.received.values()) <= most
        assert min(world.sent.values()) > 0.8 * most / 1.1


async def test_a_contributor_that_sends_other_leaves_than_it_committed_to_is_dropped(tmp_path):
    async with TrainingWorld(tmp_path, 4, rounds=1) as world:
        liar = world.orgs[2]

        def tamper(sender, receiver, chunk):
            in_reducing = world.job.current.phase is Phase.REDUCING
            return chunk[:40] + bytes([chunk[40] ^ 1]) + chunk[41:] if sender == liar and in_reducing else chunk

        world.tamper = tamper
        world.approve()
        await finished(world)
        assert liar not in world.record(1).candidates


async def test_no_result_leaves_a_member_before_the_contributors_are_final(tmp_path):
    phases = []
    async with TrainingWorld(tmp_path, 4, rounds=1) as world:
        kill_at(world, world.orgs[3], 1, Phase.REDUCING)

        def watch(sender, receiver, chunk):
            record = world.job.current
            if record.training_round == 1 and record.phase is Phase.REDUCING:
                phases.append(len(chunk))
            return chunk

        world.tamper = watch
        world.approve()
        await finished(world)
        # 5,000 values are 20 leaves, 5 per range: an update's chunk has 24 bits per value, a result's 32.
        assert phases
        assert all(size < 5 * 1024 for size in phases)


async def test_many_training_rounds_with_members_that_come_and_go(tmp_path):
    order = random.Random(1)
    async with TrainingWorld(tmp_path, 4, rounds=20, length=500) as world:
        gone = []

        def one_vanishes(job):
            # At a random moment of every third training round one member vanishes; it is started again at once.
            if not gone and job.training_round % 3 == 1 and order.random() < 0.1:
                gone.append(order.choice(world.orgs))
                world.members[gone[0]].alive = False

        world.on_change = one_vanishes
        world.approve()
        while world.job.active:
            await world.until(lambda job: bool(gone) or not job.active)
            for org in list(gone):
                await world.members[org].stop()
                world.members[org].start()
                gone.clear()
        await finished(world)
        assert world.job.training_round == 20


async def test_whoever_may_not_use_its_rows_any_more_stops_at_once_and_ends_the_process_that_holds_them(tmp_path):
    async with TrainingWorld(tmp_path, 4, rounds=2, progress_deadline_ms=20_000) as world:
        member = world.members[OrgId("m1")]
        member.learner.gate.clear()
        world.approve()
        await member.learner.began.wait()
        member.rows.refusal = "the owner has revoked the grant"
        member.engine.on_block()
        # Nobody waits a deadline: it says itself that it gives up.
        await finished(world)

        assert [("m1" in world.record(number).candidates) for number in (1, 2)] == [False, False]
        assert member.learner.trainings == 1
        assert (member.learner.closed[0], member.rows.released[0]) == (world.id, world.id)
        assert any("revoked" in line for line in member.log)
