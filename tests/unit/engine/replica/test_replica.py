"""One replica alone: what it writes before it sends, what it answers, when it wakes."""

from node.base.codec import decode, encode
from node.base.types import (
    CEL_VERSION,
    BodiesRequest,
    BodiesResponse,
    Digest,
    Heard,
    Height,
    Instant,
    OrgId,
    Parameters,
    PeerMessage,
    RoundChange,
    Tip,
    Transactions,
    Vote,
    VoteKind,
)
from node.core.mempool.mempool import GATHER_MS
from node.engine.replica import (
    Admitted,
    AppendVotes,
    CommitBlock,
    Committed,
    Effect,
    HeardFrom,
    LinkChanged,
    PeerSent,
    Refused,
    Replica,
    Send,
    Started,
    Submitted,
    Tick,
)
from node.ledger.contracts.sharing import Register
from node.ledger.contracts.training import Commit
from node.testing.signing import HeldSigners
from node.testing.simulation import Disk, Founded, found
from node.testing.simulation.founding import START_MS

NOW = Instant(1_000, START_MS + 1_000)


def make(founded: Founded, disk: Disk, index: int = 0, cel_version: str = CEL_VERSION) -> Replica:
    org = founded.orgs[index]
    return Replica(
        org=org,
        genesis=founded.genesis,
        keyring=HeldSigners((founded.signers[org],)),
        verify=founded.verify,
        state=disk.state,
        chain=disk,
        vote_log=list(disk.votes),
        silence=disk.silence,
        nonce=Digest(b"\x07" * 32),
        cel_version=cel_version,
    )


def registration(founded: Founded, index: int = 0, nonce: int = 0):
    payload = encode(Register(f"set{nonce}", Digest(bytes(32))))
    return founded.transaction(founded.orgs[index], nonce, "sharing", "register", payload, START_MS + 10_000_000)


def test_a_network_of_one_decides_alone():
    founded = found(1)
    disk = Disk(founded.genesis)
    replica = make(founded, disk)
    replica.step(Started(), now=NOW)
    transaction = registration(founded)

    effects = replica.step(Submitted((transaction,)), now=NOW)

    assert effects[0] == Admitted(transaction.id)
    commit = effects[-1]
    assert isinstance(commit, CommitBlock)
    assert any(isinstance(effect, AppendVotes) for effect in effects[:-1])
    disk.commit(commit.certified, commit.receipts, commit.writes, durable=commit.durable)
    replica.step(Committed(Height(1)), now=NOW)
    assert (replica.height, replica.head_digest, replica.pending) == (1, commit.certified.block.digest, 0)
    assert replica.state_root == commit.certified.block.header.state_root


def test_a_call_that_waits_for_companions_comes_into_a_block_with_what_is_in_a_hurry_or_after_a_moment():
    founded = found(1)
    payload = encode(Commit(Digest(bytes(32)), 1, Digest(bytes(32)), 0, 0))
    commit = founded.transaction(founded.orgs[0], 5, "training", "commit", payload, START_MS + 10_000_000)
    blocks = []
    for hurry in (False, True):
        replica = make(founded, Disk(founded.genesis))
        replica.step(Started(), now=NOW)
        assert replica.step(Submitted((commit,)), now=NOW) == [Admitted(commit.id)]
        due_at = NOW.mono_ms + GATHER_MS
        assert replica.wake_at == due_at
        if hurry:
            effects = replica.step(Submitted((registration(founded),)), now=NOW)
        else:
            early = Instant(due_at - 1, NOW.wall_ms)
            assert replica.step(Tick(), now=early) == []
            effects = replica.step(Tick(), now=Instant(due_at, NOW.wall_ms))
        made = effects[-1]
        assert isinstance(made, CommitBlock)
        blocks.append([entry.body.method for entry in made.certified.block.transactions])
    assert blocks == [["commit"], ["register", "commit"]]


