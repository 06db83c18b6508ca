"""A member's whole engine on a recorded disk, and what must be true of its folder after any crash.

Four members with the production's engine, replica, store, vote log and snapshots agree over a network in memory; of one
of them, everything that it writes is recorded. It restarts, falls behind and catches up by blocks, or so far that it
takes a snapshot. What it sent to others and what its store acknowledged goes into the journal: after a crash at any
moment nothing acknowledged is lost, whatever was signed and sent is known again, and the restarted replica signs
nothing else in its place.

The members run in real time, so a life cannot be had twice; its crashes follow from the seed.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from node.base.codec import decode
from node.base.ports import NewBase, Writes
from node.base.types import (
    CertifiedBlock,
    Digest,
    Height,
    OrgId,
    PeerMessage,
    Proposal,
    Receipt,
    RoundChange,
    Transaction,
    Vote,
)
from node.edge.storage import FileVoteLog, SnapshotFiles, SqliteReader, SqliteStore
from node.edge.telemetry import SystemClock
from node.engine.loop import Engine
from node.engine.replica import Replica
from node.engine.sync import SnapshotSync, Terms
from node.ledger.contracts.sharing import Register
from node.ledger.genesis import genesis_writes
from node.testing.founding import Founding
from node.testing.network import MemoryNetwork, MemoryTransport
from node.testing.power.facts import Acknowledged, Begun, Kept, Sent, Signed
from node.testing.power.journal import Journal, Rename
from node.testing.power.recorder import RecordingFiles
from node.testing.signing import HeldSigners

LEDGER, VOTES, SNAPSHOTS = "ledger.sqlite", "votes.log", "snapshots"
TERMS = Terms(every=5, behind_max=8)
OTHERS_TERMS = Terms(every=5, behind_max=8, keep=8)
"""They keep so little that who is far behind must take a snapshot: blocks are often faster."""
AWAY_BLOCKS = (2, 20)
"""How far it falls behind: some to be caught up by blocks, more by a snapshot."""
POLL_S = 0.005
WAIT_S = 60.0
NONCE = Digest(bytes(32))


class NotedStore:
    """The production's store; what it acknowledges is noted."""

    def __init__(self, inner: SqliteStore, journal: Journal, digests: dict[int, Digest]) -> None:
        """`digests` take in that of every block by its height."""
        self.inner = inner
        self._journal = journal
        self._digests = digests
        self.state, self.chain = inner.state, inner.chain

    async def commit(
        self, certified: CertifiedBlock, receipts: Sequence[Receipt], writes: Writes, *, durable: bool
    ) -> None:
        """See `Store`."""
        height = certified.block.header.height
        self._journal.mark(Begun(height))
        self._digests[height] = certified.block.digest
        await self.inner.commit(certified, receipts, writes, durable=durable)
        if durable:
            self._journal.mark(Acknowledged(height))

    async def sync(self) -> None:
        """See `Store`."""
        height = self.inner.chain.height()
        await self.inner.sync()
        self._journal.mark(Acknowledged(height))

    async def replace(self, base: NewBase) -> None:
        """See `Store`."""
        height = base.certified.block.header.height
        self._journal.mark(Begun(height))
        await self.inner.replace(base)
        self._journal.mark(Acknowledged(height))


class NotedShelf(SnapshotFiles):
    """The production's snapshots; the chunks that it keeps are noted."""

    def __init__(self, root: Path, journal: Journal) -> None:
        super().__init__(root, RecordingFiles(journal))
        self._journal = journal

    def add_incoming(self, index: int, chunk: bytes) -> None:
        """See `SnapshotFiles`."""
        super().add_incoming(index, chunk)
        self._journal.mark(Kept(index))

    def keep_incoming(self, height: Height) -> None:
        """See `SnapshotFiles`."""
        self._journal.mark(Kept(None))
        super().keep_incoming(height)

    def drop_incoming(self) -> None:
        """See `SnapshotFiles`."""
        self._journal.mark(Kept(None))
        super().drop_incoming()


