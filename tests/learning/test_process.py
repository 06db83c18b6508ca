"""The learner in the daemon and its real child processes: answers, crashes, limits, ends."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from node.base.ports import Learner, LearnerError, Prepared
from node.base.types import Digest, OrgId
from node.edge.learning.initial import initial_parameters
from node.edge.learning.learner import PROCESSES_MAX, STDERR_BYTES_MAX, ProcessLearner
from node.edge.learning.preparation import read_preparation

pytestmark = pytest.mark.slow

JOB = Digest(bytes(32))
A, B = OrgId("a"), OrgId("b")


def recipe(hidden: list[int] | None = None, **training: object) -> bytes:
    return json.dumps(
        {
            "label": "ill",
            "columns": [{"kind": "numeric", "name": "age"}],
            "model": {"kind": "mlp", "hidden": hidden} if hidden else {"kind": "logistic"},
            "training": {"epochs": 2, "batch_rows": 8, "optimiser": "sgd", "learning_rate": 0.1, "momentum": 0.5}
            | training,
            "seed": 0,
        }
    ).encode()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("age,ill\n" + "".join(f"{row},{int(row > 15)}\n" for row in range(30)))
    return path


@pytest.fixture
async def learner() -> AsyncIterator[ProcessLearner]:
    learner = ProcessLearner(A)
    yield learner
    await learner.close_all()


async def prepared(learner: Learner, data: Path, declared: bytes) -> Prepared:
    statistics = await learner.statistics(JOB, declared, data)
    return await learner.prepare(JOB, declared, {A: statistics.blob, B: statistics.blob})


def ignore(_line: str) -> None:
    pass


def children() -> list[psutil.Process]:
    """Without Python's own tracker, which the first pool of processes starts and which stays as long as pytest."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "resource_tracker" not in " ".join(child.cmdline())]


async def test_a_job_from_statistics_to_model_file(learner, data):
    told: list[str] = []
    plan = await prepared(learner, data, recipe())
    process = learner.process_id(JOB)

    first = await learner.train(JOB, plan.preparation, data, 1, plan.initial, told.append)
    second = await learner.train(JOB, plan.preparation, data, 2, first.parameters, told.append)

    assert len(plan.initial) == 4 * plan.length
    assert plan.initial == initial_parameters(read_preparation(plan.preparation))
    assert second.loss < first.loss
    assert [line[:12] for line in told] == ["epoch 1 of 2", "epoch 2 of 2"] * 2
    assert learner.process_id(JOB) == process, "the process stays warm"
    assert psutil.Process(process).nice() >= 10
    file = learner.model_file(plan.preparation, second.parameters)
    assert learner.open_model(file) == (plan.preparation, second.parameters)
    await learner.close(JOB)
    assert not psutil.pid_exists(process)


async def test_rows_that_changed_are_read_again(learner, data):
    plan = await prepared(learner, data, recipe())
    before = await learner.train(JOB, plan.preparation, data, 1, plan.initial, ignore)

    data.write_text("age,ill\n" + "".join(f"{row},{int(row <= 15)}\n" for row in range(30)) + "\n")
    after = await learner.train(JOB, plan.preparation, data, 1, plan.initial, ignore)

    assert after.parameters != before.parameters


async def test_refusals_in_words_leave_the_process_warm(learner, data, tmp_path):
    plan = await prepared(learner, data, recipe())
    process = learner.process_id(JOB)

    with pytest.raises(LearnerError, match="recipe cannot be used"):
        await learner.statistics(JOB, b"{}", data)
    with pytest.raises(LearnerError, match="absent cannot be read"):
        await learner.train(JOB, plan.preparation, tmp_path / "absent", 1, plan.initial, ignore)
    with pytest.raises(LearnerError, match="member b cannot be used"):
        await learner.prepare(
            JOB, recipe(), {A: b"{}", B: b"lie"} | {A: (await learner.statistics(JOB, recipe(), data)).blob}
        )
    with pytest.raises(LearnerError, match="base model has 2 bytes"):
        await learner.train(JOB, plan.preparation, data, 1, b"no", ignore)

    assert learner.process_id(JOB) == process


