"""One member far behind takes a snapshot from peers of whom some lie, vanish or are silent, and crashes on the way.

The production's machine decides, the production's checks of heads and chunks judge, in virtual time from one seed. A
liar's snapshot may be consistent in itself: a true path with the parts and chunks of another state. What must hold: the
true state is installed in the end, only liars are blamed, and who lied is asked for nothing more.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from node.base.codec import decode, encode
from node.base.crypto import digest
from node.base.types import Digest, Height, Instant, OrgId, Tip
from node.core import sync
from node.core.sync import Offer
from node.ledger import system
from node.ledger.contracts.sharing import Register
from node.ledger.errors import Untrusted
from node.ledger.light import build_path
from node.ledger.memory import MemoryState
from node.ledger.snapshot import (
    Chunk,
    SnapshotHead,
    all_writes,
    chunk_writes,
    decode_head,
    encode_chunk,
    parts_digest,
    verify_head,
)
from node.ledger.tree import state_root, updated
from node.testing.founding import Founding, MemoryChain
from node.testing.simulation import coverage
from node.testing.simulation.checkers import require
from node.testing.simulation.coverage import Coverage
from node.testing.simulation.disk import Disk
from node.testing.snapshots import cut

HEIGHTS = (Height(4), Height(8))
"""Of the snapshots."""
BEHIND_MAX = 2
CHUNK_BYTES = 700
"""A small state has some ten parts."""
VIRTUAL_MS_MAX = 900_000
STANDING_MS = 1_000
DELAY_MS = (5, 3_000)
ORGS = ("ada", "bob", "cid", "dot", "eve", "fay")
LIES = ("offer", "head", "chunk", "chunk", "state", "state", "garbage")


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a peer would serve."""

    head: bytes
    chunks: tuple[bytes, ...]

    @property
    def offer(self) -> Offer:
        """How it is offered."""
        found = decode_head(self.head)
        return Offer(found.height, parts_digest(found.parts))


@dataclass(frozen=True, slots=True)
class _World:
    """A chain with its snapshots, and the same with another state."""

    founding: Founding
    true: dict[Height, _Snapshot]
    false: dict[Height, _Snapshot]


@lru_cache(maxsize=1)
def _world() -> _World:
    chain = MemoryChain(Founding(ORGS))
    disk = Disk(chain.founding.genesis)
    true, false = {}, {}
    for height in range(1, HEIGHTS[-1] + 1):
        payload = Register(f"d{height}", Digest(digest("simulated", bytes((height,)))))
        chain.extend(chain.founding.transaction("ada", height, "sharing", "register", payload))
        executed = chain.executed[-1]
        disk.commit(chain.certified[-1], executed.receipts, executed.writes, durable=True)
        if height in HEIGHTS:
            values = dict(chain.state.values)
            true[Height(height)] = _snapshot(chain, disk, values)
            false[Height(height)] = _snapshot(chain, disk, {**values, max(values): b"a liar's"})
    return _World(chain.founding, true, false)


def _snapshot(chain: MemoryChain, disk: Disk, values: dict[bytes, bytes]) -> _Snapshot:
    parts, chunks = cut(values, CHUNK_BYTES)
    height = Height(chain.height)
    path = build_path(system.set_history(disk.state), disk.certified_header, height)
    head = SnapshotHead(path, chain.certified[-1], chain.executed[-1].receipts, parts)
    return _Snapshot(encode(head), chunks)


class _Peer:
    """One that is asked."""

    def __init__(self, chance: Random, lie: str | None, *, steady: bool) -> None:
        world = _world()
        self.lie = lie
        self._chance = chance
        self._drops = 0.0 if steady else chance.choice((0.0, 0.2, 0.6))
        heights = HEIGHTS if steady else tuple(chance.sample(HEIGHTS, chance.randint(1, len(HEIGHTS))))
        self._kept = {height: (world.false if lie == "state" else world.true)[height] for height in heights}
        self.away_ms = (0, 0) if steady else (chance.randint(0, 20_000), chance.randint(0, 40_000))
        """From when until when it is not linked."""

    def drops(self) -> bool:
        """Whether this answer does not come."""
        return self._chance.random() < self._drops

    def offers(self) -> tuple[Offer, ...]:
        """What it says it has."""
        found = tuple(snapshot.offer for snapshot in self._kept.values())
        if self.lie != "offer":
            return found
        high = Height(self._chance.choice((HEIGHTS[-1], 2**62)))
        return (Offer(high, Digest(self._chance.randbytes(32))), *found)

    def head(self, offer: Offer) -> bytes:
        """The head, or what it says is one."""
        snapshot = self._kept.get(offer.height)
        if snapshot is None or self.lie == "garbage":
            return self._chance.randbytes(200)
        if self.lie == "head":
            head = decode_head(snapshot.head)
            return encode(replace(head, parts=head.parts[1:]))
        return snapshot.head

    def chunk(self, offer: Offer, index: int) -> bytes:
        """A chunk, or what it says is one."""
        chunks = self._kept[offer.height].chunks if offer.height in self._kept else (b"",)
        if self.lie == "chunk":
            entries = [(entry.key, entry.value) for entry in decode(Chunk, chunks[index % len(chunks)]).entries]
            changed = encode_chunk([(key, b"a liar's " + value) for key, value in entries])
            return self._chance.choice((changed, chunks[(index + 1) % len(chunks)], chunks[index % len(chunks)][:-1]))
        return chunks[index % len(chunks)]


