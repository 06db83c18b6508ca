"""The process around one member: one daemon per folder, signals, the operator's socket, logs."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
import uvloop

from node.api import OperatorServer
from node.app.allocator import settle_allocator
from node.app.alone import only_daemon
from node.app.assembly import MemberNode, Wiring
from node.app.settings import Folder, Settings, SettingsError
from node.app.versions import installed_cel_version
from node.base.types import Genesis, OrgId, chain_id
from node.edge.storage import MemberKeys, load_member_keys, read_genesis
from node.edge.telemetry import SystemClock, configure_logs
from node.edge.transport import GrpcTransport, JoinServer, Refusal, RefusalKind, TlsKey
from node.engine.sync import Terms
from node.engine.training import EgressPolicy
from node.ledger.genesis import verify_genesis

log = structlog.get_logger()


SWITCH_INTERVAL_S = 0.001
"""Hashing many leaves on a worker thread keeps the interpreter's lock; the loop must get it back for a vote."""
COLLECT_AFTER = (20_000, 20, 20)
"""Objects made before cycles are looked for, and how many such looks make a deeper one. Nearly all garbage here is
freed by its count of references; with the interpreter's own 700 more than half of a busy member's time went into it."""


def run_daemon(root: Path, settings: Settings, passphrase: str, *, log_json: bool) -> None:
    """Run until SIGINT or SIGTERM. Raises `SettingsError`, `FileError`, `OSError`, each with what to do."""
    settle_allocator()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    configure_logs(json=log_json, level=settings.log_level)
    folder = Folder(root)
    if not folder.genesis.exists():
        raise SettingsError(f"{root} belongs to no network yet: lepton --dir {root} network install GENESIS")
    with only_daemon(folder):
        keys = MemberKeys(load_member_keys(root, passphrase))
        genesis = read_genesis(folder.genesis)
        verify_genesis(genesis)
        uvloop.run(_run(folder, settings, keys, genesis))


def grpc_transport(org: OrgId, genesis: Genesis, keys: MemberKeys, listen: str, wiring: Wiring) -> GrpcTransport:
    """The links of a member that listens on `listen`."""

    def refused(refusal: Refusal) -> None:
        if refusal.kind is RefusalKind.BROKE_PROTOCOL and refusal.holder is not None:
            wiring.on_broke(refusal.holder, refusal.reason)

    return GrpcTransport(
        org=org,
        chain=chain_id(genesis.body),
        tls=[TlsKey(secret.key_pem, secret.certificate) for secret in keys.tls],
        members=wiring.members,
        on_message=wiring.on_message,
        on_link=wiring.on_link,
        bulk_server=wiring.bulk_server,
        on_refused=refused,
        listen=listen,
    )


async def _run(folder: Folder, settings: Settings, keys: MemberKeys, genesis: Genesis) -> None:
    org = settings.org_id
    node = MemberNode(
        folder,
        org,
        keys,
        genesis,
        lambda wiring: grpc_transport(org, genesis, keys, settings.listen, wiring),
        EgressPolicy(settings.egress.norm_max, settings.egress.values_max),
        Terms(settings.snapshots.every, settings.snapshots.behind, settings.snapshots.keep_blocks),
        settings.vault.replica_bytes,
        installed_cel_version(),
        SystemClock(),
    )
    await node.open()
    # What stands by now stays; no collection needs to walk it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        operator = OperatorServer(node.backend, folder.root)
        await operator.start()
        try:
            height = node.engine.replica.height
            log.info("running", org=org, chain=node.chain.hex(), height=height, listen=settings.listen)
            async with _joining(node, settings):
                await _until_told(node)
        finally:
            await operator.close()
    finally:
        await node.close()
    log.info("stopped", org=org)


@asynccontextmanager
async def _joining(node: MemberNode, settings: Settings) -> AsyncIterator[None]:
    """Let strangers hand in cards, where the settings open a port for that."""
    if settings.join_listen is None:
        yield
        return
    server = JoinServer(node.reception.receive, node.renewal.tls_keys)
    node.renewal.also(server)
    await server.start(settings.join_listen)
    try:
        yield
    finally:
        await server.close()


async def _until_told(node: MemberNode) -> None:
    """Run the member until a signal, or until its disk refuses."""
    work = asyncio.ensure_future(node.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await work
    except* OSError as group:
        raise group.exceptions[0] from group
