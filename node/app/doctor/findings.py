"""What a snapshot means: findings, each with what to do. A pure function of the snapshot.

Here are the member's own things; ports, clocks and links are `network`'s,
the quorum is `quorum`'s.
"""

from collections.abc import Iterator

from node.app.doctor.finding import Finding, Severity, counted
from node.app.doctor.network import REVOKED_ADVICE, clocks, links, ports
from node.app.doctor.quorum import quorum
from node.app.doctor.snapshot import DAY_MS, Snapshot

FREE_BYTES_LOW = 2 << 30
FREE_BYTES_MIN = 200 << 20
FREE_DAYS_LOW = 30
WRITE_MS_SLOW = 50.0
"""Three syncs stand between a proposal and its block."""
TLS_DAYS_LOW = 30
MEMORY_MB_MUCH = 1_000.0
_REVOKED_SAYS = {
    "organisation": "the organisation key: it signs no new card",
    "node": "the node key: this member neither votes nor submits",
    "tls": "the TLS key: no link of this member is accepted",
    "data": "the data key: nothing is sealed to it",
}


def examine(seen: Snapshot) -> list[Finding]:
    """All findings: area by area, in each the worst first. An area in which nothing is wrong says so in one line."""
    areas = (folder, daemon, keys, disk, ports, clocks, links, quorum, waiting, versions)
    return [finding for area in areas for finding in sorted(area(seen), key=lambda found: -found.severity)]


def folder(seen: Snapshot) -> Iterator[Finding]:
    """Files that are missing, open to others, damaged."""
    found = False
    for name in seen.folder.missing:
        found = True
        advice = "restore it from a backup"
        if name == "genesis.json":
            advice = "install the network's genesis: lepton network install GENESIS"
        yield Finding("folder", Severity.PROBLEM, f"{name} is missing", advice)
    for name in seen.folder.exposed:
        found = True
        advice = f"chmod 600 {name}; if somebody may have read it, renew the key: lepton keys rotate"
        yield Finding("folder", Severity.PROBLEM, f"other users of this machine may read {name}", advice)
    for sentence in seen.folder.damaged:
        found = True
        yield Finding("folder", Severity.PROBLEM, sentence, "restore it from a backup, or rejoin with an empty ledger")
    if not seen.folder.vote_log and seen.ledger is not None:
        found = True
        yield Finding(
            "folder",
            Severity.WARNING,
            "the vote log is missing: this member signs nothing until that is safe",
            "start the daemon and leave it linked to the others; it goes on by itself",
        )
    if not found:
        yield Finding("folder", Severity.OK, "every file is there, secrets are closed to others")


def daemon(seen: Snapshot) -> Iterator[Finding]:
    """Whether it runs."""
    if seen.daemon is not None:
        says = f"runs version {seen.daemon.version} with {seen.daemon.memory_mb:.0f} MB"
        if seen.daemon.memory_mb > MEMORY_MB_MUCH:
            advice = "restart it at a quiet moment, and report how its memory grew"
            yield Finding("daemon", Severity.WARNING, says, advice)
        else:
            yield Finding("daemon", Severity.OK, says)
    elif seen.daemon_failure is not None:
        advice = "look at the end of its log; if it is stopped (SIGSTOP), continue it; else restart it"
        yield Finding("daemon", Severity.PROBLEM, f"it runs and does not answer: {seen.daemon_failure}", advice)
    else:
        yield Finding("daemon", Severity.PROBLEM, "it does not run", "start it: lepton run")