class EngineMember:
    """One member in its folder; what it does to the disk and what it sends goes into its journal."""

    def __init__(
        self, org: OrgId, founding: Founding, network: MemoryNetwork, folder: Path, journal: Journal, terms: Terms
    ) -> None:
        self.org = org
        self._terms = terms
        self.digests: dict[int, Digest] = {}
        """Of every block that it committed, by height."""
        self.folder = folder
        self.journal = journal
        self._founding = founding
        self._network = network
        self._stack = contextlib.AsyncExitStack()
        self._work: asyncio.Task[None] | None = None
        self.engine: Engine
        self._sync: SnapshotSync

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self._work is not None

    @property
    def height(self) -> int:
        """Of the last block that it committed."""
        return self.engine.replica.height

    async def start(self) -> None:
        """Open what is on disk, made where there is nothing, link, and go on. Raises `StoreError`."""
        founding, files, path = self._founding, RecordingFiles(self.journal), self.folder / VOTES
        if not path.exists():
            FileVoteLog.create(path, founding.chain, files)
        log = FileVoteLog.open(path, founding.chain, files)
        self._stack.push_async_callback(log.close)
        inner = await SqliteStore.open(self.folder / LEDGER, founding.chain, genesis_writes(founding.genesis))
        self._stack.push_async_callback(inner.close)
        store, shelf = NotedStore(inner, self.journal, self.digests), NotedShelf(self.folder / SNAPSHOTS, self.journal)
        self.journal.mark(Acknowledged(0))
        replica = restarted(founding, self.org, inner.chain, log)
        transport = self._network.join(
            self.org,
            lambda peer, message: self.engine.peer_sent(peer, message),
            lambda peer, up: self.engine.link_changed(peer, up),
            lambda peer, request: self._sync.serve(peer, request),
        )
        clock, noted = SystemClock(), NotedTransport(transport, self.org, self.journal)
        self.engine = Engine(
            replica,
            store,
            log,
            noted,
            clock,
            on_fetched=lambda message, members: None,
            on_commit=lambda height, changed: self._sync.committed(height),
            on_heard=lambda peer, heard: None,
            on_fault=_broken,
            on_cut=lambda cut: _broken(cut.peer, cut.reason),
            on_evidence=lambda first, second: _broken(first.org, "signed twice"),
        )
        self._sync = SnapshotSync(
            genesis=founding.genesis,
            verify=founding.verify,
            engine=self.engine,
            transport=noted,
            shelf=shelf,
            make=partial(self._make, shelf),
            prune=inner.prune,
            clock=clock,
            terms=self._terms,
            log=lambda text: None,
            on_fault=_broken,
        )
        self._work = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End at once, and close the files."""
        work, self._work = self._work, None
        assert work is not None, "started"
        self._network.take_down(self.org)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await self._stack.aclose()

    def raise_if_ended(self) -> None:
        """Raises what ended its work."""
        if self._work is not None and self._work.done():
            self._work.result()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.engine.run())
            group.create_task(self._sync.run())

    def _make(self, shelf: SnapshotFiles, cancelled: Callable[[], bool]) -> Callable[[], Height | None]:
        return partial(shelf.make, SqliteReader(self.folder / LEDGER, frozen=True), cancelled)


class NotedTransport:
    """A member's end of the network; what it signed is noted before it leaves."""

    def __init__(self, inner: MemoryTransport, org: OrgId, journal: Journal) -> None:
        self._inner = inner
        self._org = org
        self._journal = journal

    def send(self, peer: OrgId, message: bytes) -> None:
        """See `Transport`."""
        signed = signed_by(self._org, message)
        if signed is not None:
            self._journal.mark(Sent(signed))
        self._inner.send(peer, message)

    def fetch(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """See `Transport`."""
        return self._inner.fetch(peer, request)

    def connected(self) -> frozenset[OrgId]:
        """See `Transport`."""
        return self._inner.connected()

    def cut(self, peer: OrgId, seconds: float, reason: str) -> None:
        """See `Transport`."""
        self._inner.cut(peer, seconds, reason)


class EngineLife:
    """The members of one network; the first one's folder is `folder`, the others' lie below `beside`."""

    def __init__(self, folder: Path, beside: Path, journal: Journal, chance: random.Random) -> None:
        self.founding = Founding()
        network = MemoryNetwork()
        first, *others = self.founding.node_signers
        self.recorded = EngineMember(first, self.founding, network, folder, journal, TERMS)
        self.others = [
            EngineMember(org, self.founding, network, beside / org, Journal(), OTHERS_TERMS) for org in others
        ]
        self._chance = chance
        self._nonce = 0

    async def live(self, turns: int) -> dict[int, Digest]:
        """So many turns of agreeing, restarting and being away; the digests of the chain's blocks. Raises `OSError`."""
        members = [self.recorded, *self.others]
        for member in self.others:
            member.folder.mkdir(parents=True)
        try:
            for member in members:
                await member.start()
            await self._finished("making", lambda: self._agree(self.recorded))
            await self._finished("incoming", lambda: self._be_away(AWAY_BLOCKS[1]))
            for _ in range(turns):
                await self._agree(self.recorded)
                match self._chance.choice(("agree", "restart", "away")):
                    case "agree":
                        await self._agree(self.recorded)
                    case "restart":
                        await self.recorded.stop()
                        await self.recorded.start()
                    case "away":
                        await self._be_away(self._chance.randint(*AWAY_BLOCKS))
            await self._caught_up()
            blocks = self._digests(members)
        finally:
            for member in members:
                if member.is_up:
                    await member.stop()
        return blocks

    async def _agree(self, at: EngineMember) -> None:
        """A few transactions handed in at a member, and the blocks that they come to."""
        transactions = tuple(self._transaction(at.org) for _ in range(self._chance.choice((1, 3, 20))))
        await self._until(lambda: len(at.engine.replica.tips) >= len(self.others) - 1)
        await at.engine.submit(transactions)
        async with asyncio.timeout(WAIT_S):
            for transaction in transactions:
                await at.engine.final(transaction.id)

    async def _be_away(self, blocks: int) -> None:
        await self.recorded.stop()
        goal = self.others[0].height + blocks
        while self.others[0].height < goal:
            await self._agree(self.others[0])
        await self.recorded.start()
        await self._caught_up()

    async def _caught_up(self) -> None:
        await self._until(lambda: self.recorded.height >= self.others[0].height)

    async def _finished(self, folder: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do this until a snapshot that lay in the folder is whole: every life has both kinds."""
        path = str(self.recorded.folder / SNAPSHOTS / folder)
        async with asyncio.timeout(WAIT_S):
            while not any(isinstance(event, Rename) and event.path == path for event in self.recorded.journal.events):
                await work()

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                for member in (self.recorded, *self.others):
                    member.raise_if_ended()
                await asyncio.sleep(POLL_S)

    def _digests(self, members: Sequence[EngineMember]) -> dict[int, Digest]:
        """Of every block that any member has committed; all have the same, and on disk above their base."""
        found: dict[int, Digest] = {}
        for member in members:
            # Those that were pruned are on no disk any more.
            for height, digest in member.digests.items():
                assert found.setdefault(height, digest) == digest, f"two blocks of height {height}"
            with contextlib.closing(SqliteReader(member.folder / LEDGER, frozen=True)) as reader:
                for height in range(reader.base(), reader.height() + 1):
                    certified = reader.block(Height(height))
                    assert certified is not None, "no height is missing below the head"
                    digest = found.setdefault(height, certified.block.digest)
                    assert digest == certified.block.digest, f"two blocks of height {height}"
        return found

    def _transaction(self, org: OrgId) -> Transaction:
        self._nonce += 1
        payload = Register(f"d{self._nonce}", Digest(bytes(32)))
        return self.founding.transaction(org, self._nonce, "sharing", "register", payload)


def restarted(founding: Founding, org: OrgId, chain: SqliteReader, log: FileVoteLog) -> Replica:
    """The replica of a member that starts from this ledger and vote log."""
    return Replica(
        org=org,
        genesis=founding.genesis,
        keyring=HeldSigners((founding.node_signers[org],)),
        verify=founding.verify,
        state=chain,
        chain=chain,
        vote_log=log.entries(),
        silence=log.silence,
        nonce=NONCE,
        halt_at=None,
    )


def signed_by(org: OrgId, message: bytes) -> Signed | None:
    """What of the member's agreement the message is; None for everything that cannot contradict itself."""
    match decode(cast("type[PeerMessage]", PeerMessage), message):
        case Vote() as found if found.org == org:
            return Signed(found.height, found.round, found.kind.name, message)
        case Proposal() as found if found.org == org:
            return Signed(found.header.height, found.round, found.prepare.kind.name, message)
        case RoundChange() as found if found.org == org:
            return Signed(found.height, found.round, "ROUND_CHANGE", message)
        case _:
            return None


def _broken(peer: OrgId, reason: str) -> None:
    raise AssertionError(f"{peer} is blamed, and all are honest: {reason}")
