"""Who blocks the next block, and why: from the members in force, the links, and the votes that were heard."""

from collections.abc import Iterable, Iterator

from node.app.doctor.finding import Finding, Severity
from node.app.doctor.snapshot import AgreementReading, DaemonReading, Snapshot

ROUNDS_USUAL = 1
"""One round change is usual when its proposer is away; more mean that something stands in the way."""
LATE_HEARTBEATS = 2
BEHIND_BLOCKS = 5
"""Blocks are made while a tip travels."""


def quorum(seen: Snapshot) -> Iterator[Finding]:
    """Whether enough members are linked, voting, at one height."""
    daemon = seen.daemon
    if daemon is None or daemon.agreement is None:
        return
    at = daemon.agreement
    linked = {peer.org for peer in daemon.peers if peer.connected} | {seen.org}
    present = [org for org in at.members if org in linked]
    missing = [org for org in at.members if org not in linked]
    if len(present) < at.quorum:
        short = at.quorum - len(present)
        says = (
            f"no block can be made: {at.quorum} of {len(at.members)} members must agree, {len(present)} are linked; "
            f"missing: {_listed(seen, missing)}"
        )
        yield Finding("quorum", Severity.PROBLEM, says, f"bring back {short} of: {', '.join(missing)}")
    elif at.wanted and at.round > ROUNDS_USUAL:
        yield _stuck(seen, at, present)
    else:
        spare = len(present) - at.quorum
        says = (
            f"{len(present)} of {len(at.members)} members are linked, {at.quorum} must agree; {spare} more may go away"
        )
        severity = Severity.OK if spare or len(at.members) < 4 else Severity.WARNING
        advice = f"bring back {', '.join(missing)}: not one more may fail" if severity is Severity.WARNING else ""
        yield Finding("quorum", severity, says, advice)
    yield from _heights(daemon)
    yield from _lateness(seen)


def _stuck(seen: Snapshot, at: AgreementReading, present: list[str]) -> Finding:
    """Enough are linked, and still round follows round."""
    silent = [org for org in present if org != seen.org and at.rounds.get(org) is None]
    behind = [org for org in present if org != seen.org and 0 <= at.rounds.get(org, at.round) < at.round]
    unprepared = [org for org in at.members if org not in at.prepared]
    parts = [f"height {at.height} is in round {at.round} and not agreed"]
    if at.proposed:
        found = "found it good" if at.executed else "could not execute it yet"
        parts.append(f"{at.proposer} proposed and this member {found}")
        parts.append(f"{len(at.prepared)} of {at.quorum} prepared, {len(at.committed)} of {at.quorum} committed")
        parts.append(f"no prepare of: {', '.join(unprepared)}")
    else:
        parts.append(f"{at.proposer} has not proposed in this round")
    if silent:
        parts.append(f"linked and not heard at this height: {', '.join(silent)}")
    if behind:
        parts.append(f"in a lower round: {', '.join(behind)}")
    blamed = sorted({*silent, *(org for org in at.members if org not in present)})
    advice = (
        f"ask the operators of {', '.join(blamed)} for lepton doctor"
        if blamed
        else "wait: all are heard and rounds meet"
    )
    return Finding("quorum", Severity.PROBLEM, "; ".join(parts), advice)


def _heights(daemon: DaemonReading) -> Iterator[Finding]:
    """Who is behind whom."""
    heights = {peer.org: peer.height for peer in daemon.peers if peer.connected and peer.height is not None}
    highest = max(heights.values(), default=daemon.height)
    if highest > daemon.height + BEHIND_BLOCKS:
        says = f"this member is {highest - daemon.height:,} blocks behind and takes them over"
        yield Finding("quorum", Severity.WARNING, says, "wait; if the number does not fall, look at disk and links")
    late = {org: highest - height for org, height in heights.items() if height + BEHIND_BLOCKS < highest}
    for org, blocks in sorted(late.items()):
        says = f"{org} is {blocks:,} blocks behind and does not vote until it has them"
        yield Finding("quorum", Severity.NOTE, says, "wait; if the number does not fall, tell its operator")


def _lateness(seen: Snapshot) -> Iterator[Finding]:
    """Even an idle network makes a block with each heartbeat."""
    ledger, daemon = seen.ledger, seen.daemon
    if ledger is None or daemon is None or daemon.halted:
        return
    age_ms = seen.now_ms - ledger.head_time_ms
    if age_ms > LATE_HEARTBEATS * ledger.heartbeat_ms:
        says = (
            f"the last block is {age_ms / 60_000:,.0f} minutes old; one is due every {ledger.heartbeat_ms / 60_000:g}"
        )
        yield Finding(
            "quorum", Severity.PROBLEM, says, "see who is missing above; ask the other operators for lepton doctor"
        )


def _listed(seen: Snapshot, missing: Iterable[str]) -> str:
    assert seen.daemon is not None, "asked only of a running daemon"
    peers = {peer.org: peer for peer in seen.daemon.peers}
    return ", ".join(
        f"{org} (heard {heard:,.0f} s ago)"
        if (heard := peers[org].heard_s if org in peers else None) is not None
        else org
        for org in missing
    )
