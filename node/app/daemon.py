"""Assembles one member's daemon and runs it until it is told to stop. The only place that names every concrete class."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import structlog
import uvloop

from node.api import OperatorServer
from node.app.backend import Backend
from node.app.commitments import kept
from node.app.members import LedgerMembers
from node.app.settings import Folder, Settings, SettingsError
from node.base.crypto import verify
from node.base.types import Digest, Genesis, Heard, Height, OrgId, chain_id
from node.edge.learning.learner import ProcessLearner
from node.edge.storage import (
    FileSealer,
    FileVoteLog,
    NodeKeys,
    SqliteStore,
    load_node_keys,
    make_private_folder,
    read_genesis,
)
from node.edge.telemetry import SystemClock, SystemEntropy, configure_logs
from node.edge.transport import GrpcTransport
from node.engine.loop import Engine
from node.engine.replica import Replica
from node.engine.submitter import Submitter
from node.engine.training import TrainingEngine
from node.ledger.genesis import genesis_writes, verify_genesis
from node.ledger.system import nonce_window

log = structlog.get_logger()


def run_daemon(root: Path, settings: Settings, passphrase: str, *, log_json: bool) -> None:
    """Run until SIGINT or SIGTERM. Raises `SettingsError`, `FileError`, `OSError`, each with what to do."""
    configure_logs(json=log_json, level=settings.log_level)
    folder = Folder(root)
    if not folder.genesis.exists():
        raise SettingsError(f"{root} belongs to no network yet: lepton --dir {root} network install GENESIS")
    with _only_daemon(folder):
        keys = load_node_keys(root, passphrase)
        genesis = read_genesis(folder.genesis)
        verify_genesis(genesis)
        uvloop.run(_Daemon(folder, settings, keys, genesis).run())


@contextmanager
def _only_daemon(folder: Folder) -> Iterator[None]:
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(f"a daemon runs for {folder.root} already; stop it first") from error
        yield
    finally:
        os.close(descriptor)


class _Daemon:
    """One member's parts, from the disk up."""

    def __init__(self, folder: Folder, settings: Settings, keys: NodeKeys, genesis: Genesis) -> None:
        self._folder = folder
        self._settings = settings
        self._keys = keys
        self._genesis = genesis
        self._org = settings.org_id
        self._chain = chain_id(genesis.body)

    async def run(self) -> None:
        """Open, serve, close in the opposite order."""
        for place in (self._folder.models, self._folder.inputs, self._folder.approvals):
            make_private_folder(place)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with AsyncExitStack() as stack:
            vote_log = FileVoteLog.open(self._folder.votes, self._chain)
            stack.push_async_callback(vote_log.close)
            store = await SqliteStore.open(self._folder.ledger, self._chain, genesis_writes(self._genesis))
            stack.push_async_callback(store.close)
            await self._serve(stack, stop, store, vote_log)
        log.info("stopped", org=self._org)

    async def _serve(
        self, stack: AsyncExitStack, stop: asyncio.Event, store: SqliteStore, vote_log: FileVoteLog
    ) -> None:
        clock, entropy, members = SystemClock(), SystemEntropy(), LedgerMembers(store.state)
        replica = Replica(
            org=self._org,
            genesis=self._genesis,
            signer=self._keys.node,
            verify=verify,
            state=store.state,
            chain=store.chain,
            vote_log=vote_log.entries(),
        )
        transport = GrpcTransport(
            self._org,
            self._chain,
            self._keys.tls_key,
            self._keys.tls_certificate,
            members,
            on_message=lambda peer, message: engine.peer_sent(peer, message),
            on_link=lambda peer, up: self._link_changed(engine, peer, up),
            bulk_server=lambda peer, request: training.serve(peer, request),
            listen=self._settings.listen,
        )
        engine = Engine(
            replica,
            store,
            vote_log,
            transport,
            clock,
            on_commit=lambda height: self._committed(height, backend, training),
            on_heard=lambda peer, heard: self._heard(training, peer, heard),
            on_fault=self._peer_fault,
        )
        submitter = Submitter(
            self._org,
            self._chain,
            self._keys.node,
            clock,
            highest_nonce=lambda: nonce_window(store.state, self._org).highest,
            hand_in=engine.submit,
        )
        learner = ProcessLearner(self._org)
        training = TrainingEngine()
        backend = Backend(
            self._org,
            self._genesis.body.name,
            self._chain,
            self._folder,
            engine=engine,
            store=store,
            transport=transport,
            submitter=submitter,
            learner=learner,
            training=training,
            entropy=entropy,
            members=members.orgs,
        )
        operator = OperatorServer(backend, self._folder.root)
        await transport.start()
        stack.push_async_callback(transport.close)
        await operator.start()
        stack.push_async_callback(operator.close)
        log.info("running", org=self._org, chain=self._chain.hex(), height=replica.height, listen=self._settings.listen)
        await _until(stop, engine.run(), training.run())

    def _link_changed(self, engine: Engine, peer: OrgId, up: bool) -> None:
        log.info("link up" if up else "link down", peer=peer)
        engine.link_changed(peer, up)

    def _committed(self, height: Height, backend: Backend, training: TrainingEngine) -> None:
        log.debug("block", height=height)
        backend.committed(height)
        training.on_block()

    def _heard(self, training: TrainingEngine, peer: OrgId, heard: Heard) -> None:
        training.on_heard(peer, heard)

    def _peer_fault(self, peer: OrgId, reason: str) -> None:
        log.warning("peer fault", peer=peer, reason=reason)

    def _data_path(self, job: Digest) -> Path | None:
        committed = kept(self._folder.approvals, job.hex())
        return None if committed is None else self._folder.root / committed.path
