"""What is between this member and the others: ports, clocks, links."""

from collections.abc import Iterator
from statistics import median

from node.app.doctor.finding import Finding, Severity, counted
from node.app.doctor.snapshot import PeerReading, Snapshot

CLOCK_MS_OFF = 1_000
REVOKED_ADVICE = {
    "organisation": "lepton keys rotate organisation --card-out FILE; then the members: lepton network replace FILE",
    "node": "lepton keys rotate node --card-out FILE; then the members: lepton network admit FILE",
    "tls": "lepton keys rotate tls --card-out FILE; then any other member: lepton keys present FILE",
    "data": "renew it: lepton keys rotate data",
}
"""What to do when a quorum revoked the key of this name."""
CERTIFICATE_REFUSED = "Socket closed"
"""What gRPC says at a client whose certificate the server does not accept."""


def ports(seen: Snapshot) -> Iterator[Finding]:
    """Whether it listens where the settings say, and whether the card's addresses lead here."""
    listen = seen.listen_port
    if seen.daemon is not None and not listen.open:
        advice = (
            "see what stands in the way: a firewall on this machine, or another address in node.toml than it runs with"
        )
        yield Finding("ports", Severity.PROBLEM, f"nothing answers at {listen.address}: {listen.says}", advice)
    elif seen.daemon is None and seen.daemon_failure is None and listen.open:
        advice = "end that program, or choose another `listen` in node.toml, and name it: lepton keys address HOST:PORT"
        yield Finding("ports", Severity.PROBLEM, f"another program listens at {listen.address}", advice)
    elif seen.daemon is not None:
        yield Finding("ports", Severity.OK, f"listens at {listen.address}")
    if seen.daemon is None:
        return
    closed = [port for port in seen.own_ports if not port.open]
    dialled_in = any(peer.connected and peer.dialled is False for peer in seen.daemon.peers)
    for port in closed:
        says = f"{port.address}, which the card names, cannot be dialled from here: {port.says}"
        advice = "open that port on the way here, or name another address: lepton keys address HOST:PORT"
        severity = Severity.NOTE if dialled_in else Severity.WARNING
        yield Finding("ports", severity, says, advice)
    if seen.own_ports and not closed:
        listed = ", ".join(port.address for port in seen.own_ports)
        yield Finding("ports", Severity.OK, f"the card's addresses can be dialled: {listed}")


def clocks(seen: Snapshot) -> Iterator[Finding]:
    """Own clock against the peers', and each peer's against it."""
    if seen.daemon is None:
        if seen.ledger is not None and seen.ledger.head_time_ms > seen.now_ms + CLOCK_MS_OFF:
            ahead_s = (seen.ledger.head_time_ms - seen.now_ms) / 1000
            says = f"this machine's clock is at least {ahead_s:,.0f} s behind the last block"
            yield Finding("clocks", Severity.PROBLEM, says, "set the clock, and keep it by NTP")
        return
    ahead = {peer.org: peer.clock_ahead_ms for peer in seen.daemon.peers if peer.clock_ahead_ms is not None}
    if not ahead:
        return
    tolerance_ms = seen.ledger.time_tolerance_ms if seen.ledger is not None else 10 * CLOCK_MS_OFF
    middle_ms = median(ahead.values())
    if len(ahead) > 1 and abs(middle_ms) > CLOCK_MS_OFF:
        off = f"{abs(middle_ms):,.0f} ms {'behind' if middle_ms > 0 else 'ahead of'}"
        severity = Severity.PROBLEM if abs(middle_ms) > tolerance_ms / 2 else Severity.WARNING
        says = f"this machine's clock is {off} the others' (their median); beyond {tolerance_ms:,} ms it is not heard"
        yield Finding("clocks", severity, says, "set the clock, and keep it by NTP")
        return
    off_by = {org: ms for org, ms in ahead.items() if abs(ms) > CLOCK_MS_OFF}
    for org, ms in sorted(off_by.items()):
        says = f"the clock of {org} is {abs(ms):,} ms {'ahead' if ms > 0 else 'behind'}"
        severity = Severity.WARNING if abs(ms) > tolerance_ms / 2 else Severity.NOTE
        yield Finding("clocks", severity, says, f"tell the operator of {org} to keep its clock by NTP")
    if not off_by:
        widest = max(abs(ms) for ms in ahead.values())
        yield Finding(
            "clocks", Severity.OK, f"the clocks of {counted(len(ahead), 'peer')} are within {widest:,} ms of this one"
        )