def keys(seen: Snapshot) -> Iterator[Finding]:
    """What the ledger names against what the folder and the daemon hold; the term of each TLS certificate."""
    ledger, card = seen.ledger, seen.card
    if ledger is None or card is None:
        return
    if ledger.standing is None:
        advice = "have the members admit it: lepton network apply"
        yield Finding("keys", Severity.PROBLEM, f"the ledger does not know {seen.org}", advice)
        return
    for name in ledger.revoked:
        yield Finding("keys", Severity.PROBLEM, f"the members have revoked {_REVOKED_SAYS[name]}", REVOKED_ADVICE[name])
    sequence = ledger.card_sequence or 0
    if card.sequence > sequence:
        yield Finding(
            "keys",
            Severity.WARNING,
            f"the folder's card has number {card.sequence}, the newest on the ledger {sequence}",
            "renew again (lepton keys rotate tls), or have any member hand it in: lepton keys present card.json",
        )
    elif card.sequence < sequence:
        says = f"the folder's card has number {card.sequence}, the ledger names number {sequence}"
        if _holds_ledgers_keys(seen):
            # Another member handed it in.
            advice = "nothing: the daemon holds its keys, and writes it into the folder when it starts next"
            yield Finding("keys", Severity.NOTE, says, advice)
        else:
            advice = "restore the folder's newest keys and card from a backup; the ledger goes by the newer one"
            yield Finding("keys", Severity.PROBLEM, says, advice)
    if seen.daemon is not None:
        if ledger.node_key is not None and ledger.node_key not in seen.daemon.held.get("node", ()):
            says = f"the daemon does not hold the node key in force ({ledger.node_key[:16]}): it signs nothing"
            yield Finding("keys", Severity.PROBLEM, says, "put the key's file back into keys/, then: lepton keys take")
        if ledger.certificates and not set(ledger.certificates) & set(seen.daemon.held.get("tls", ())):
            says = "the daemon holds none of the TLS certificates that the others accept from it"
            yield Finding("keys", Severity.PROBLEM, says, "put the key's file back into keys/, then: lepton keys take")
    yield from _terms(seen)


def _holds_ledgers_keys(seen: Snapshot) -> bool:
    """Whether the daemon runs with the node key in force and the newest TLS certificate."""
    if seen.daemon is None or seen.ledger is None or seen.ledger.node_key is None:
        return False
    held = seen.daemon.held
    newest = seen.ledger.certificates[:1]
    return seen.ledger.node_key in held.get("node", ()) and bool(newest) and newest[0] in held.get("tls", ())


def _terms(seen: Snapshot) -> Iterator[Finding]:
    assert seen.ledger is not None, "asked only with a ledger"
    lows = []
    for org, until_ms in sorted(seen.ledger.tls_until_ms.items()):
        days = (until_ms - seen.now_ms) // DAY_MS
        own = org == seen.org
        advice = "renew it: lepton keys rotate tls" if own else f"tell the operator of {org}: lepton keys rotate tls"
        if days < 0:
            says = f"the TLS term of {org} is over for {-days} days: all it may still do is to renew"
            yield Finding("keys", Severity.PROBLEM if own else Severity.WARNING, says, advice)
        elif days < TLS_DAYS_LOW:
            yield Finding("keys", Severity.WARNING, f"the TLS term of {org} ends in {days} days", advice)
        else:
            lows.append((days, org))
    if lows:
        days, org = min(lows)
        yield Finding("keys", Severity.OK, f"of {counted(len(lows), 'TLS term')} the next ends in {days} days ({org})")


