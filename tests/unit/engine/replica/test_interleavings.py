"""Catch-up, agreement and a round change for one height, merged in every order: the block is applied exactly once.

SmartBFT#484, #570: one block delivered by both; #663: a view change races the synchroniser.
"""

from collections.abc import Iterator
from itertools import combinations

from node.base.codec import decode, encode
from node.base.types import (
    BlocksResponse,
    CertifiedBlock,
    Digest,
    Height,
    Instant,
    OrgId,
    PeerMessage,
    Proposal,
    RoundChange,
    Tip,
    Vote,
)
from node.core.consensus.pen import kind_of
from node.engine.replica import (
    AppendVotes,
    CommitBlock,
    Committed,
    Effect,
    Input,
    LinkChanged,
    PeerSent,
    Replica,
    Send,
    Started,
    Submitted,
    SyncBlocks,
    Tick,
)
from node.ledger.contracts.sharing import Register
from node.testing.signing import HeldSigners
from node.testing.simulation import Disk, Founded, found
from node.testing.simulation.founding import START_MS

FOUNDED = found(4)
*OTHERS, VICTIM = FOUNDED.orgs


class Member:
    """A replica with its disk; what it sends is kept, what it commits is counted."""

    def __init__(self, founded: Founded, org: OrgId) -> None:
        self.disk = Disk(founded.genesis)
        self.sent: list[tuple[OrgId, bytes]] = []
        self.commits: list[CertifiedBlock] = []
        self.signed: dict[object, bytes] = {}
        self.now = Instant(1_000, START_MS + 1_000)
        self.replica = Replica(
            org=org,
            genesis=founded.genesis,
            keyring=HeldSigners((founded.signers[org],)),
            verify=founded.verify,
            state=self.disk.state,
            chain=self.disk,
            vote_log=[],
            silence=self.disk.silence,
            nonce=Digest(bytes(32)),
        )
        self.give(Started())
        for peer in founded.orgs:
            if peer != org:
                self.give(LinkChanged(peer, True))

    def give(self, input: Input) -> None:
        inputs = [input]
        while inputs:
            for effect in self.replica.step(inputs.pop(0), now=self.now):
                inputs.extend(self.perform(effect))

    def perform(self, effect: Effect) -> list[Input]:
        match effect:
            case AppendVotes(height, entries):
                assert self.disk.is_synced
                self.disk.append(height, entries)
                for entry in entries:
                    self.check_signed_once(entry)
            case Send(peer, message):
                self.sent.append((peer, message))
            case SyncBlocks():
                self.disk.sync()
            case CommitBlock():
                self.disk.commit(effect.certified, effect.receipts, effect.writes, durable=effect.durable)
                self.commits.append(effect.certified)
                return [Committed(effect.certified.block.header.height)]
            case _:
                pass
        return []

    def check_signed_once(self, entry: bytes) -> None:
        message = decode(PeerMessage, entry)
        if isinstance(message, Proposal | Vote | RoundChange):
            height = message.header.height if isinstance(message, Proposal) else message.height
            assert self.signed.setdefault((kind_of(message), height, message.round), entry) == entry

    def time_out(self) -> None:
        """Let the round's time-out pass, if one runs."""
        wake_at = self.replica.wake_at
        if wake_at is not None:
            moved_ms = max(0, wake_at - self.now.mono_ms, 1_100)
            self.now = Instant(self.now.mono_ms + moved_ms, self.now.wall_ms + moved_ms)
            self.give(Tick())


def agreed() -> tuple[list[tuple[OrgId, bytes]], CertifiedBlock]:
    """What three members send the fourth while they agree on a block without it, in order; and the block."""
    members = {org: Member(FOUNDED, org) for org in OTHERS}
    author = FOUNDED.orgs[1]
    payload = encode(Register("set", Digest(bytes(32))))
    members[author].give(
        Submitted((FOUNDED.transaction(author, 0, "sharing", "register", payload, START_MS + 10_000_000),))
    )
    to_victim: list[tuple[OrgId, bytes]] = []
    while any(member.sent for member in members.values()):
        for org, member in members.items():
            sent, member.sent = member.sent, []
            for peer, message in sent:
                if peer == VICTIM:
                    to_victim.append((org, message))
                else:
                    members[peer].give(PeerSent(org, message))
    block = members[author].commits[0]
    # Its own tips and other talk aside: the body, the proposal, the votes.
    wanted = ("Transactions", "Proposal", "Vote")
    return [item for item in to_victim if type(decode(PeerMessage, item[1])).__name__ in wanted], block


AGREEMENT, BLOCK = agreed()
"""A body, a proposal, two prepares, three commits."""


def catch_up() -> list[tuple[OrgId, bytes]]:
    ahead = Tip(Height(3), Digest(b"\x03" * 32), Height(1))
    return [(OTHERS[0], encode(said, PeerMessage)) for said in (ahead, BlocksResponse(Height(1), (BLOCK,)))]


def merges(*lengths: int) -> Iterator[tuple[int, ...]]:
    """Every order in which streams of these lengths can be merged, as the index of the stream whose turn it is."""
    if len(lengths) == 1:
        yield (0,) * lengths[0]
        return
    rest = sum(lengths[1:])
    for inner in merges(*lengths[1:]):
        for places in combinations(range(rest + lengths[0]), lengths[0]):
            others = iter(inner)
            yield tuple(0 if place in places else 1 + next(others) for place in range(rest + lengths[0]))


def test_what_the_streams_are_made_of():
    names = [type(decode(PeerMessage, message)).__name__ for _, message in AGREEMENT]
    assert sorted(names) == ["Proposal", "Transactions", *["Vote"] * 5]
    assert sum(1 for _ in merges(len(AGREEMENT), 2, 1)) == 360


def test_every_interleaving_applies_the_block_once_and_signs_nothing_twice():
    by_catch_up = by_agreement = round_changes = 0
    for order in merges(len(AGREEMENT), 2, 1):
        victim = Member(FOUNDED, VICTIM)
        streams = [iter(AGREEMENT), iter(catch_up())]
        for turn in order:
            if turn == 2:
                victim.time_out()
                continue
            victim.give(PeerSent(*next(streams[turn])))
        # The answer comes a second time, and so does the last vote.
        for item in (catch_up()[1], AGREEMENT[-1]):
            victim.give(PeerSent(*item))

        assert [commit.block.digest for commit in victim.commits] == [BLOCK.block.digest], order
        assert (victim.replica.height, victim.disk.height()) == (1, 1)
        own = {kind.name for kind, height, _ in victim.signed if height == 1}  # type: ignore[misc]
        by_catch_up += victim.commits[0].certificate == BLOCK.certificate and "COMMIT" not in own
        by_agreement += "COMMIT" in own
        round_changes += "ROUND_CHANGE" in own

    # The orders that matter did occur.
    assert min(by_catch_up, by_agreement, round_changes) > 20
