"""Assembles one member from the disk up. The only place that names every concrete class but the transport's.

The same assembly runs in the daemon (`daemon`) and, N times, in one process (`node.testing`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from node.app.applicants import Applicants, Reception
from node.app.approving import Approvals
from node.app.backend import Backend
from node.app.duties import Duties
from node.app.halt import read_halt
from node.app.member import kept_peers
from node.app.members import LedgerMembers
from node.app.renewal import Holders, Renewable, Renewal
from node.app.rows import ApprovedRows
from node.app.settings import Folder
from node.app.standing import Linked, Standing
from node.app.vaults import vault_of, write_private
from node.base.crypto import verify
from node.base.ports import BulkServer, Clock, OnLink, OnMessage, Transport
from node.base.types import Digest, Genesis, Height, OrgId, Statement, chain_id
from node.edge.learning.learner import ProcessLearner
from node.edge.storage import (
    FileSealer,
    FileVoteLog,
    KeyName,
    MemberKeys,
    SnapshotFiles,
    SqliteReader,
    SqliteStore,
    make_private_folder,
)
from node.edge.telemetry import SystemEntropy
from node.edge.vault import Vault
from node.edge.verifying import SignaturesAhead
from node.engine.joining import Joiner
from node.engine.loop import Engine
from node.engine.replica import Replica
from node.engine.submitter import Submitter
from node.engine.sync import SnapshotSync, Terms, is_sync_request
from node.engine.training import EgressPolicy, TrainingEngine
from node.engine.transfer import Parts, TransferEngine, is_transfer_request
from node.ledger.contracts import access, agreements, membership, replicas, sharing
from node.ledger.genesis import genesis_writes
from node.ledger.signers import key_in_force
from node.ledger.system import nonce_window

log = structlog.get_logger()

CONTRACTS_FOLLOWED = frozenset((access.NAME, agreements.NAME, membership.NAME, replicas.NAME, sharing.NAME))
"""What changes in their parts of the state may begin or end a transfer; what time changes, transfers look at anyway."""

OnBroke = Callable[[OrgId, str], None]
"""(peer, reason): the peer's stream ended because it broke the protocol."""


