"""What must hold at the end of a soak. Each check is one name, whether it holds, and a sentence with figures."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from node.app.settings import Folder
from node.base.types import Digest, Height, OrgId
from node.edge.storage import SqliteReader
from node.testing.processes import LOG, ProcessCluster
from node.testing.soak.operators import lepton
from node.testing.soak.watch import WARM_UP_BLOCKS, Sample, Slope

MEMORY_MB_PER_1000_BLOCKS_MAX = 0.5
TASKS_MORE_MAX = 2
FILES_MORE_MAX = 8
"""Sockets that the kernel has not given back yet, a database file opened by a reader."""
VERIFYING_MAX = 2
VERIFY_S_MAX = 1_200
BAD_SIGNS = ("Traceback", "Task exception", "never awaited", '"level": "error"', "AssertionError")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    name: str
    holds: bool
    says: str


def same_end(statuses: Mapping[str, dict[str, Any]]) -> Check:
    """One height, head and state everywhere."""
    ends = {(status["height"], status["head_digest"], status["state_root"]) for status in statuses.values()}
    if len(ends) == 1:
        height, head, root = next(iter(ends))
        return Check("one head", True, f"height {height}, head {head[:16]}, state root {root[:16]} at {len(statuses)}")
    return Check(
        "one head", False, "; ".join(f"{org}: {s['height']} {s['head_digest'][:16]}" for org, s in statuses.items())
    )


def acknowledged_once(
    cluster: ProcessCluster, acknowledged: Mapping[bytes, int], orgs: Sequence[OrgId] | None = None
) -> Check:
    """Whatever a member called final stands once in the first member's chain, and at `orgs` (all) where it said."""
    name = "acknowledged once"
    seen: Counter[bytes] = Counter()
    with closing(_reader(cluster, cluster.orgs[0])) as reader:
        for height in range(1, reader.height() + 1):
            certified = reader.block(Height(height))
            assert certified is not None, "no height is missing below the head"
            seen.update(transaction.id for transaction in certified.block.transactions)
    twice = [id_ for id_, count in seen.items() if count > 1]
    lost = [id_ for id_ in acknowledged if id_ not in seen]
    moved = 0
    for org in cluster.orgs if orgs is None else orgs:
        with closing(_reader(cluster, org)) as reader:
            for id_, height in acknowledged.items():
                record = reader.transaction(Digest(id_))
                moved += record is None or record.height != height
    says = f"{len(acknowledged)} acknowledged, {len(lost)} lost, {len(twice)} twice, {moved} elsewhere than said"
    return Check(name, bool(acknowledged) and not lost and not twice and not moved, says)


def _reader(cluster: ProcessCluster, org: OrgId) -> SqliteReader:
    return SqliteReader(Folder(cluster.folder(org)).ledger, frozen=True)


def nothing_leaks(members: int, before: Mapping[OrgId, Sample], after: Mapping[OrgId, Sample]) -> Check:
    """Quiet and linked, each daemon holds the calls, tasks and files that it held at the beginning."""
    bad = []
    # Who dialled a link has other tasks and files for it than who was dialled, and faults change who that is.
    tasks_max = max(early.tasks for early in before.values()) + TASKS_MORE_MAX
    files_max = max(early.open_files for early in before.values()) + FILES_MORE_MAX
    for org, late in after.items():
        if late.calls != 2 * (members - 1):
            bad.append(f"{org} has {late.calls} calls, not {2 * (members - 1)}")
        if late.tasks > tasks_max:
            bad.append(f"{org} has {late.tasks} tasks, more than {tasks_max}")
        if late.open_files > files_max:
            bad.append(f"{org} has {late.open_files} files open, more than {files_max}")
    spans = [
        f"{what} {min(found)} to {max(found)}"
        for what in ("calls", "tasks", "open_files")
        if (found := [getattr(taken, what) for taken in after.values()])
    ]
    return Check("no leak", not bad, "; ".join(bad) or ", ".join(spans).replace("_", " "))


def memory_flat(slopes: Sequence[Slope]) -> Check:
    """Memory does not grow with blocks, where there were enough of them to tell."""
    judged = [slope for slope in slopes if slope.judged]
    if not judged:
        most = max((slope.blocks for slope in slopes), default=0)
        says = f"not judged: {most} blocks at most after {WARM_UP_BLOCKS} of one daemon's life are too few"
        return Check("memory flat", True, says)
    worst = max(judged, key=lambda slope: slope.mb_per_1000_blocks)
    says = (
        f"worst of {len(judged)}: {worst.mb_per_1000_blocks:+.3f} MB per 1,000 blocks over {worst.blocks} "
        f"({worst.org}, {worst.first_mb:.0f} to {worst.last_mb:.0f} MB)"
    )
    return Check("memory flat", worst.mb_per_1000_blocks <= MEMORY_MB_PER_1000_BLOCKS_MAX, says)


async def chains_verify(cluster: ProcessCluster, orgs: Sequence[OrgId] | None = None) -> Check:
    """`lepton chain verify` at `orgs` (all); they give the same state root."""
    verifying = cluster.orgs if orgs is None else orgs
    room = asyncio.Semaphore(VERIFYING_MAX)

    async def verify(org: OrgId) -> tuple[int, str]:
        async with room:
            said = await lepton(cluster.folder(org), "chain", "verify", "--json", timeout_s=VERIFY_S_MAX)
            return said.code, said.err if said.code else said.out

    results = await asyncio.gather(*(verify(org) for org in verifying))
    failed = [f"{org}: {text.strip()}" for org, (code, text) in zip(verifying, results, strict=True) if code]
    if failed:
        return Check("chains verify", False, "; ".join(failed))
    roots = {json.loads(text)["state_root"] for _, text in results}
    found = json.loads(results[0][1])
    says = f"{len(results)} chains of {found['height']} blocks and {found['transactions']} transactions"
    return Check("chains verify", len(roots) == 1, says)


def stopped_well(codes: Mapping[OrgId, int]) -> Check:
    """Every daemon ended by SIGTERM with exit code 0."""
    bad = [f"{org} ended with {code}" for org, code in codes.items() if code]
    return Check("stopped well", not bad, "; ".join(bad) or f"{len(codes)} daemons ended by SIGTERM")


def nothing_left(root: Path) -> Check:
    """No process of this network runs any more."""
    # Whoever typed the folder's name to have it tested is none of them.
    own = psutil.Process()
    others = {own.pid, *(parent.pid for parent in own.parents())}
    left = []
    for process in psutil.process_iter():
        try:
            if process.pid not in others and str(root) in " ".join(process.cmdline()):
                left.append(process.pid)
        except psutil.Error:
            continue
    return Check("nothing left", not left, f"still running: {left}" if left else "no process is left")


def logs_clean(cluster: ProcessCluster) -> Check:
    """No daemon met an error that it did not expect."""
    bad = []
    for org in cluster.orgs:
        path = cluster.folder(org) / LOG
        text = path.read_text(errors="replace") if path.exists() else ""
        found = [sign for sign in BAD_SIGNS if sign in text]
        if found:
            at = min(text.find(sign) for sign in found)
            bad.append(f"{org} logged {found[0]} at byte {at} of {path}")
    return Check("logs clean", not bad, "; ".join(bad) or "no unexpected error")
