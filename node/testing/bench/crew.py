"""Processes that play a part in a measurement, spoken to in lines of JSON over stdin and stdout.

`Crew` is the conductor's side, `Worker` the process's. Both ends trust each other: one program, one machine. Moments
are the machine's monotonic clock, which all processes share.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from node.testing.processes import ClusterError

LINE_BYTES_MAX = 1 << 20
STOP_S_MAX = 5.0

Message = dict[str, Any]


class Crew:
    """Workers 0, 1, ... of one module each; `async with` starts and ends them."""

    def __init__(self, module: str, arguments: Sequence[Sequence[str]], log: Path) -> None:
        """One process per element of `arguments`; what they write on stderr goes to the file `log`."""
        self._module = module
        self._arguments = arguments
        self._log = log
        self._processes: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._heard: asyncio.Queue[tuple[int, Message | None]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        try:
            for arguments in self._arguments:
                await self._start(arguments)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def tell(self, message: Message, index: int | None = None) -> None:
        """Say something to one worker, or to all."""
        line = json.dumps(message).encode() + b"\n"
        for process in self._processes if index is None else [self._processes[index]]:
            assert process.stdin is not None, "workers have a pipe as stdin"
            process.stdin.write(line)

    async def hear(self) -> tuple[int, Message]:
        """The next word of any worker. Raises `ClusterError` when one ended."""
        index, message = await self._heard.get()
        if message is None:
            raise ClusterError(f"a process of the benchmark ended before its time; see {self._log}")
        return index, message

    async def gather(self, word: str) -> list[Message]:
        """One message with the key `word` from each worker, in their order; nothing else may come meanwhile."""
        found: dict[int, Message] = {}
        while len(found) < len(self._processes):
            index, message = await self.hear()
            if word not in message:
                raise ClusterError(f"expected {word!r}, a process of the benchmark said {sorted(message)}")
            found[index] = message
        return [found[index] for index in sorted(found)]

    async def _start(self, arguments: Sequence[str]) -> None:
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", self._module, *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_BYTES_MAX,
                start_new_session=True,
            )
        self._readers.append(asyncio.create_task(self._read(len(self._processes), process)))
        self._processes.append(process)

    async def _read(self, index: int, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "workers have a pipe as stdout"
        while line := await process.stdout.readline():
            self._heard.put_nowait((index, json.loads(line)))
        self._heard.put_nowait((index, None))

    async def _stop(self) -> None:
        """A closed stdin ends a worker; kill what does not end in time."""
        for reader in self._readers:
            reader.cancel()
        for process in self._processes:
            assert process.stdin is not None, "workers have a pipe as stdin"
            process.stdin.close()
        for process in self._processes:
            try:
                async with asyncio.timeout(STOP_S_MAX):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


class Worker:
    """The process's own end. Made in the worker's event loop by `open`."""

    def __init__(self, stdin: asyncio.StreamReader, frames: int) -> None:
        self._stdin = stdin
        self._frames = frames

    @classmethod
    async def open(cls) -> Self:
        """Take stdin and stdout over; what libraries print goes to stderr."""
        frames = os.dup(1)
        os.dup2(2, 1)
        reader = asyncio.StreamReader(LINE_BYTES_MAX)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(0), "rb"))
        return cls(reader, frames)

    def say(self, message: Message) -> None:
        """Tell the conductor."""
        os.write(self._frames, json.dumps(message).encode() + b"\n")

    async def hear(self) -> Message | None:
        """The conductor's next word; None when it is gone."""
        line = await self._stdin.readline()
        return json.loads(line) if line else None
