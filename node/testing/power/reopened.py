"""Starts a member with an engine from what a crash left, and holds it against what it was told and told others."""

from pathlib import Path

from node.base.types import Digest, Height, Instant, OrgId
from node.edge.storage import FileVoteLog, SnapshotFiles, SqliteStore
from node.engine.replica import CommitBlock, Effect, LinkChanged, Replica, Send, Started, Tick
from node.ledger.genesis import genesis_writes
from node.ledger.proofs import verify_chain
from node.ledger.snapshot import all_writes, chunk_writes, decode_head, verify_head
from node.ledger.tree import state_root
from node.testing.founding import Founding
from node.testing.power.engine import LEDGER, SNAPSHOTS, VOTES, restarted, signed_by
from node.testing.power.facts import EngineFacts

TICKS = 6
"""Enough for the first rounds' time-outs, so that the restarted member signs round changes."""
START_WALL_MS = 1 << 41


async def check_folder(
    folder: Path, founding: Founding, org: OrgId, blocks: dict[int, Digest], facts: EngineFacts, *, wholly: bool
) -> int:
    """The ledger's height. `wholly` executes or checks the whole chain again.

    Raises `AssertionError` where a promise is broken, `StoreError`, `ChainBroken` or `Untrusted` where something is
    damaged.
    """
    async with await SqliteStore.open(folder / LEDGER, founding.chain, genesis_writes(founding.genesis)) as store:
        height = store.chain.height()
        assert height >= facts.durable, f"block {facts.durable} was acknowledged, the ledger ends at {height}"
        assert height <= facts.begun, f"the ledger has block {height}, only {facts.begun} were ever begun"
        if height > 0:
            head = store.chain.block(height)
            assert head is not None, f"the ledger ends at {height} without that block"
            assert head.block.digest == blocks[height], f"block {height} is not the network's"
            assert state_root(store.state) == head.block.header.state_root, f"not the state after block {height}"
        if wholly:
            verify_chain(founding.genesis, store.chain, founding.verify)
        await _check_votes(folder, founding, org, store, facts)
    _check_snapshots(SnapshotFiles(folder / SNAPSHOTS), founding, facts)
    return height


async def _check_votes(folder: Path, founding: Founding, org: OrgId, store: SqliteStore, facts: EngineFacts) -> None:
    """What was sent for a height that is not final is known, and nothing else is signed in its place."""
    height = Height(store.chain.height() + 1)
    sent = {key: message for key, message in facts.sent.items() if key[0] >= height}
    assert all(key[0] == height for key in sent), f"it voted for {max(sent)[0]} above a ledger of {height - 1}"
    log = FileVoteLog.open(folder / VOTES, founding.chain)
    try:
        silence = log.silence
        if silence is None:
            assert not facts.sent, "the vote log is gone, and something was sent"
            return
        known = set(log.entries())
        assert silence.until > height or known.issuperset(sent.values()), f"what was sent for {height} is forgotten"
        replica = restarted(founding, org, store.chain, log)
    finally:
        await log.close()
    for effect in _first_steps(replica, founding, org):
        if isinstance(effect, Send):
            again = signed_by(org, effect.message)
            if again is not None:
                before = sent.get((again.height, again.round, again.kind), again.message)
                assert before == again.message, f"it signs another {again.kind} of {again.height}/{again.round}"


def _first_steps(replica: Replica, founding: Founding, org: OrgId) -> list[Effect]:
    """What a restarted member does at once, when all others are linked, and when their silence lasts."""
    now = Instant(0, START_WALL_MS)
    effects = replica.step(Started(), now=now)
    for peer in founding.node_signers:
        if peer != org:
            effects += replica.step(LinkChanged(peer, True), now=now)
    for _ in range(TICKS):
        if replica.wake_at is None or any(isinstance(effect, CommitBlock) for effect in effects):
            break
        now = Instant(max(now.mono_ms, replica.wake_at), START_WALL_MS + replica.wake_at)
        effects += replica.step(Tick(), now=now)
    return effects


def _check_snapshots(shelf: SnapshotFiles, founding: Founding, facts: EngineFacts) -> None:
    """What looks whole is whole, and of one that was being fetched the chunks that were kept are there."""
    for height in shelf.heights():
        data = shelf.head(height)
        assert data is not None, f"the snapshot of {height} has no head"
        head = decode_head(data)
        verify_head(founding.genesis, head, founding.verify)
        chunks = [shelf.chunk(height, index) for index in range(len(head.parts))]
        for _ in all_writes(head.parts, (chunk for chunk in chunks if chunk is not None)):
            pass
    data = shelf.incoming()
    if data is None:
        assert not facts.chunks, "chunks were kept, and their snapshot's head is gone"
        return
    parts = decode_head(data).parts
    found = dict(shelf.incoming_chunks())
    assert facts.chunks <= set(found), f"of the chunks {facts.chunks} that were kept only {set(found)} are there"
    for index in facts.chunks:
        chunk_writes(parts[index], found[index])
