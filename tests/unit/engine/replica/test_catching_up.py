"""A replica that is behind: rows of fetched blocks, what of them is synced when, and agreement meanwhile."""

from node.base.codec import decode, encode
from node.base.types import BlocksRequest, BlocksResponse, CertifiedBlock, Digest, Height, Instant, PeerMessage, Tip
from node.core.gossip.gossip import TIP_INTERVAL_MS
from node.engine.replica import (
    AppendVotes,
    CommitBlock,
    Committed,
    Effect,
    HaltAt,
    LinkChanged,
    PeerFault,
    PeerSent,
    Pruned,
    Rebased,
    Replica,
    Send,
    Started,
    Submitted,
    SyncBlocks,
    Tick,
)
from node.testing.founding import Founding, MemoryChain
from node.testing.signing import HeldSigners
from node.testing.simulation import Disk

NOW = Instant(1_000, 1_100_000)
BLOCKS = 5


class KeptDisk(Disk):
    """Whose oldest blocks may be pruned."""

    lowest = Height(1)

    def base(self) -> Height:
        return self.lowest


class Behind:
    """Member `dot` at height 0; the chain goes on to height 5 without it."""

    def __init__(self) -> None:
        self.chain = MemoryChain(Founding())
        for _ in range(BLOCKS):
            self.chain.extend()
        founding = self.chain.founding
        self.disk = KeptDisk(founding.genesis)
        self.replica = Replica(
            org=founding.members.orgs[-1],
            genesis=founding.genesis,
            keyring=HeldSigners((founding.node_signers[founding.members.orgs[-1]],)),
            verify=founding.verify,
            state=self.disk.state,
            chain=self.disk,
            vote_log=[],
            silence=self.disk.silence,
            nonce=Digest(bytes(32)),
        )
        self.ada = founding.members.orgs[0]
        self.effects: list[Effect] = []
        self.give(Started())
        self.give(LinkChanged(self.ada, True))

    def give(self, *inputs: object) -> list[Effect]:
        """Perform what the inputs lead to, commits included; returns the effects in order."""
        found: list[Effect] = []
        waiting = list(inputs)
        while waiting:
            for effect in self.replica.step(waiting.pop(0), now=NOW):
                found.append(effect)
                if isinstance(effect, CommitBlock):
                    self.disk.commit(effect.certified, effect.receipts, effect.writes, durable=effect.durable)
                    waiting.insert(0, Committed(effect.certified.block.header.height))
                if isinstance(effect, SyncBlocks):
                    self.disk.sync()
                if isinstance(effect, AppendVotes):
                    assert self.disk.is_synced
        return found

    def hear(self, message: object) -> list[Effect]:
        return self.give(PeerSent(self.ada, encode(message, PeerMessage)))

    def hear_tip(self) -> list[Effect]:
        return self.hear(Tip(Height(BLOCKS), self.chain.certified[-1].block.digest))


def commits(effects: list[Effect]) -> list[tuple[int, bool]]:
    return [(e.certified.block.header.height, e.durable) for e in effects if isinstance(e, CommitBlock)]


def test_only_the_last_block_of_a_row_is_synced_and_agreement_starts_after_it():
    behind = Behind()
    asked = behind.hear_tip()
    assert [decode(PeerMessage, e.message) for e in asked if isinstance(e, Send)] == [BlocksRequest(Height(1), BLOCKS)]

    effects = behind.hear(BlocksResponse(Height(1), tuple(behind.chain.certified)))

    assert commits(effects) == [(1, False), (2, False), (3, False), (4, False), (5, True)]
    assert not any(isinstance(effect, SyncBlocks) for effect in effects)
    assert (behind.replica.height, behind.replica.state_root) == (
        BLOCKS,
        behind.chain.certified[-1].block.header.state_root,
    )


def test_a_row_that_turns_false_is_synced_before_anything_is_signed_on_it():
    behind = Behind()
    waiting = behind.chain.founding.transaction(behind.ada, 1, "sharing", "register", b"")
    behind.hear_tip()
    good = behind.chain.certified
    other = behind.chain.founding.certificate(good[0].block.digest, 3)
    row = (*good[:2], CertifiedBlock(good[2].block, other), *good[3:])

    effects = behind.hear(BlocksResponse(Height(1), row))
    later = behind.give(Submitted((waiting,)))

    assert commits(effects) == [(1, False), (2, False)]
    kinds = [type(effect) for effect in effects if isinstance(effect, CommitBlock | SyncBlocks | PeerFault)]
    assert kinds == [CommitBlock, CommitBlock, PeerFault, SyncBlocks]
    assert behind.replica.height == 2
    # Height 3's proposer in round 0 is dot (index 3 of 4): it goes on at once, on a parent that is durable.
    assert any(isinstance(effect, AppendVotes) for effect in later)


def test_in_the_middle_of_a_row_this_member_says_nothing():
    behind = Behind()
    behind.give(Submitted((behind.chain.founding.transaction("dot", 1, "sharing", "register", b""),)))
    behind.hear_tip()

    effects = behind.hear(BlocksResponse(Height(1), tuple(behind.chain.certified)))

    last = max(index for index, effect in enumerate(effects) if isinstance(effect, CommitBlock))
    assert not any(isinstance(effect, AppendVotes) for effect in effects[:last])


def test_who_is_halted_by_what_a_snapshot_brought_signs_nothing_more_at_the_height_that_was_left():
    ahead, behind = Behind(), Behind()
    ahead.hear_tip()
    row = ahead.hear(BlocksResponse(Height(1), tuple(ahead.chain.certified)))
    behind.give(Submitted((behind.chain.founding.transaction(behind.ada, 1, "sharing", "register", b""),)))
    behind.give(HaltAt(Height(3)))
    for effect in row:
        if isinstance(effect, CommitBlock):
            behind.disk.commit(effect.certified, effect.receipts, effect.writes, durable=True)

    behind.give(Rebased())
    later = behind.replica.step(Tick(), now=Instant(NOW.mono_ms + 600_000, NOW.wall_ms + 600_000))

    assert (behind.replica.height, behind.replica.is_halted) == (BLOCKS, True)
    assert not any(isinstance(effect, AppendVotes) for effect in later)


def test_who_has_pruned_says_so_without_another_block():
    behind = Behind()
    behind.hear_tip()
    behind.hear(BlocksResponse(Height(1), tuple(behind.chain.certified)))
    behind.disk.lowest = Height(4)

    behind.give(Pruned())
    later = behind.replica.step(Tick(), now=Instant(NOW.mono_ms + TIP_INTERVAL_MS, NOW.wall_ms + TIP_INTERVAL_MS))

    told = [decode(PeerMessage, effect.message) for effect in later if isinstance(effect, Send)]
    assert [(tip.height, tip.base) for tip in told if isinstance(tip, Tip)] == [(BLOCKS, 4)]