def test_height_head_and_state_root_are_of_one_block_while_the_next_is_being_written():
    founded = found(1)
    disk = Disk(founded.genesis)
    replica = make(founded, disk)
    replica.step(Started(), now=NOW)
    before = (replica.height, replica.head_digest, replica.state_root)
    commit = replica.step(Submitted((registration(founded),)), now=NOW)[-1]
    assert isinstance(commit, CommitBlock)

    disk.commit(commit.certified, commit.receipts, commit.writes, durable=commit.durable)

    assert (replica.height, replica.head_digest, replica.state_root) == before
    again = make(founded, disk)
    assert (again.height, again.state_root) == (1, commit.certified.block.header.state_root)


def test_what_is_signed_is_written_before_it_is_sent():
    founded = found(4)
    replica = make(founded, Disk(founded.genesis), index=1)
    replica.step(Started(), now=NOW)

    effects = replica.step(Submitted((registration(founded, index=1),)), now=NOW)

    written: set[bytes] = set()
    sent = 0
    for effect in effects:
        if isinstance(effect, AppendVotes):
            written.update(effect.entries)
        if isinstance(effect, Send):
            assert effect.message in written
            sent += 1
    assert sent == 3
    assert len([effect for effect in effects if isinstance(effect, AppendVotes)]) == 1


def test_a_member_that_comes_late_prepares_and_commits_in_one_write():
    founded = found(4)
    replicas = {org: make(founded, Disk(founded.genesis), index) for index, org in enumerate(founded.orgs)}
    for replica in replicas.values():
        replica.step(Started(), now=NOW)
    author, *others, late = (founded.orgs[1], founded.orgs[0], founded.orgs[2], founded.orgs[3])
    transaction = registration(founded)
    for org in (*others, late):
        replicas[org].step(PeerSent(author, encode(Transactions((transaction.encoded,)), PeerMessage)), now=NOW)
    proposed = sent_to(late, replicas[author].step(Submitted((transaction,)), now=NOW))
    prepared = {org: [e for m in proposed for e in replicas[org].step(PeerSent(author, m), now=NOW)] for org in others}
    for org in others:
        for message in sent_to(late, prepared[org])[:1]:
            replicas[late].step(PeerSent(org, message), now=NOW)

    (proposal,) = proposed
    effects = replicas[late].step(PeerSent(author, proposal), now=NOW)

    (written,) = (effect for effect in effects if isinstance(effect, AppendVotes))
    assert len(written.entries) == 3
    votes = [decode(PeerMessage, message) for message in sent_to(author, effects)]
    assert [vote.kind for vote in votes] == [VoteKind.PREPARE, VoteKind.COMMIT]
    assert effects.index(written) < min(at for at, effect in enumerate(effects) if isinstance(effect, Send))


def sent_to(org: OrgId, effects: list[Effect]) -> list[bytes]:
    return [effect.message for effect in effects if isinstance(effect, Send) and effect.peer == org]


def test_a_transaction_goes_to_everybody_that_is_linked():
    founded = found(4)
    replica = make(founded, Disk(founded.genesis), index=0)
    replica.step(Started(), now=NOW)
    for org in founded.orgs[1:3]:
        replica.step(LinkChanged(org, True), now=NOW)
    transaction = registration(founded)

    effects = replica.step(Submitted((transaction,)), now=NOW)
    again = replica.step(Submitted((transaction,)), now=NOW)

    data = encode(Transactions((transaction.encoded,)), PeerMessage)
    assert [effect for effect in effects if isinstance(effect, Send)] == [Send(org, data) for org in founded.orgs[1:3]]
    assert [type(effect) for effect in again] == [Refused]