class RunningTransport(Transport, Linked, Renewable, Protocol):
    """A transport with a beginning and an end, that tells how its links are."""

    async def start(self) -> None:
        """Listen and begin to dial."""
        ...

    def recheck(self) -> None:
        """Members, certificates or addresses changed: cut, begin and trust accordingly, open streams too."""
        ...

    async def close(self) -> None:
        """Cut every link; returns when nothing of it is left."""
        ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a transport is connected to inside the member."""

    members: LedgerMembers
    on_message: OnMessage
    on_link: OnLink
    bulk_server: BulkServer
    on_broke: OnBroke


MakeTransport = Callable[[Wiring], RunningTransport]


class MemberNode:
    """One member: opened, running, closed. Every part that was opened is closed, in the opposite order."""

    engine: Engine
    backend: Backend
    training: TrainingEngine
    transport: RunningTransport
    store: SqliteStore
    submitter: Submitter
    duties: Duties
    joiner: Joiner
    renewal: Renewal
    reception: Reception
    sync: SnapshotSync
    transfers: TransferEngine

    def __init__(
        self,
        folder: Folder,
        org: OrgId,
        keys: MemberKeys,
        genesis: Genesis,
        make_transport: MakeTransport,
        egress: EgressPolicy,
        snapshots: Terms,
        replica_bytes: int,
        cel_version: str,
        clock: Clock,
    ) -> None:
        """`replica_bytes` is what it keeps of others' data sets at most; `cel_version` is the installed one."""
        self.org = org
        self.chain = chain_id(genesis.body)
        self._folder = folder
        self._keys = keys
        self._genesis = genesis
        self._make_transport = make_transport
        self._egress = egress
        self._snapshots = snapshots
        self._replica_bytes = replica_bytes
        self._cel_version = cel_version
        self._clock = clock
        self._unfit: str | None = None
        self._log = log.bind(org=org)
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Open the disk, assemble, begin to listen. Raises `OSError`, and closes what was opened."""
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise

    async def run(self) -> None:
        """Take inputs and train until cancelled. Raises `OSError` when the disk refuses."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.engine.run())
            group.create_task(self.training.run())
            group.create_task(self.duties.run())
            group.create_task(self.joiner.run())
            group.create_task(self.sync.run())
            group.create_task(self.transfers.run())

    async def close(self) -> None:
        """Close everything, the disk last."""
        await self._stack.aclose()

    async def _open(self) -> None:
        for place in (self._folder.models, self._folder.inputs, self._folder.approvals):
            make_private_folder(place)
        vote_log = FileVoteLog.open(self._folder.votes, self.chain)
        self._stack.push_async_callback(vote_log.close)
        self.store = await SqliteStore.open(self._folder.ledger, self.chain, genesis_writes(self._genesis))
        self._stack.push_async_callback(self.store.close)
        self._assemble(vote_log)
        await self.renewal.keep_card()
        self.renewal.warn()
        self._say_if_unfit()
        await self.transport.start()
        self._stack.push_async_callback(self.transport.close)

    def _assemble(self, vote_log: FileVoteLog) -> None:
        clock, entropy = self._clock, SystemEntropy()
        members = LedgerMembers(self.store.state, kept_peers(self._folder.root))
        replica = Replica(
            org=self.org,
            genesis=self._genesis,
            keyring=self._keys,
            verify=verify,
            state=self.store.state,
            chain=self.store.chain,
            vote_log=vote_log.entries(),
            silence=vote_log.silence,
            nonce=Digest(entropy.bytes(32)),
            halt_at=read_halt(self._folder.halt),
            cel_version=self._cel_version,
        )
        self.transport = self._make_transport(
            Wiring(
                members,
                on_message=lambda peer, message: self.engine.peer_sent(peer, message),
                on_link=self._link_changed,
                bulk_server=self._serve,
                on_broke=lambda peer, reason: self.engine.peer_broke(peer, reason),
            )
        )
        ahead = SignaturesAhead(
            self.chain, replica.found_good, log=lambda text: self._log.warning("catching up", note=text)
        )
        self._stack.push_async_callback(ahead.close)
        self.engine = Engine(
            replica,
            self.store,
            vote_log,
            self.transport,
            clock,
            on_fetched=ahead.look,
            on_commit=self._committed,
            on_heard=lambda peer, heard: self.training.on_heard(peer, heard),
            on_fault=lambda peer, reason: self._log.warning("peer fault", peer=peer, reason=reason),
            on_cut=lambda cut: self._log.warning("peer cut off", peer=cut.peer, seconds=cut.seconds, reason=cut.reason),
            on_evidence=self._caught,
        )
        self.submitter = Submitter(
            self.org,
            self.chain,
            replica.keyring,
            clock,
            key_in_force=lambda: key_in_force(replica.state, self.org),
            highest_nonce=lambda: nonce_window(replica.state, self.org).highest,
            hand_in=self.engine.submit,
        )
        self.duties = Duties(
            self.org,
            self.store.state,
            clock,
            self.submitter.submit,
            silence=lambda: replica.silence,
            log=lambda text: self._log.warning("duty", note=text),
        )
        self.duties.look()
        self.joiner = Joiner(
            self.org,
            self.store.state,
            head=lambda: (self.engine.replica.height, self.engine.replica.state_root),
            is_behind=lambda: not self.engine.replica.tips or self._is_behind(),
            submit=self.submitter.submit,
            log=lambda text: self._log.info("joining", note=text),
        )
        self._members, self._epoch = members, members.epoch
        self._assemble_sync(clock)
        self._assemble_transfers(clock, members)
        self._assemble_training(clock, entropy, members)

    def _assemble_sync(self, clock: Clock) -> None:
        shelf = SnapshotFiles(self._folder.snapshots)

        def make(cancelled: Callable[[], bool]) -> Callable[[], Height | None]:
            return partial(shelf.make, SqliteReader(self._folder.ledger, frozen=True), cancelled)

        self.sync = SnapshotSync(
            genesis=self._genesis,
            verify=verify,
            engine=self.engine,
            transport=self.transport,
            shelf=shelf,
            make=make,
            prune=self.store.prune,
            clock=clock,
            terms=self._snapshots,
            log=lambda text: self._log.info("snapshot", note=text),
            on_fault=self.engine.blame,
        )

    def _assemble_transfers(self, clock: Clock, members: LedgerMembers) -> None:
        self.transfers = TransferEngine(
            Parts(
                org=self.org,
                chain=self.chain,
                state=self.engine.replica.state,
                clock=clock,
                transport=self.transport,
                folder=self._folder.vault,
                write=write_private,
                vault=self._vault,
                data_key_of=members.data_key,
                data_private_keys=lambda: self._keys.data,
                submit=self.submitter.submit,
                log=lambda text: self._log.info("transfer", note=text),
                on_fault=self.engine.blame,
                replica_bytes=self._replica_bytes,
            )
        )

    def _serve(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """What peers ask on the bulk connection, by whom it concerns."""
        if is_sync_request(request):
            return self.sync.serve(peer, request)
        if is_transfer_request(request):
            return self.transfers.serve(peer, request)
        return self.training.serve(peer, request)

    def _assemble_training(self, clock: Clock, entropy: SystemEntropy, members: LedgerMembers) -> None:
        learner, sealer = ProcessLearner(self.org), FileSealer(*self._keys.data)
        rows = ApprovedRows(self.org, self._folder, self.store.state, clock, self._vault)
        self._stack.push_async_callback(rows.close)
        self._stack.push_async_callback(learner.close_all)
        self.training = TrainingEngine(
            org=self.org,
            learner=learner,
            transport=self.transport,
            state=self.store.state,
            clock=clock,
            entropy=entropy,
            submit=self.submitter.submit,
            rows=rows,
            sealer=sealer,
            data_key_of=members.data_key,
            data_private_keys=lambda: self._keys.data,
            models=self._folder.models,
            inputs=self._folder.inputs,
            log=lambda text: self._log.info("training", note=text),
            behind=self._is_behind,
            egress=self._egress,
        )
        self.renewal = Renewal(
            self.org,
            self._folder.root,
            self._folder.card,
            Holders(self._keys, sealer, [self.transport]),
            self.store.state,
            submit=lambda contract, method, payload, wait_s: self.backend.submit(contract, method, payload, wait_s),
        )
        self._stack.push_async_callback(self.renewal.close)
        self.reception = Reception(Applicants(self._folder.applicants), self.store.state, self.renewal.pass_on)
        standing = Standing(
            self.org,
            self._genesis.body.name,
            self.chain,
            self._keys,
            engine=self.engine,
            transport=self.transport,
            training=self.training,
            members=members.orgs,
            warnings=self.renewal.warnings,
        )
        self.backend = Backend(
            self._folder,
            standing,
            org=self.org,
            engine=self.engine,
            store=self.store,
            submitter=self.submitter,
            approvals=Approvals(self.org, self._folder, self.store.state, learner, rows, self._vault, entropy),
            training=self.training,
            transfers=self.transfers,
            duties=self.duties,
            renewal=self.renewal,
        )

    def _link_changed(self, peer: OrgId, up: bool) -> None:
        self.engine.link_changed(peer, up)

    def _caught(self, first: Statement, second: Statement) -> None:
        self._log.warning("contradiction", org=first.org, kind=first.kind.name, height=first.height, round=first.round)
        self.duties.report(first, second)

    def _say_if_unfit(self) -> None:
        unfit = self.engine.replica.why_unfit
        if unfit is not None and unfit != self._unfit:
            self._log.error("does not vote", reason=unfit)
        self._unfit = unfit

    def _committed(self, height: Height, changed: frozenset[str] | None) -> None:
        self._log.debug("block", height=height)
        self.backend.committed(height)
        if changed is None or membership.NAME in changed:
            self._recheck()
            self.joiner.standing_changed()
        self.joiner.look()
        self.renewal.committed()
        self._say_if_unfit()
        self.duties.look()
        self.training.on_block(changed)
        self.sync.committed(height)
        if changed is None or not CONTRACTS_FOLLOWED.isdisjoint(changed):
            self.transfers.on_block()

    def _recheck(self) -> None:
        if (epoch := self._members.epoch) != self._epoch:
            self._epoch = epoch
            self.transport.recheck()

    def _is_behind(self) -> bool:
        replica = self.engine.replica
        return any(tip.height > replica.height + 1 for tip in replica.tips.values())

    def _vault(self) -> Vault:
        """With the data keys of now."""
        return vault_of(self._folder, self.org, [key for key in self._keys.held if key.name is KeyName.DATA])
