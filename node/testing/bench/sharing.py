"""Part `sharing`: a gigabyte that does not compress, into one vault and from there into another member's.

`add_over_crypto`: the command `lepton data add`, from its start to its end, over reading the same bytes through
AES-256-GCM and SHA-256 on one thread. `fetch_over_stream`: from the operator's call to the version in the other vault,
each chunk checked and on disk, over the same bytes on a bare gRPC stream between two processes, read and dropped, the
median of several such.
`resident_mb`: the most that either daemon, or the command, had in memory meanwhile.
"""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import median

import psutil
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.base.codec import encode
from node.base.types import OrgId
from node.ledger.contracts.sharing import Authorize
from node.testing.bench import stream
from node.testing.bench.crew import Crew
from node.testing.bench.figures import BYTES_PER_MB, Figure, ratio
from node.testing.noise import PIECE_BYTES, write_noise
from node.testing.processes import ClusterError, ProcessCluster

SIZE_BYTES = 1 << 30
OWNER, READER = "owner", "reader"
STREAMS = 5
"""Bare ones, each of two processes of its own: by where these come to run one takes up to twice as long as another."""
LOOK_S = 0.05
LAST_LOOK_S = 0.005
"""When nearly all is here: a look costs both daemon and measure, and the last one is as late as this."""
NEARLY_ALL = 0.97
FETCH_S_MAX = 120.0
HEARD_S_MAX = 10.0


async def measure_sharing(root: Path) -> list[Figure]:
    """The three figures. Raises `ClusterError`, `OperatorError`."""
    rows, memory = root / "rows.npz", _Memory()
    await asyncio.to_thread(write_noise, rows, SIZE_BYTES)
    crypto = await asyncio.to_thread(_crypto_seconds, rows)
    bare = median([await _stream_seconds(root, rows) for _ in range(STREAMS)])
    cluster = ProcessCluster(root, (OWNER, READER))
    try:
        await asyncio.to_thread(cluster.found, "bench")
        await cluster.start()
        async with memory.watched(cluster):
            add = await _add_seconds(cluster, rows, memory)
            fetch = await _fetch_seconds(cluster)
    finally:
        await asyncio.to_thread(cluster.stop)
    return [
        ratio("add_over_crypto", add, crypto, {"add_s": add, "crypto_s": crypto}),
        ratio("fetch_over_stream", fetch, bare, {"fetch_s": fetch, "stream_s": bare}),
        Figure("resident_mb", max(memory.most.values()), {f"{who}_mb": most for who, most in memory.most.items()}),
    ]


async def _stream_seconds(root: Path, rows: Path) -> float:
    async with Crew(stream.MODULE, [[str(rows)], [str(rows)]], root / "stream.log") as crew:
        return await stream.stream_seconds(crew)


class _Memory:
    """The most that each process had in memory."""

    def __init__(self) -> None:
        self.most: dict[str, float] = {}

    def look(self, who: str, pid: int) -> None:
        """Take one reading."""
        resident = psutil.Process(pid).memory_info().rss / BYTES_PER_MB
        self.most[who] = max(resident, self.most.get(who, 0.0))

    @asynccontextmanager
    async def watched(self, cluster: ProcessCluster) -> AsyncIterator[None]:
        """Look at the daemons all the time."""

        async def watch() -> None:
            while True:
                for org in cluster.orgs:
                    if (pid := cluster.pid(org)) is not None:
                        self.look(org, pid)
                await asyncio.sleep(LOOK_S)

        task = asyncio.ensure_future(watch())
        try:
            yield
        finally:
            task.cancel()
            # What ended the watching before its time is told: the figure would be too low.
            with suppress(asyncio.CancelledError):
                await task


def _crypto_seconds(path: Path) -> float:
    key, since = AESGCM(bytes(32)), time.perf_counter()
    with path.open("rb", buffering=0) as file:
        for index, piece in enumerate(iter(lambda: file.read(PIECE_BYTES), b"")):
            hashlib.sha256(key.encrypt(index.to_bytes(12, "big"), piece, None)).digest()
    return time.perf_counter() - since


async def _add_seconds(cluster: ProcessCluster, rows: Path, memory: _Memory) -> float:
    words = ("--name", "rows", "--label", "Rows", "--purpose", "a benchmark", "--yes")
    since = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "node.cli", "--dir", str(cluster.folder(OWNER))),
        *("data", "add", str(rows), *words),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    ended = asyncio.ensure_future(process.communicate())
    while not ended.done():
        with suppress(psutil.NoSuchProcess):
            memory.look("add", process.pid)
        await asyncio.wait((ended,), timeout=LOOK_S)
    _, errors = await ended
    if process.returncode != 0:
        raise ClusterError(f"data add failed: {errors.decode()}")
    return time.perf_counter() - since


async def _fetch_seconds(cluster: ProcessCluster) -> float:
    data = f"{OWNER}/rows"
    async with cluster.client(OWNER) as owner, cluster.client(READER) as reader:
        outcome = await owner.submit("sharing", "authorize", encode(Authorize(data, OrgId(READER))))
        if not outcome.accepted:
            raise ClusterError(f"the authorisation was refused: {outcome.reason}")
        height = outcome.height
        await cluster.until(
            lambda found: found[READER]["height"] >= height, "the reader's block", HEARD_S_MAX, (READER,)
        )
        since = time.perf_counter()
        found = await reader.fetch_data(data)
        async with asyncio.timeout(FETCH_S_MAX):
            while found["state"] != "here":
                if found["state"] == "stopped":
                    raise ClusterError(f"the transfer was stopped: {found['why']}")
                is_near = found["done"] > NEARLY_ALL * found["chunks"]
                await asyncio.sleep(LAST_LOOK_S if is_near else LOOK_S)
                found = await reader.fetch_data(data)
        return time.perf_counter() - since
