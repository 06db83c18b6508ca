"""A scenario from founding to the end of training. After the job's approval it only observes."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.api import DaemonUnreachable, OperatorClient, Outcome
from node.app.jobfile import terms_from_file
from node.base.codec import encode
from node.testing.processes import ClusterError, ProcessCluster
from node.testing.scenario.plan import Share
from node.testing.scenario.screen import Screen

POLL_S = 0.25
SILENCE_S_MAX = 120.0
"""Without a new block or training step for this long, while enough members are up, something is wrong."""
SETTLE_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """Where training together ended."""

    job: dict[str, Any]
    statuses: dict[str, dict[str, Any]]
    """Of the members that are up, all at one height."""
    model: bytes
    model_path: str


async def propose_and_approve(
    cluster: ProcessCluster, job_file: Path, shares: list[Share], rounds: int, screen: Screen
) -> bytes:
    """The first member proposes, every member approves with its own rows. The job's id. Raises `ClusterError`."""
    terms = terms_from_file(
        job_file,
        rounds=rounds,
        participants=[],
        minimum=None,
        count=len(shares),
        deadline_ms=5_000,
    )
    async with cluster.client(shares[0].org) as client:
        proposed = await client.submit("training", "propose", encode(terms))
    _require(proposed, f"{shares[0].org} proposing the job")
    screen.say(f"{shares[0].org} proposed the job {proposed.transaction.hex()[:16]}")
    # Each operator decides for itself; a member whose chain is a moment behind cannot know the job yet.
    await cluster.until(
        lambda statuses: all(status["height"] >= proposed.height for status in statuses.values()),
        "the proposal to reach all members",
        SETTLE_S_MAX,
    )
    approvals = await asyncio.gather(*(_approve(cluster, share, proposed.transaction) for share in shares))
    for share, outcome in zip(shares, approvals, strict=True):
        _require(outcome, f"{share.org} approving the job")
    screen.say(f"approved by all {len(shares)} members; from here on nobody conducts it")
    return proposed.transaction


async def _approve(cluster: ProcessCluster, share: Share, job: bytes) -> Outcome:
    async with cluster.client(share.org) as client:
        return await client.approve(job, str(share.train.relative_to(cluster.folder(share.org))))


def _require(outcome: Outcome, what: str) -> None:
    if not (outcome.final and outcome.accepted):
        raise ClusterError(f"{what} failed: {outcome.reason or 'no block in time'} ({outcome.code})")


async def watch(cluster: ProcessCluster, job: bytes, rounds: int, screen: Screen) -> dict[str, Any]:
    """Show the job until it ends; returns it. Members may go down and come back. Raises `ClusterError`."""
    last, since = "", asyncio.get_running_loop().time()
    while True:
        statuses, found = await observe(cluster, job)
        screen.show(cluster.orgs, statuses, found, rounds)
        if found is not None and found["state"] not in ("proposed", "preparing", "training"):
            if found["state"] != "done":
                raise ClusterError(f"the job ended as {found['state']}: {found['reason']}")
            return found
        now = asyncio.get_running_loop().time()
        seen = json.dumps([[s["height"], s["phase"], s["loss"]] for s in statuses.values()])
        if seen != last:
            last, since = seen, now
        elif now - since > SILENCE_S_MAX:
            raise ClusterError(
                f"nothing has moved for {SILENCE_S_MAX:.0f} s; the daemons' logs are in {cluster.root}/*/"
            )
        await asyncio.sleep(POLL_S)


async def observe(cluster: ProcessCluster, job: bytes) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None]:
    """The statuses of the members that answer, and the job as the one furthest ahead sees it."""
    answers = await asyncio.gather(*(_ask(cluster.folder(org), job) for org in cluster.orgs))
    up = {str(org): answer for org, answer in zip(cluster.orgs, answers, strict=True) if answer is not None}
    ahead = max(up.values(), key=lambda answer: int(answer[0]["height"]), default=None)
    return {org: answer[0] for org, answer in up.items()}, None if ahead is None else ahead[1]


async def _ask(folder: Path, job: bytes) -> tuple[dict[str, Any], dict[str, Any]] | None:
    async with OperatorClient(folder) as client:
        try:
            (found,) = await client.jobs(job)
            return await client.status(), found
        except DaemonUnreachable:
            return None


async def settle(cluster: ProcessCluster, job: bytes) -> Ended:
    """Wait until all members that are up stand at one head, the model on disk. Raises `ClusterError`."""
    deadline = asyncio.get_running_loop().time() + SETTLE_S_MAX
    while True:
        statuses, found = await observe(cluster, job)
        heads = {(status["height"], status["head_digest"], status["pending"]) for status in statuses.values()}
        if found is not None and found["model_path"] and len(heads) == 1 and next(iter(heads))[2] == 0:
            path = found["model_path"]
            return Ended(found, statuses, await asyncio.to_thread(Path(path).read_bytes), path)
        if asyncio.get_running_loop().time() > deadline:
            raise ClusterError(f"the members did not come to one head: {sorted(heads)}")
        await asyncio.sleep(POLL_S)