def test_a_bodies_request_is_answered_with_what_waits():
    founded = found(4)
    replica = make(founded, Disk(founded.genesis))
    replica.step(Started(), now=NOW)
    transaction = registration(founded)
    replica.step(Submitted((transaction,)), now=NOW)

    request = BodiesRequest((Digest(bytes(32)), transaction.id))
    effects = replica.step(PeerSent(founded.orgs[2], encode(request, PeerMessage)), now=NOW)

    assert effects == [Send(founded.orgs[2], encode(BodiesResponse((transaction,)), PeerMessage))]


def test_a_round_change_of_a_past_height_is_answered_with_the_tip_and_a_vote_is_not():
    founded = found(4)
    replica = make(founded, Disk(founded.genesis))
    replica.step(Started(), now=NOW)
    peer = founded.orgs[3]
    signature = founded.signers[peer].sign(b"")
    late = RoundChange(Height(0), 1, None, None, peer, signature)
    vote = Vote(VoteKind.COMMIT, Height(0), 0, founded.chain, peer, signature)

    answered = replica.step(PeerSent(peer, encode(late, PeerMessage)), now=NOW)
    ignored = replica.step(PeerSent(peer, encode(vote, PeerMessage)), now=NOW)

    assert answered == [Send(peer, encode(Tip(Height(0), founded.chain), PeerMessage))]
    assert ignored == []


def test_progress_of_a_peer_is_passed_on():
    founded = found(4)
    replica = make(founded, Disk(founded.genesis))
    replica.step(Started(), now=NOW)
    heard = Heard(Digest(bytes(32)), 3, "train", "epoch 1 of 2")

    effects = replica.step(PeerSent(founded.orgs[1], encode(heard, PeerMessage)), now=NOW)

    assert effects == [HeardFrom(founded.orgs[1], heard)]


def test_a_heartbeat_is_due_after_its_time_and_ticks_end():
    founded = found(4, Parameters(heartbeat_ms=60_000))
    replica = make(founded, Disk(founded.genesis), index=1)
    replica.step(Started(), now=NOW)

    assert replica.wake_at == 60_000
    effects = replica.step(Tick(), now=Instant(60_000, START_MS + 60_000))

    proposals = {effect.message for effect in effects if isinstance(effect, Send)}
    assert {type(decode(PeerMessage, data)).__name__ for data in proposals} == {"Proposal"}
    assert replica.wake_at is not None
    assert replica.wake_at > 60_000


def test_a_restarted_replica_sends_the_same_bytes():
    founded = found(4)
    disk = Disk(founded.genesis)
    first = make(founded, disk, index=1)
    first.step(Started(), now=NOW)
    effects = first.step(Submitted((registration(founded, index=1),)), now=NOW)
    for effect in effects:
        if isinstance(effect, AppendVotes):
            disk.append(effect.height, effect.entries)

    again = make(founded, disk, index=1)
    again.step(Started(), now=NOW)
    linked = again.step(LinkChanged(founded.orgs[0], True), now=NOW)

    before = [effect for effect in effects if isinstance(effect, Send) and effect.peer == founded.orgs[0]]
    assert [effect for effect in linked if effect in before] == before
    assert not any(isinstance(effect, AppendVotes) for effect in linked)


def test_a_member_with_another_cel_than_the_chains_neither_votes_nor_applies():
    founded = found(4)
    author = make(founded, Disk(founded.genesis)).members.proposer(Height(1), 0)
    proposer = founded.orgs.index(author)
    replica, fit = (make(founded, Disk(founded.genesis), proposer, version) for version in ("9.9.9", CEL_VERSION))

    effects = []
    for one in (replica, fit):
        found_effects = one.step(Started(), now=NOW)
        found_effects += one.step(Submitted((registration(founded, proposer),)), now=NOW)
        effects.append([e for e in found_effects if isinstance(e, AppendVotes | CommitBlock)])

    assert effects[0] == []
    assert effects[1] != []
    assert replica.why_unfit is not None
    assert "CEL 0.1.3, and here 9.9.9 is installed" in replica.why_unfit
    assert (replica.is_halted, fit.is_halted, fit.why_unfit) == (True, False, None)
