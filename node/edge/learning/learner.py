"""The daemon's side of learning: one warm process per job, spoken to in frames, replaced when it dies.

Responsible for starting, asking, ending and replacing the processes, and for telling in words why one failed.
Implements the port `Learner`. Imports neither torch nor pyarrow: the daemon stays small, and learning, at low
priority in another process, never delays a vote.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import node
from node.base.ports import LearnerError, Prepared, Statistics, Trained
from node.base.types import Digest, OrgId
from node.edge.learning import modelfile
from node.edge.learning.framing import HEAD, FrameError, cut_body, frame_head, read_head, read_header

PROCESSES_MAX: Final = 4
"""Jobs with a process at one time; beyond it, the one that has been idle longest ends."""
STDERR_BYTES_MAX: Final = 4096
"""The last of what a process wrote on stderr, kept to explain its end."""
WRITE_BYTES: Final = 256 * 1024
END_S: Final = 5.0
"""How long a process may take to end after its stdin closed, before it is killed."""
_ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    # Arrow's own pool reserves a gigabyte at once, which a limit on memory would count.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


class ProcessLearner:
    """Learns for one member, each job in a child process. Every method raises `LearnerError` with the reason."""

    def __init__(self, org: OrgId, *, memory_mb: int | None = None, command: Sequence[str] | None = None) -> None:
        """`memory_mb` limits each process's private memory, of which its libraries take about 300.

        `command` stands in for the process in tests.
        """
        self._org = org
        limit = () if memory_mb is None else (str(memory_mb),)
        self._command = tuple(command or (sys.executable, "-P", "-m", "node.edge.learning.background", *limit))
        self._processes: dict[Digest, _Process] = {}

    async def statistics(self, job: Digest, recipe: bytes, data: Path) -> Statistics:
        """See `Learner`."""
        header, parts = await self._ask(job, {"do": "statistics", "data": str(data)}, [recipe])
        return Statistics(blob=parts[0], rows=header["rows"], notes=tuple(header["notes"]))

    async def prepare(self, job: Digest, recipe: bytes, blobs: Mapping[OrgId, bytes]) -> Prepared:
        """See `Learner`."""
        orgs = sorted(blobs)
        parts = [recipe, *(blobs[org] for org in orgs)]
        header, answer = await self._ask(job, {"do": "prepare", "orgs": orgs}, parts)
        return Prepared(preparation=answer[0], length=header["length"], initial=answer[1])

    async def train(
        self,
        job: Digest,
        preparation: bytes,
        data: Path,
        training_round: int,
        base: bytes,
        progress: Callable[[str], None],
    ) -> Trained:
        """See `Learner`."""
        request = {"do": "train", "data": str(data), "training_round": training_round, "org": self._org}
        header, parts = await self._ask(job, request, [preparation, base], progress)
        return Trained(parameters=parts[0], loss=header["loss"])

    def model_file(self, preparation: bytes, parameters: bytes) -> bytes:
        """See `Learner`."""
        return modelfile.write_model(preparation, parameters)

    def open_model(self, file: bytes) -> tuple[bytes, bytes]:
        """See `Learner`."""
        return modelfile.open_model(file)

    async def close(self, job: Digest) -> None:
        """See `Learner`."""
        process = self._processes.pop(job, None)
        if process is not None:
            await process.close()

    async def close_all(self) -> None:
        """End every job's process."""
        for job in tuple(self._processes):
            await self.close(job)

    def process_id(self, job: Digest) -> int | None:
        """The running process of a job, for measurements and tests."""
        process = self._processes.get(job)
        return None if process is None else process.process_id

    async def _ask(
        self,
        job: Digest,
        request: Mapping[str, Any],
        parts: Sequence[bytes],
        progress: Callable[[str], None] = lambda _line: None,
    ) -> tuple[dict[str, Any], list[bytes]]:
        if job not in self._processes:
            await self._make_room()
        # Taken out and put back, the processes stand in the order of their last use.
        process = self._processes.pop(job, None) or _Process(self._command)
        self._processes[job] = process
        return await process.ask(request, parts, progress)

    async def _make_room(self) -> None:
        while len(self._processes) >= PROCESSES_MAX:
            idle = next((job for job, process in self._processes.items() if not process.busy), None)
            if idle is None:
                raise LearnerError(f"{PROCESSES_MAX} jobs are learning already: wait until one is done.")
            await self.close(idle)