class _Taker:
    """The member that is behind, from start to start."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(f"snapshots {seed}")
        self.coverage = Coverage()
        self.time_ms = 0
        names = [OrgId(org) for org in ORGS[1:]]
        steady = self.chance.choice(names)
        liars = set(self.chance.sample([org for org in names if org != steady], self.chance.randint(0, len(names) - 1)))
        # Liars that say the same are believed before one that says the truth, until they are found out.
        kinds = LIES if self.chance.random() < 0.5 else (self.chance.choice(LIES),)
        self.peers = {
            org: _Peer(self.chance, self.chance.choice(kinds) if org in liars else None, steady=org == steady)
            for org in names
        }
        self.state: MemoryState | None = None
        self._installed = Height(0)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._lied: set[OrgId] = set()
        self._head: SnapshotHead | None = None
        self._kept: dict[int, bytes] = {}
        self._start(None)

    def run(self) -> None:
        """Until a state is installed. Raises `Broken`."""
        for _ in range(self.chance.choice((0, 1, 2, 4))):
            self._at(self.chance.randint(10, 15_000), self._crash)
        self._stand()
        while self.state is None:
            require(self.time_ms < VIRTUAL_MS_MAX, f"no snapshot in {VIRTUAL_MS_MAX} ms, and one peer has it for good")
            self.time_ms, _, action = heapq.heappop(self._queue)
            action()
        true = decode_head(_world().true[self._installed].head).certified.block.header.state_root
        # Hashed from nothing: the nodes came from the same peers.
        root = updated(MemoryState(), self.state.values.items()).root
        require(root == true == state_root(self.state), "a false state is installed")

    def _start(self, begun: Offer | None) -> None:
        self._machine = sync.Sync(behind_max=BEHIND_MAX, begun=begun)
        self._lied.clear()

    def _crash(self) -> None:
        """What is on disk is gone on with."""
        if self._head is not None and self._kept:
            self.coverage.note(coverage.SNAPSHOT_RESUMED)
        self._start(None if self._head is None else Offer(self._head.height, parts_digest(self._head.parts)))

    def _at(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (self.time_ms + delay_ms, self._sequence, action))

    def _stand(self) -> None:
        tips = {
            org: Tip(HEIGHTS[-1], Digest(bytes(32)), Height(1))
            for org, peer in self.peers.items()
            if not peer.away_ms[0] <= self.time_ms < peer.away_ms[1]
        }
        self._give(self._machine, sync.Standing(Height(0), tips))
        if self._machine.wake_at is not None and self._machine.wake_at <= self.time_ms:
            self._give(self._machine, sync.Tick())
        self._at(STANDING_MS, self._stand)

    def _give(self, machine: sync.Sync, item: sync.Input) -> None:
        """An answer to a machine that died since is lost."""
        if machine is not self._machine:
            return
        for effect in machine.step(item, now=Instant(self.time_ms, self.time_ms)):
            self._perform(machine, effect)

    def _perform(self, machine: sync.Sync, effect: sync.Effect) -> None:
        match effect:
            case sync.Ask(peer):
                self._answer(machine, peer, lambda: sync.Offered(peer, self.peers[peer].offers()), None)
            case sync.Open(peer, offer):
                self._answer(machine, peer, lambda: self._opened(peer, offer), None)
            case sync.Fetch(peer, offer, index):
                self._answer(machine, peer, lambda: self._stored(peer, offer, index), index)
            case sync.Install():
                self._at(1, lambda: self._give(machine, self._install()))
            case sync.Discard():
                self._head = None
                self._kept.clear()
                self._lied.clear()
            case sync.PeerFault(peer):
                require(self.peers[peer].lie is not None, f"{peer} is blamed and told the truth")
                self.coverage.note(coverage.SNAPSHOT_LIAR)
            case sync.Hold():
                pass

    def _answer(self, machine: sync.Sync, peer: OrgId, answer: Callable[[], sync.Input], index: int | None) -> None:
        require(peer not in self._lied, f"{peer} lied about this snapshot, and is asked again")

        def come() -> None:
            if machine is not self._machine:
                return
            if self.peers[peer].drops():
                self._give(machine, sync.Failed(peer, "it went away", is_fault=False, index=index))
                return
            try:
                said = answer()
            except Untrusted as error:
                self._lied.add(peer)
                said = sync.Failed(peer, str(error), is_fault=True, index=index)
            self._give(machine, said)

        self._at(self.chance.randint(*DELAY_MS), come)

    def _opened(self, peer: OrgId, offer: Offer) -> sync.Input:
        """As `engine.sync` checks it."""
        head = decode_head(self.peers[peer].head(offer))
        verify_head(_world().founding.genesis, head, _world().founding.verify)
        if (head.height, parts_digest(head.parts)) != (offer.height, offer.head):
            raise Untrusted("it is not the snapshot that was offered")
        if self._head is None or self._head.parts != head.parts:
            self._kept.clear()
        self._head = head
        return sync.Opened(peer, tuple(index for index in range(len(head.parts)) if index not in self._kept))

    def _stored(self, peer: OrgId, offer: Offer, index: int) -> sync.Input:
        assert self._head is not None, "it is open"
        chunk = self.peers[peer].chunk(offer, index)
        chunk_writes(self._head.parts[index], chunk)
        self._kept[index] = chunk
        return sync.Stored(peer, index)

    def _install(self) -> sync.Input:
        assert self._head is not None, "it is open"
        state = MemoryState()
        for writes in all_writes(self._head.parts, (self._kept[index] for index in sorted(self._kept))):
            state.apply(writes)
        self.state, self._installed = state, self._head.height
        return sync.Installed(None)


def run_snapshots(seed: int) -> Coverage:
    """One run; what it came to. Raises `Broken`."""
    taker = _Taker(seed)
    taker.run()
    return taker.coverage