async def test_a_loss_that_is_no_number_leaves_the_process_warm(learner, data):
    plan = await prepared(learner, data, recipe([8, 8], learning_rate=100.0, epochs=300, weight_decay=100.0))
    process = learner.process_id(JOB)

    with pytest.raises(LearnerError, match=r"not a number|not finite"):
        await learner.train(JOB, plan.preparation, data, 1, plan.initial, ignore)

    assert learner.process_id(JOB) == process


async def test_a_killed_process_is_told_and_replaced(learner, data):
    plan = await prepared(learner, data, recipe(epochs=1000, batch_rows=1))
    process = learner.process_id(JOB)
    begun = asyncio.Event()
    training = asyncio.create_task(
        learner.train(JOB, plan.preparation, data, 1, plan.initial, lambda _line: begun.set())
    )
    await begun.wait()

    psutil.Process(process).kill()

    with pytest.raises(LearnerError, match="ended by SIGKILL, as happens when memory runs out"):
        await training
    assert (await learner.statistics(JOB, recipe(), data)).rows == 30
    assert learner.process_id(JOB) != process


async def test_memory_running_out_is_told_and_the_next_request_gets_a_new_process(data):
    learner = ProcessLearner(A, memory_mb=700)
    plan = await prepared(learner, data, recipe([4096, 6000]))

    with pytest.raises(
        LearnerError, match=r"learning process (ended by itself|was ended).*(memory|allocate|Memory|MEM|SIG)"
    ):
        await learner.train(JOB, plan.preparation, data, 1, plan.initial, ignore)

    assert (await learner.statistics(JOB, recipe(), data)).rows == 30
    await learner.close(JOB)


async def test_cancelled_training_leaves_no_process_and_the_job_goes_on(learner, data):
    plan = await prepared(learner, data, recipe(epochs=1000, batch_rows=1))
    begun = asyncio.Event()
    training = asyncio.create_task(
        learner.train(JOB, plan.preparation, data, 1, plan.initial, lambda _line: begun.set())
    )
    await begun.wait()

    training.cancel()
    await asyncio.wait([training])

    assert training.cancelled()
    assert children() == []
    assert (await learner.statistics(JOB, recipe(), data)).rows == 30


async def test_closing_in_mid_training_ends_the_process(learner, data):
    plan = await prepared(learner, data, recipe(epochs=1000, batch_rows=1))
    begun = asyncio.Event()
    training = asyncio.create_task(
        learner.train(JOB, plan.preparation, data, 1, plan.initial, lambda _line: begun.set())
    )
    await begun.wait()

    await learner.close(JOB)

    with pytest.raises(LearnerError):
        await training
    assert children() == []


async def test_a_hundred_megabytes_pass_unharmed(learner, data):
    plan = await prepared(learner, data, recipe([4096, 6000], epochs=1, batch_rows=None))

    trained = await learner.train(JOB, plan.preparation, data, 1, plan.initial, ignore)

    assert len(plan.initial) == len(trained.parameters) == 4 * plan.length
    assert plan.length > 24_000_000
    assert trained.parameters != plan.initial
    assert plan.initial == initial_parameters(read_preparation(plan.preparation))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('it broke ' + 'x' * 100_000)", "ended by itself with status 1: xxx|it broke"),
        ("import os; os.write(1, b'x' * 100)", "ended by itself with status 0"),
        ("import os; os.write(1, b'\\0\\0\\0\\2' + bytes(8) + b'{}'); input()", "cannot be read|ended by itself"),
        ("import os; os.write(1, b'\\xff' * 100); input()", "cannot be read|ended by itself"),
    ],
)
async def test_a_process_that_does_not_speak_the_protocol_is_ended(data, program, words):
    learner = ProcessLearner(A, command=[sys.executable, "-c", program])

    with pytest.raises(LearnerError, match=words) as refusal:
        await learner.statistics(JOB, recipe(), data)

    assert len(str(refusal.value)) < STDERR_BYTES_MAX
    assert children() == []


async def test_a_command_that_does_not_exist_is_told(data):
    with pytest.raises(LearnerError, match="cannot be started"):
        await ProcessLearner(A, command=["/nowhere/python"]).statistics(JOB, recipe(), data)