def disk(seen: Snapshot) -> Iterator[Finding]:
    """Room, growth, and how fast a write is safe."""
    disk = seen.disk
    free = f"{disk.free_bytes / 2**30:.1f} GiB free"
    per_block = disk.database_bytes / disk.blocks if disk.blocks else 0.0
    days = disk.free_bytes / (per_block * disk.blocks_per_day) if per_block * disk.blocks_per_day else None
    grows = (
        f"; the database has {disk.database_bytes / 2**20:.1f} MiB, {per_block:,.0f} bytes a block" if per_block else ""
    )
    if disk.failure is not None:
        advice = "free space, or mend the disk; then start the daemon again. What was agreed and signed is kept"
        yield Finding("disk", Severity.PROBLEM, f"it does not take a write ({disk.failure}); {free}", advice)
    elif disk.free_bytes < FREE_BYTES_MIN:
        yield Finding("disk", Severity.PROBLEM, f"{free}{grows}", "free space: with a full disk the daemon ends")
    elif disk.free_bytes < FREE_BYTES_LOW or (days is not None and days < FREE_DAYS_LOW):
        lasts = "" if days is None else f", enough for {days:,.0f} days"
        yield Finding(
            "disk", Severity.WARNING, f"{free}{lasts}{grows}", "free space soon, or prune: lepton chain prune"
        )
    else:
        yield Finding("disk", Severity.OK, f"{free}{grows}")
    if disk.write_ms is not None:
        says = f"a synced write of 4 KiB takes {disk.write_ms:.1f} ms"
        if disk.write_ms > WRITE_MS_SLOW:
            advice = (
                "three such writes stand before each block: use a faster disk, or find what else writes to this one"
            )
            yield Finding("disk", Severity.WARNING, says, advice)
        else:
            yield Finding("disk", Severity.OK, says)


def waiting(seen: Snapshot) -> Iterator[Finding]:
    """Transactions, changes of the member set, silence, a halt."""
    ledger, daemon = seen.ledger, seen.daemon
    if daemon is not None:
        if daemon.silent_because is not None:
            until = "" if daemon.silent_until is None else f" until height {daemon.silent_until}"
            says = f"this member signs nothing{until}: {daemon.silent_because}"
            yield Finding(
                "waiting", Severity.WARNING, says, "leave it linked to the others; with n <= 3 see: lepton recover"
            )
        if daemon.unfit_because is not None:
            says = f"this member does not vote and takes no blocks: {daemon.unfit_because}"
            yield Finding("waiting", Severity.PROBLEM, says, "install that version, then: lepton run")
        elif daemon.halted:
            says = f"halted at height {daemon.halt_at}, as an operator asked"
            yield Finding("waiting", Severity.WARNING, says, "upgrade, then lift it: lepton halt-at --off")
        elif daemon.halt_at is not None:
            yield Finding(
                "waiting", Severity.NOTE, f"it will halt at height {daemon.halt_at}", "lift it: lepton halt-at --off"
            )
    if ledger is not None and ledger.queue:
        says = f"{counted(len(ledger.queue), 'change')} of the members not in force yet: {', '.join(ledger.queue)}"
        yield Finding("waiting", Severity.NOTE, says, "nothing: each block takes some of them")
    if ledger is not None and ledger.motions:
        says = f"{counted(ledger.motions, 'open motion')}"
        yield Finding("waiting", Severity.NOTE, says, "look, and support what you want: lepton network members")
    if daemon is not None and daemon.pending:
        yield Finding("waiting", Severity.NOTE, f"{counted(daemon.pending, 'transaction')} in the queue", "see quorum")


def versions(seen: Snapshot) -> Iterator[Finding]:
    """Own and peers' programs, and the version of CEL that was adopted for a height to come."""
    for height, version in () if seen.ledger is None else seen.ledger.cel_coming:
        says = f"from height {height} on contracts are decided by CEL {version}, which is not installed here"
        advice = f"at that height stop the daemon, install cel-expr-python {version}, and start it: lepton run"
        yield Finding("versions", Severity.WARNING, says, advice)
    if seen.daemon is None:
        return
    others = {peer.org: peer.software for peer in seen.daemon.peers if peer.software is not None}
    different = {org: software for org, software in others.items() if software != seen.daemon.version}
    if different:
        listed = ", ".join(f"{org} {software}" for org, software in sorted(different.items()))
        says = f"this member runs {seen.daemon.version}; others: {listed}"
        yield Finding("versions", Severity.NOTE, says, "agree with the other operators on an upgrade")
    elif others:
        yield Finding("versions", Severity.OK, f"{len(others)} peers run {seen.daemon.version} too")