def links(seen: Snapshot) -> Iterator[Finding]:
    """Who is not connected and why, who was refused, who misbehaves."""
    if seen.daemon is None:
        return
    peers = seen.daemon.peers
    yield from _refused_by_all(seen, peers)
    revoked = seen.ledger is not None and "tls" in seen.ledger.revoked
    for peer in peers:
        if not peer.connected:
            since = "since the start" if peer.since_s is None else f"for {peer.since_s:,.0f} s"
            why = f": {_short(peer.failure)}" if peer.failure else ""
            advice = "ask its operator whether it runs, and see that one of you can dial the other: lepton doctor"
            if revoked:
                why, advice = ": this member's TLS key was revoked", REVOKED_ADVICE["tls"]
            yield Finding("links", Severity.WARNING, f"{peer.org} is not connected {since}{why}", advice)
        for kind, count in sorted(peer.refused.items()):
            says = f"{peer.org} was refused {count} times: {kind}"
            yield Finding("links", Severity.NOTE, says, _REFUSALS.get(kind, "look at the log"))
        if peer.faults or peer.dropped:
            says = (
                f"{peer.org} has {peer.faults} faults, {peer.dropped} messages dropped, was cut off {peer.cuts} times"
            )
            says += f"; last: {peer.last_reason}"
            severity = Severity.WARNING if peer.cuts else Severity.NOTE
            yield Finding(
                "links", severity, says, f"ask the operator of {peer.org}; if it is on purpose, have it suspended"
            )
    strangers = {k: n - sum(p.refused.get(k, 0) for p in peers) for k, n in seen.daemon.refused.items()}
    for kind, count in sorted(strangers.items()):
        # The doctor's own look at the ports counts as a handshake that came to nothing.
        if count > 0 and (kind != "handshake" or not all(peer.connected for peer in peers)):
            yield Finding(
                "links", Severity.NOTE, f"{count} connections refused: {kind}", _REFUSALS.get(kind, "look at the log")
            )
    up = [peer for peer in peers if peer.connected]
    if up:
        ours = sum(peer.dialled is True for peer in up)
        says = f"{len(up)} of {len(peers)} peers connected, {ours} dialled by us, {len(up) - ours} by them"
        yield Finding("links", Severity.OK, says)


def _refused_by_all(seen: Snapshot, peers: tuple[PeerReading, ...]) -> Iterator[Finding]:
    """Peers cut the links to a member in the block that revokes its TLS key: it may never see that block."""
    closing = [peer for peer in peers if peer.failure is not None and CERTIFICATE_REFUSED in peer.failure]
    known = seen.ledger is not None and "tls" in seen.ledger.revoked
    if closing and not known and not any(peer.connected for peer in peers):
        says = (
            f"no peer is connected, and {len(closing)} of {len(peers)} close the link as it opens: so they do when the "
            "members have revoked this member's TLS key, or removed it"
        )
        advice = f"ask another member's operator. If it was revoked: {REVOKED_ADVICE['tls']}"
        yield Finding("links", Severity.WARNING, says, advice)


def _short(failure: str) -> str:
    """What gRPC says of a failed dial ends with the reason; before it stands how it came there."""
    return failure.rsplit(": ", 1)[-1]


_REFUSALS = {
    "handshake": "somebody without a member's certificate came by: harmless, if no member fails to connect",
    "no-claim": "a program that is no member's came by: harmless",
    "not-a-member": "a stranger, or a member that was removed: harmless",
    "wrong-certificate": "its operator must present the card of the certificate that it uses: lepton keys present",
    "wrong-chain": "it belongs to another network: its operator should look at its genesis file",
    "wrong-version": "one of you must upgrade: compare the versions",
    "broke-protocol": "ask its operator which version it runs; if it is on purpose, have it suspended",
    "too-slow": "the way to it carries less than is sent: look at its network",
}