# Stands in for the real process: answers `statistics` at once, and never answers anything else.
ANSWERING = """
import sys
from node.edge.learning.child import read_request
from node.edge.learning.framing import frame_head
while request := read_request(sys.stdin.buffer):
    if request[0]["do"] == "statistics":
        sys.stdout.buffer.write(frame_head({"kind": "done", "rows": 1, "notes": []}, [b"{}"]) + b"{}")
    else:
        sys.stdout.buffer.write(frame_head({"kind": "progress", "line": "waiting"}, []))
    sys.stdout.buffer.flush()
"""


async def test_beyond_the_maximum_the_job_idle_longest_gives_way_and_busy_ones_do_not(data):
    learner = ProcessLearner(A, command=[sys.executable, "-c", ANSWERING])
    jobs = [Digest(bytes([number]) * 32) for number in range(PROCESSES_MAX + 1)]
    await asyncio.gather(*(learner.statistics(job, recipe(), data) for job in jobs[:-1]))
    await learner.statistics(jobs[0], recipe(), data)

    await learner.statistics(jobs[-1], recipe(), data)

    assert [learner.process_id(job) is not None for job in jobs] == [True, False] + [True] * (PROCESSES_MAX - 1)
    begun = [asyncio.Event() for _ in range(PROCESSES_MAX)]
    busy = [
        asyncio.create_task(learner.train(job, b"", data, 1, b"", lambda _line, one=one: one.set()))
        for job, one in zip([jobs[0], *jobs[2:]], begun, strict=True)
    ]
    await asyncio.gather(*(one.wait() for one in begun))
    with pytest.raises(LearnerError, match=f"{PROCESSES_MAX} jobs are learning already"):
        await learner.statistics(jobs[1], recipe(), data)
    for task in busy:
        task.cancel()
    await asyncio.wait(busy)
    await learner.close_all()
    assert children() == []


# A daemon that begins a training, prints its learning process, and is then killed.
DAEMON = """
import asyncio, sys
from pathlib import Path
from node.edge.learning.learner import ProcessLearner

async def main(recipe, data):
    learner, job = ProcessLearner("a"), bytes(32)
    statistics = await learner.statistics(job, recipe, data)
    plan = await learner.prepare(job, recipe, {"a": statistics.blob})
    tell = lambda line: print(learner.process_id(job), flush=True)
    await learner.train(job, plan.preparation, data, 1, plan.initial, tell)

asyncio.run(main(sys.argv[1].encode(), Path(sys.argv[2])))
"""


def test_a_killed_daemon_leaves_no_learning_process_even_in_mid_training(data):
    declared = recipe(epochs=1000, batch_rows=1).decode()
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, declared, str(data)], stdout=subprocess.PIPE)
    assert daemon.stdout is not None
    process = psutil.Process(int(daemon.stdout.readline()))

    daemon.kill()

    daemon.wait()
    daemon.stdout.close()
    process.wait(10)


async def test_the_process_gives_way_to_the_daemon_and_leaves_ctrl_c_to_it(learner, data):
    await learner.statistics(JOB, recipe(), data)
    process = learner.process_id(JOB)
    assert process is not None

    assert os.sched_getscheduler(process) == os.SCHED_IDLE
    # In another session its priority would not count against the daemon's; in the same group Ctrl-C would reach it.
    assert os.getsid(process) == os.getsid(0)
    assert os.getpgid(process) == process


def test_the_process_ends_when_its_parent_is_gone():
    child = subprocess.Popen(
        [sys.executable, "-m", "node.edge.learning.background"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None

    child.stdin.close()

    assert child.wait(30) == 0
    assert child.stdout.read() == b""
    child.stdout.close()


def test_the_daemons_side_imports_neither_torch_nor_pyarrow():
    program = (
        "import sys, node.edge.learning.learner, node.edge.learning.modelfile, node.edge.learning.statistics\n"
        "print([name for name in ('torch', 'pyarrow', 'pandas', 'sklearn') if name in sys.modules])"
    )

    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": "."},
    )

    assert found.stdout == "[]\n"
