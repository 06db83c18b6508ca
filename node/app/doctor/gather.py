"""Looks at the member: its folder, disk, ports, database, and what its daemon says. Works with or without a daemon.

Nothing is judged here, and nothing is changed but for one small file, written to time the disk and deleted again.
"""

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

from node.api import DaemonUnreachable, OperatorClient, OperatorError
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
from node.app.settings import Folder, read_settings
from node.app.versions import installed_cel_version
from node.base.types import Card, CardBody, Height, OrgId
from node.edge.storage import FileError, KeyName, SqliteReader, StoreError, read_card, read_genesis
from node.edge.storage.keys import KEYS_FOLDER, key_path
from node.ledger import system
from node.ledger.contracts import membership
from node.ledger.contracts.contract import View, view
from node.ledger.errors import LedgerError
from node.ledger.genesis import verify_genesis

DIAL_TIMEOUT_S = 3.0
PROBES = 5
PROBE_BYTES = 4_096
RECENT_BLOCKS = 1_000
MESSAGE_CHARACTERS_MAX = 200


async def gather(root: Path) -> Snapshot:
    """Look at the member in `root`. Raises `SettingsError` where there is none."""
    settings, folder = read_settings(root), Folder(root)
    running = _is_running(folder)
    damaged: list[str] = []
    card = _card(folder, damaged)
    _check_genesis(folder, damaged)
    ledger, disk = await asyncio.to_thread(_ledger_and_disk, folder, settings.org_id, damaged)
    daemon, failure = await _daemon(root) if running else (None, None)
    listen = _reachable(settings.listen)
    addresses = card.body.addresses if card is not None else ()
    # Each once: every look costs the daemon a handshake that comes to nothing.
    wanted = tuple(dict.fromkeys((listen, *addresses)))
    ports = dict(zip(wanted, await asyncio.gather(*map(_dial, wanted)), strict=True))
    return Snapshot(
        now_ms=time.time_ns() // 1_000_000,
        org=settings.org,
        listen=settings.listen,
        folder=FolderReading(
            _missing(folder), _exposed(folder, settings.passphrase_file), tuple(damaged), folder.votes.exists()
        ),
        card=None if card is None else _card_reading(card),
        disk=disk,
        ledger=ledger,
        daemon=daemon,
        daemon_failure=failure,
        own_ports=tuple(ports[address] for address in addresses),
        listen_port=ports[listen],
    )


def _is_running(folder: Folder) -> bool:
    """Whether a daemon holds the folder's lock."""
    try:
        descriptor = os.open(folder.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _missing(folder: Folder) -> tuple[str, ...]:
    wanted = [
        folder.card,
        folder.genesis,
        *(key_path(folder.root, name) for name in KeyName if name is not KeyName.ORGANISATION),
    ]
    return tuple(str(path.relative_to(folder.root)) for path in wanted if not path.exists())


def _exposed(folder: Folder, passphrase_file: str | None) -> tuple[str, ...]:
    secrets_ = sorted((folder.root / KEYS_FOLDER).glob("*.key"))
    if passphrase_file is not None:
        secrets_.append(folder.root / passphrase_file)
    return tuple(
        str(path.relative_to(folder.root)) if path.is_relative_to(folder.root) else str(path)
        for path in secrets_
        if path.exists() and path.stat().st_mode & 0o077
    )


def _card(folder: Folder, damaged: list[str]) -> Card | None:
    if not folder.card.exists():
        return None
    try:
        return read_card(folder.card)
    except FileError as error:
        damaged.append(str(error))
        return None


def _check_genesis(folder: Folder, damaged: list[str]) -> None:
    if not folder.genesis.exists():
        return
    try:
        verify_genesis(read_genesis(folder.genesis))
    except (FileError, LedgerError) as error:
        damaged.append(str(error))


def _card_reading(card: Card) -> CardReading:
    body = card.body
    return CardReading(body.sequence, body.node_key.hex(), _sha256(body.tls_certificate), body.addresses)


def _ledger_and_disk(folder: Folder, org: OrgId, damaged: list[str]) -> tuple[LedgerReading | None, DiskReading]:
    ledger, blocks, per_day = None, 0, 0.0
    if folder.ledger.exists():
        try:
            reader = SqliteReader(folder.ledger, frozen=True)
            try:
                ledger = _ledger(reader, org)
                blocks, per_day = ledger.height, _blocks_per_day(reader)
            finally:
                reader.close()
        except StoreError as error:
            damaged.append(str(error))
    write_ms, failure = _time_writes(folder.root)
    size = sum(path.stat().st_size for path in folder.root.glob(f"{folder.ledger.name}*"))
    free = shutil.disk_usage(folder.root).free
    return ledger, DiskReading(free, write_ms, failure, size, blocks, per_day)


def _ledger(reader: SqliteReader, org: OrgId) -> LedgerReading:
    members = view(reader, membership.NAME)
    head, parameters, quorums = system.head(reader), system.parameters(reader), system.quorums(reader)
    standing, card = membership.standing_of(members, org), membership.card_of(members, org)
    return LedgerReading(
        height=head.height,
        head_time_ms=head.time_ms,
        heartbeat_ms=parameters.heartbeat_ms,
        time_tolerance_ms=parameters.time_tolerance_ms,
        standing=None if standing is None else standing.state.name.lower(),
        votes=org in quorums.next.keys,
        card_sequence=None if card is None else card.body.sequence,
        node_key=key.hex() if (key := quorums.next.keys.get(org)) is not None else None,
        certificates=tuple(_sha256(der) for der in membership.certificates_of(members, org)),
        tls_until_ms={
            name: found.tls_until_ms
            for name, found in membership.standings(members)
            if found.state in (membership.State.CANDIDATE, membership.State.MEMBER)
        },
        queue=tuple(_change(queued.change) for _, queued in membership.queue(members)),
        motions=sum(1 for _ in membership.open_motions(members)),
        revoked=() if card is None else revoked_keys(members, card.body),
        cel_coming=tuple(
            coming for coming in membership.cel_coming(members, head.height) if coming[1] != installed_cel_version()
        ),
    )


def revoked_keys(members: View, body: CardBody) -> tuple[str, ...]:
    """Which of the card's keys a quorum revoked, by their names in `lepton keys`."""
    named = {
        "organisation": body.organisation_key,
        "node": body.node_key,
        "tls": membership.fingerprint(body.tls_certificate),
        "data": body.data_key,
    }
    return tuple(name for name, key in named.items() if membership.is_revoked(members, key))


def _change(change: membership.Change) -> str:
    match change:
        case membership.Join():
            return f"{change.org} joins"
        case membership.Part():
            return f"{change.org} leaves"
        case membership.Rekey():
            return f"{change.org} changes its node key"


def _blocks_per_day(reader: SqliteReader) -> float:
    """By the times of the last blocks."""
    top = reader.height()
    low = max(1, top - RECENT_BLOCKS)
    newest, oldest = reader.block(top), reader.block(Height(low))
    if top <= low or newest is None or oldest is None:
        return 0.0
    span_ms = newest.block.header.time_ms - oldest.block.header.time_ms
    return (top - low) * DAY_MS / span_ms if span_ms > 0 else 0.0


def _time_writes(root: Path) -> tuple[float | None, str | None]:
    """(the median of a few synced writes in ms, None) or (None, what the disk says)."""
    path = root / f".doctor.{secrets.token_hex(6)}"
    taken = []
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(PROBES):
                since = time.perf_counter()
                os.write(descriptor, bytes(PROBE_BYTES))
                os.fsync(descriptor)
                taken.append((time.perf_counter() - since) * 1000)
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)
    except OSError as error:
        return None, error.strerror or str(error)
    return round(median(taken), 2), None


