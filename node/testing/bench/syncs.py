"""Part `consensus-syncs`: how often a member syncs its disk for a block.

`syncs_per_block`: four daemons under `strace`, which counts every fsync and fdatasync of their threads by file, while
single transactions make blocks one after the other. Calls on the vote log and on the database's log count; a checkpoint
syncs the database's file once and its log once before that, and both are left out. The median member counts.
"""

import asyncio
import re
import shutil
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from node.testing.bench.consensus import ORGS, registration
from node.testing.bench.figures import Figure, ratio
from node.testing.processes import ClusterError, ProcessCluster

BLOCKS = 60
ATTACH_S_MAX = 20.0
POLL_S = 0.01
_CALL = re.compile(r"(?:fsync|fdatasync)\(\d+<([^>]*)>")


async def measure_syncs(root: Path) -> list[Figure]:
    """`syncs_per_block`. Raises `ClusterError` where there is no strace, `OperatorError`."""
    if shutil.which("strace") is None:
        raise ClusterError("this part needs strace: install it (apt-get install strace) and run again")
    cluster = ProcessCluster(root, ORGS)
    tracers: list[subprocess.Popen[bytes]] = []
    try:
        await asyncio.to_thread(cluster.found, "bench")
        await cluster.start()
        for org in ORGS:
            tracers.append(await asyncio.to_thread(_trace, cluster, org, root / f"{org}.syncs"))
        before = await _heights(cluster)
        async with cluster.client(ORGS[0]) as client:
            for number in range(BLOCKS):
                outcome = await client.submit("sharing", "register", registration(number))
                if not (outcome.final and outcome.accepted):
                    raise ClusterError(f"a transaction was not accepted: {outcome.reason or 'no block in time'}")
        after = await _heights(cluster)
    finally:
        for tracer in tracers:
            tracer.terminate()
            await asyncio.to_thread(tracer.wait)
        await asyncio.to_thread(cluster.stop)
    syncs = {org: float(count_syncs((root / f"{org}.syncs").read_text().splitlines())) for org in ORGS}
    blocks = {org: float(after[org] - before[org]) for org in ORGS}
    raw = {f"syncs_{org}": syncs[org] for org in ORGS} | {"blocks": blocks[ORGS[0]]}
    return [ratio("syncs_per_block", statistics.median(syncs.values()), statistics.median(blocks.values()), raw)]


def count_syncs(lines: Sequence[str]) -> int:
    """The syncs in the lines of `strace --decode-fds=path`, without those of checkpoints."""
    files = Counter(Path(found.group(1)).name for line in lines if (found := _CALL.search(line)))
    checkpoints = files.pop("ledger.sqlite", 0)
    return files.total() - checkpoints


def _trace(cluster: ProcessCluster, org: str, output: Path) -> subprocess.Popen[bytes]:
    """Attach to the daemon; returns when strace says that it has."""
    options = ["-f", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", str(output)]
    tracer = subprocess.Popen(
        ["strace", *options, "-p", str(cluster.pid(org))], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    status = Path(f"/proc/{cluster.pid(org)}/status")
    deadline = time.monotonic() + ATTACH_S_MAX
    while time.monotonic() < deadline:
        if f"TracerPid:\t{tracer.pid}" in status.read_text():
            return tracer
        if tracer.poll() is not None:
            raise ClusterError("strace may not attach to a process of this user: allow ptrace and run again")
        time.sleep(POLL_S)
    raise ClusterError("strace did not attach")


async def _heights(cluster: ProcessCluster) -> dict[str, int]:
    """Of all members, when they stand at one height."""
    statuses = await cluster.until(
        lambda found: len({status["height"] for status in found.values()}) == 1, "one height", ATTACH_S_MAX
    )
    return {org: int(status["height"]) for org, status in statuses.items()}
