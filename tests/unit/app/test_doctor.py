"""What the doctor finds: a table of snapshots, each with one thing wrong, and what must be said of it."""

from dataclasses import replace

import pytest

from node.app.doctor import Severity, examine
from node.app.doctor.gather import revoked_keys
from node.app.doctor.snapshot import (
    DAY_MS,
    AgreementReading,
    CardReading,
    DaemonReading,
    DiskReading,
    FolderReading,
    LedgerReading,
    PeerReading,
    PortReading,
    Snapshot,
)
from node.base.types import OrgId
from node.ledger.contracts.membership import Revoke, card_of, certificates_of, fingerprint
from node.testing.society import Society

NOW_MS = 1_800_000_000_000
KEY, CERTIFICATE = "aa" * 32, "cc" * 32
ORGS = ("ada", "bob", "cid", "dot")


def peer(org, **changes):
    good = PeerReading(
        org, True, 100, dialled=True, since_s=60.0, heard_s=0.5, clock_ahead_ms=-1, version=1, software="0.1.0"
    )
    return replace(good, **changes)


AGREEMENT = AgreementReading(
    101, 0, "bob", 3, ORGS, wanted=False, proposed=False, executed=False, prepared=(), committed=(), rounds={}
)
DAEMON = DaemonReading(
    height=100,
    pending=0,
    agreement=AGREEMENT,
    peers=(peer("bob"), peer("cid"), peer("dot")),
    refused={},
    listening=7400,
    held={"node": (KEY,), "tls": (CERTIFICATE,)},
    version="0.1.0",
    memory_mb=93.0,
)
LEDGER = LedgerReading(
    height=100,
    head_time_ms=NOW_MS - 5_000,
    heartbeat_ms=600_000,
    time_tolerance_ms=10_000,
    standing="member",
    votes=True,
    card_sequence=1,
    node_key=KEY,
    certificates=(CERTIFICATE,),
    tls_until_ms=dict.fromkeys(ORGS, NOW_MS + 700 * DAY_MS),
    queue=(),
    motions=0,
)
OPEN = PortReading("127.0.0.1:7400", True, "open")
CLOSED = PortReading("ada.example:7400", False, "Connection refused")
HEALTHY = Snapshot(
    now_ms=NOW_MS,
    org="ada",
    listen="0.0.0.0:7400",
    folder=FolderReading(),
    card=CardReading(1, KEY, CERTIFICATE, ("127.0.0.1:7400",)),
    disk=DiskReading(64 << 30, 0.5, None, 1 << 20, 100, 144.0),
    ledger=LEDGER,
    daemon=DAEMON,
    daemon_failure=None,
    own_ports=(OPEN,),
    listen_port=OPEN,
)


def ledger(**changes):
    return replace(HEALTHY, ledger=replace(LEDGER, **changes))


def daemon(**changes):
    return replace(HEALTHY, daemon=replace(DAEMON, **changes))


def disk(**changes):
    return replace(HEALTHY, disk=replace(HEALTHY.disk, **changes))


def peers(**changes):
    """What is different about each peer, by name."""
    return daemon(peers=tuple(replace(one, **changes.get(one.org, {})) for one in DAEMON.peers))


def agreement(seen, **changes):
    assert seen.daemon is not None
    return replace(seen, daemon=replace(seen.daemon, agreement=replace(AGREEMENT, **changes)))


def gone(*orgs, **more):
    away = {"connected": False, "height": None, "failure": "unavailable: x: Connection refused", **more}
    return peers(**dict.fromkeys(orgs, away))


def test_a_healthy_member_has_only_good_news_from_every_area():
    findings = examine(HEALTHY)

    assert {found.severity for found in findings} == {Severity.OK}
    areas = ["folder", "daemon", "keys", "disk", "ports", "clocks", "links", "quorum", "versions"]
    assert list(dict.fromkeys(found.area for found in findings)) == areas