def _reachable(listen: str) -> str:
    """Where on this machine a daemon that binds `listen` is reached."""
    host, _, port = listen.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]", "::", "*") else listen


async def _dial(address: str) -> PortReading:
    """Open a TCP connection, and close it again. To the daemon it is a handshake that came for nothing."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError:
        return PortReading(address, False, f"no answer within {DIAL_TIMEOUT_S:g} s")
    except OSError as error:
        return PortReading(address, False, error.strerror or str(error))
    writer.close()
    return PortReading(address, True, "open")


async def _daemon(root: Path) -> tuple[DaemonReading | None, str | None]:
    async with OperatorClient(root) as client:
        try:
            return daemon_reading(await client.status()), None
        except (DaemonUnreachable, OperatorError) as error:
            return None, str(error)[:MESSAGE_CHARACTERS_MAX]


def daemon_reading(status: dict[str, Any]) -> DaemonReading:
    """What `lepton status --json` says, as far as the doctor judges it."""
    return DaemonReading(
        height=status["height"],
        pending=status["pending"],
        agreement=_agreement(status["agreement"]),
        peers=tuple(_peer(peer) for peer in status["peers"]),
        refused=status["refused"],
        listening=status["listening"],
        held={name: tuple(shown) for name, shown in status["keys"].items()},
        version=status["version"],
        memory_mb=status["memory_mb"],
        silent_until=status.get("silent_until"),
        silent_because=status.get("silent_because"),
        halt_at=status.get("halt_at"),
        halted=bool(status.get("halted")),
        unfit_because=status.get("unfit_because"),
    )


def _agreement(at: dict[str, Any] | None) -> AgreementReading | None:
    if at is None:
        return None
    lists = {name: tuple(at[name]) for name in ("members", "prepared", "committed")}
    return AgreementReading(**{**at, **lists})


def _peer(peer: dict[str, Any]) -> PeerReading:
    conduct = peer.get("conduct") or {}
    return PeerReading(
        org=peer["org"],
        connected=peer["connected"],
        height=peer["height"],
        dialled=peer.get("dialled"),
        since_s=peer.get("since_s"),
        heard_s=peer.get("heard_s"),
        clock_ahead_ms=peer.get("clock_ahead_ms"),
        version=peer.get("version"),
        software=peer.get("software"),
        failure=peer.get("failure"),
        refused=peer.get("refused", {}),
        faults=conduct.get("faults", 0),
        dropped=sum(conduct.get("dropped", {}).values()),
        cuts=conduct.get("cuts", 0),
        last_reason=conduct.get("last_reason", ""),
    )


def _sha256(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()