class _Process:
    """One job's process: started at the first request, started again at the next one after it died."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._turn = asyncio.Lock()
        self._closed = False
        self._running: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[bytes] | None = None

    @property
    def busy(self) -> bool:
        return self._turn.locked()

    @property
    def process_id(self) -> int | None:
        return None if self._running is None else self._running.pid

    async def ask(
        self, request: Mapping[str, Any], parts: Sequence[bytes], progress: Callable[[str], None]
    ) -> tuple[dict[str, Any], list[bytes]]:
        """One request and its answer; requests of one job wait for each other."""
        async with self._turn:
            if self._closed:
                raise LearnerError("The job was closed; its learning process is gone.")
            running = await self._start()
            answered = False
            try:
                header, answer = await _exchange(running, request, parts, progress)
                answered = True
            # uvloop raises RuntimeError on a pipe whose reader is gone, where asyncio raises OSError.
            except (FrameError, OSError, RuntimeError, asyncio.IncompleteReadError) as error:
                raise LearnerError(await self._why_it_ended(running)) from error
            finally:
                # Cancelled or broken in mid-exchange: what it would still say belongs to nobody.
                if not answered:
                    await self._kill()
        if header["kind"] == "error":
            raise LearnerError(header["reason"])
        return header, answer

    async def close(self) -> None:
        """Close its stdin, which ends it; kill it if it does not end."""
        self._closed = True
        running = self._running
        if running is None:
            return
        assert running.stdin is not None, "the process has a pipe as stdin"
        running.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await running.wait()
        except TimeoutError:
            pass
        finally:
            await self._kill()

    async def _start(self) -> asyncio.subprocess.Process:
        if self._running is not None and self._running.returncode is None:
            return self._running
        await self._kill()
        root = str(Path(node.__file__).parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._running = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **_ENVIRONMENT},
            )
        except OSError as error:
            raise LearnerError(f"The learning process cannot be started: {error.strerror}.") from error
        assert self._running.stderr is not None, "the process has a pipe as stderr"
        self._stderr = asyncio.create_task(_last_bytes(self._running.stderr))
        return self._running

    async def _why_it_ended(self, running: asyncio.subprocess.Process) -> str:
        """The reason in words, from its exit status and the end of its stderr."""
        assert running.stdin is not None, "the process has a pipe as stdin"
        running.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                status = await running.wait()
                said = await self._stderr if self._stderr is not None else b""
        except TimeoutError:
            return "The learning process gave an answer that cannot be read; a new one is started at the next request."
        lines = said.decode("utf-8", "replace").strip().splitlines()
        last = f": {lines[-1][:300]}" if lines else ""
        if status < 0:
            name = signal.Signals(-status).name
            memory = ", as happens when memory runs out" if name == "SIGKILL" else ""
            return f"The learning process was ended by {name}{memory}{last}."
        return f"The learning process ended by itself with status {status}{last}."

    async def _kill(self) -> None:
        """Leave no process, pipe or task behind."""
        running, stderr = self._running, self._stderr
        self._running = self._stderr = None
        if running is None:
            return
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.wait()
        assert running.stdin is not None, "the process has a pipe as stdin"
        assert running.stdout is not None, "the process has a pipe as stdout"
        running.stdin.close()
        # Read to its end, the pipe closes by itself.
        await running.stdout.read()
        if stderr is not None:
            await stderr


async def _exchange(
    running: asyncio.subprocess.Process,
    request: Mapping[str, Any],
    parts: Sequence[bytes],
    progress: Callable[[str], None],
) -> tuple[dict[str, Any], list[bytes]]:
    """Send the request, hand on progress, return the answer. Raises what a dead or confused process leads to."""
    assert running.stdin is not None, "the process has a pipe as stdin"
    assert running.stdout is not None, "the process has a pipe as stdout"
    running.stdin.write(frame_head(request, parts))
    for part in parts:
        view = memoryview(part)
        # In pieces, each drained: a large vector is not copied into the pipe's buffer whole.
        for start in range(0, len(view), WRITE_BYTES):
            running.stdin.write(view[start : start + WRITE_BYTES])
            await running.stdin.drain()
    await running.stdin.drain()
    while True:
        header_length, body_length = read_head(await running.stdout.readexactly(HEAD.size))
        header = read_header(await running.stdout.readexactly(header_length), body_length)
        body = await running.stdout.readexactly(body_length)
        match header.get("kind"):
            case "progress":
                progress(header["line"])
            case "done" | "error":
                return header, cut_body(header, body)
            case _:
                raise FrameError("the answer is of no known kind")


async def _last_bytes(stream: asyncio.StreamReader) -> bytes:
    """The end of a stream, read until it closes so that its writer never blocks."""
    last = b""
    while chunk := await stream.read(STDERR_BYTES_MAX):
        last = (last + chunk)[-STDERR_BYTES_MAX:]
    return last