P, W, N = Severity.PROBLEM, Severity.WARNING, Severity.NOTE
STUCK = {"round": 4, "wanted": True, "rounds": {"ada": 4, "bob": 4, "cid": 1}}
TABLE = {
    "key file missing": (
        replace(HEALTHY, folder=FolderReading(missing=("keys/node.key",))),
        "folder",
        P,
        "keys/node.key",
    ),
    "genesis missing": (replace(HEALTHY, folder=FolderReading(missing=("genesis.json",))), "folder", P, "genesis.json"),
    "key exposed": (replace(HEALTHY, folder=FolderReading(exposed=("keys/tls.key",))), "folder", P, "keys/tls.key"),
    "database damaged": (replace(HEALTHY, folder=FolderReading(damaged=("it is damaged",))), "folder", P, "damaged"),
    "no vote log": (replace(HEALTHY, folder=FolderReading(vote_log=False)), "folder", W, "vote log"),
    "not running": (replace(HEALTHY, daemon=None, listen_port=CLOSED), "daemon", P, "does not run"),
    "hangs": (replace(HEALTHY, daemon=None, daemon_failure="no answer in time"), "daemon", P, "no answer in time"),
    "much memory": (daemon(memory_mb=4_000.0), "daemon", W, "4000 MB"),
    "stranger": (ledger(standing=None), "keys", P, "does not know ada"),
    "card not presented": (ledger(card_sequence=0), "keys", W, "number 1"),
    "old card": (replace(ledger(card_sequence=2), daemon=None, listen_port=CLOSED), "keys", P, "number 2"),
    "old card and keys": (ledger(card_sequence=2, certificates=("dd" * 32, CERTIFICATE)), "keys", P, "number 2"),
    "card handed in by another": (ledger(card_sequence=2), "keys", N, "number 2"),
    "wrong node key": (ledger(node_key="bb" * 32), "keys", P, "bbbb"),
    "wrong certificate": (ledger(certificates=("dd" * 32,)), "keys", P, "TLS certificates"),
    "TLS key revoked": (ledger(certificates=(), revoked=("tls",)), "keys", P, "revoked the TLS key"),
    "node key revoked": (ledger(node_key=None, revoked=("node",)), "keys", P, "revoked the node key"),
    "peer lost by an own revoked key": (
        replace(gone("bob", "cid", "dot"), ledger=replace(LEDGER, certificates=(), revoked=("tls",))),
        "links",
        W,
        "dot is not connected for 60 s: this member's TLS key was revoked",
    ),
    "all close the link": (
        gone("bob", "cid", "dot", failure="UNAVAILABLE: ipv4:10.0.0.1:7400: Secure read failed (Socket closed)"),
        "links",
        W,
        "3 of 3 close the link as it opens",
    ),
    "own term over": (ledger(tls_until_ms={"ada": NOW_MS - DAY_MS}), "keys", P, "over"),
    "peer's term over": (ledger(tls_until_ms={"bob": NOW_MS - DAY_MS}), "keys", W, "bob"),
    "term ends soon": (ledger(tls_until_ms={"ada": NOW_MS + 10 * DAY_MS}), "keys", W, "10 days"),
    "disk refuses": (disk(failure="No space left on device", write_ms=None), "disk", P, "No space left"),
    "disk nearly full": (disk(free_bytes=10 << 20), "disk", P, "0.0 GiB"),
    "disk low": (disk(free_bytes=1 << 30), "disk", W, "1.0 GiB"),
    "disk will be full": (disk(database_bytes=1 << 30, blocks=1_000, blocks_per_day=10_000.0), "disk", W, "6 days"),
    "slow disk": (disk(write_ms=80.0), "disk", W, "80.0 ms"),
    "does not listen": (replace(HEALTHY, listen_port=CLOSED), "ports", P, "Connection refused"),
    "port taken": (replace(HEALTHY, daemon=None), "ports", P, "another program"),
    "not dialled": (replace(HEALTHY, own_ports=(CLOSED,)), "ports", W, "ada.example:7400"),
    "not dialled from here": (
        replace(peers(bob={"dialled": False}), own_ports=(CLOSED,)),
        "ports",
        N,
        "ada.example:7400",
    ),
    "own clock": (peers(**{org: {"clock_ahead_ms": 7_000} for org in ORGS[1:]}), "clocks", P, "behind"),
    "own clock a little": (peers(**{org: {"clock_ahead_ms": -2_000} for org in ORGS[1:]}), "clocks", W, "ahead of"),
    "peer's clock": (peers(cid={"clock_ahead_ms": 1_500}), "clocks", N, "cid is 1,500 ms ahead"),
    "peer's clock far": (peers(cid={"clock_ahead_ms": -9_000}), "clocks", W, "cid is 9,000 ms behind"),
    "clock without daemon": (
        replace(ledger(head_time_ms=NOW_MS + 60_000), daemon=None, listen_port=CLOSED),
        "clocks",
        P,
        "60 s behind",
    ),
    "peer away": (gone("dot"), "links", W, "dot is not connected for 60 s: Connection refused"),
    "peer refused": (peers(bob={"refused": {"wrong-chain": 3}}), "links", N, "refused 3 times: wrong-chain"),
    "stranger refused": (daemon(refused={"not-a-member": 2}), "links", N, "2 connections refused"),
    "peer floods": (peers(bob={"faults": 9, "cuts": 1, "last_reason": "floods"}), "links", W, "floods"),
    "none to spare": (gone("dot"), "quorum", W, "3 of 4 members are linked"),
    "no quorum": (gone("cid", "dot", heard_s=70.0), "quorum", P, "missing: cid (heard 70 s ago), dot"),
    "no proposal": (agreement(HEALTHY, **STUCK), "quorum", P, "bob has not proposed"),
    "silent member": (agreement(HEALTHY, **STUCK), "quorum", P, "not heard at this height: dot"),
    "lower round": (agreement(HEALTHY, **STUCK), "quorum", P, "in a lower round: cid"),
    "votes missing": (
        agreement(HEALTHY, **STUCK, proposed=True, executed=True, prepared=("ada", "bob")),
        "quorum",
        P,
        "2 of 3 prepared, 0 of 3 committed; no prepare of: cid, dot",
    ),
    "behind": (peers(bob={"height": 5_000}), "quorum", W, "4,900 blocks behind"),
    "peer behind": (peers(bob={"height": 10}), "quorum", N, "bob is 90 blocks behind"),
    "no heartbeat": (ledger(head_time_ms=NOW_MS - 2_000_000), "quorum", P, "33 minutes old"),
    "silent": (daemon(silent_because="its vote log was lost", silent_until=107), "waiting", W, "until height 107"),
    "other CEL": (
        daemon(unfit_because="the network decides by CEL 9", halted=True),
        "waiting",
        P,
        "does not vote and takes no blocks: the network decides by CEL 9",
    ),
    "halted": (daemon(halt_at=100, halted=True), "waiting", W, "halted at height 100"),
    "will halt": (daemon(halt_at=500), "waiting", N, "500"),
    "queue": (ledger(queue=("eve joins",)), "waiting", N, "1 change of the members not in force yet: eve joins"),
    "motions": (ledger(motions=2), "waiting", N, "2 open motions"),
    "transactions": (daemon(pending=1), "waiting", N, "1 transaction in"),
    "another CEL to come": (ledger(cel_coming=((250, "0.2.0"),)), "versions", W, "from height 250 on contracts"),
    "other version": (peers(bob={"software": "0.2.0"}), "versions", N, "bob 0.2.0"),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_wrong_is_said_with_what_to_do(name):
    seen, area, severity, words = TABLE[name]
    findings = examine(seen)

    matching = [
        found for found in findings if found.area == area and found.severity is severity and words in found.says
    ]
    assert matching, [found for found in findings if found.area == area]
    assert all(found.advice for found in findings if found.severity is not Severity.OK)
    assert all(not found.advice for found in findings if found.severity is Severity.OK)


def test_one_peer_that_closes_the_link_beside_others_that_do_not_is_its_own_affair():
    findings = examine(gone("dot", failure="UNAVAILABLE: ipv4:10.0.0.1:7400: Secure read failed (Socket closed)"))

    assert not [found for found in findings if "as it opens" in found.says]


def test_which_of_a_cards_keys_were_revoked_is_read_from_the_ledger():
    society, dot = Society(ORGS), OrgId("dot")
    body = card_of(society.view, dot).body
    before = revoked_keys(society.view, body)
    society.pass_motion(Revoke(dot, fingerprint(certificates_of(society.view, dot)[0])))

    assert before == ()
    assert revoked_keys(society.view, body) == ("tls",)


def test_in_a_network_of_one_nobody_is_missing():
    alone = replace(AGREEMENT, members=("ada",), quorum=1)
    findings = examine(daemon(agreement=alone, peers=()))

    assert max(found.severity for found in findings) is Severity.OK


def test_before_the_first_start_there_is_no_ledger_and_that_is_no_problem_of_its_own():
    findings = examine(replace(HEALTHY, ledger=None, daemon=None, listen_port=CLOSED))

    assert [found.area for found in findings if found.severity is Severity.PROBLEM] == ["daemon"]
