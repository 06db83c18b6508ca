"""What a hostile member sends: refused in words, never followed, never kept without bound, never a crash."""

from dataclasses import fields, is_dataclass, replace

import pytest

from node.base.codec import DecodeError, decode, encode
from node.base.types import (
    ZERO_DIGEST,
    Certificate,
    Digest,
    OrgId,
    PeerMessage,
    PreparedBlock,
    Signature,
    SignedBy,
    Vote,
    VoteKind,
)
from node.core import consensus
from node.testing.council import START, Council, Forge

BAD = Signature(bytes(64))


class Listener:
    """One honest member, `me`, that hears what the test forges."""

    def __init__(self, members: int = 4, me: int = 3) -> None:
        self.forge = Forge(members)
        self.me = self.forge.orgs[me]
        self.machine = self.forge.machine(self.me)
        self.machine.step(self.forge.start_height(), now=START)

    def hear(self, message, peer: OrgId | None = None) -> list[consensus.Effect]:
        return self.machine.step(consensus.Received(peer or message.org, message), now=START)

    def lock_of_round_0(self) -> PreparedBlock:
        return self.forge.prepared(self.forge.block(self.forge.proposer(0)), 0)

    def round_changes(self, round_: int, prepared: Certificate | None = None):
        quorum = self.forge.members.quorum
        return tuple(self.forge.round_change(org, round_, prepared) for org in self.forge.orgs[:quorum])


def is_refused(effects: list[consensus.Effect]) -> bool:
    return [type(effect) for effect in effects] == [consensus.PeerFault]


def is_proven(effects: list[consensus.Effect]) -> bool:
    return [type(effect) for effect in effects] == [consensus.Equivocated, consensus.PeerFault]


def test_a_good_proposal_is_executed_and_then_prepared():
    listener = Listener()
    block = listener.forge.block(listener.forge.proposer(0))

    heard = listener.hear(listener.forge.proposal(block))
    prepared = listener.machine.step(consensus.Executed(block), now=START)

    assert [type(effect) for effect in heard] == [consensus.ExecuteProposal]
    assert [type(effect) for effect in prepared[:2]] == [consensus.PersistVotes, consensus.Broadcast]


def test_each_redundant_field_of_a_proposal_is_checked():
    # CSA-2026-001, GHSA-r3r4: fields that repeat each other disagree.
    forge = Listener().forge
    block = forge.block(forge.proposer(0))
    good = forge.proposal(block)
    other = next(org for org in forge.orgs if org not in (forge.proposer(0), Listener().me))
    lock = forge.prepared(block, 0)
    mutants = [
        replace(good, signature=BAD),
        replace(good, round=2),
        replace(good, org=other),
        replace(good, last_certificate=forge.certificate(block, 0, VoteKind.COMMIT)),
        replace(good, prepared=lock.certificate),
        replace(good, round_changes=(forge.round_change(other, 0),)),
        forge.proposal(block, org=other),
        forge.proposal(forge.block(other)),
        forge.proposal(forge.block(forge.proposer(0), time_ms=START.wall_ms - 1_000)),
        forge.proposal(forge.block(forge.proposer(0), time_ms=START.wall_ms + 10_001)),
        forge.proposal(replace(block, header=replace(block.header, parent=ZERO_DIGEST))),
        forge.proposal(replace(block, header=replace(block.header, chain=ZERO_DIGEST))),
        replace(good, header=replace(good.header, state_root=Digest(b"\x09" * 32))),
    ]
    for mutant in mutants:
        assert is_refused(Listener().hear(mutant)), mutant


def test_the_time_of_a_fresh_block_may_differ_from_the_clock_by_the_tolerance():
    listener = Listener()
    block = listener.forge.block(listener.forge.proposer(0), time_ms=START.wall_ms + 10_000)

    assert not is_refused(listener.hear(listener.forge.proposal(block)))


def test_a_re_proposal_is_not_held_against_the_clock():
    listener = Listener()
    forge = listener.forge
    old = forge.block(forge.proposer(0), time_ms=START.wall_ms - 900)
    late = START._replace(wall_ms=START.wall_ms + 3_600_000)
    lock = forge.prepared(old, 0)
    proposal = forge.proposal(old, 1, listener.round_changes(1, lock.certificate), lock.certificate)

    effects = listener.machine.step(consensus.Received(proposal.org, proposal), now=late)

    assert [type(effect) for effect in effects] == [consensus.ExecuteProposal]


def justified(listener: Listener):
    """A good proposal of round 1 that keeps the lock of round 0."""
    lock = listener.lock_of_round_0()
    changes = listener.round_changes(1, lock.certificate)
    return lock, listener.forge.proposal(lock.block, 1, changes, lock.certificate)


def test_a_justified_re_proposal_moves_a_member_into_its_round():
    listener = Listener()
    _, good = justified(listener)

    effects = listener.hear(good)

    assert [type(effect) for effect in effects] == [consensus.ExecuteProposal]
    assert listener.machine.round == 1


def test_each_part_of_a_justification_is_checked():
    listener = Listener()
    forge = listener.forge
    lock, good = justified(listener)
    fresh = forge.block(forge.proposer(1), mark=7)
    first, *rest = good.round_changes
    cert = lock.certificate
    unlocked = listener.round_changes(1)
    higher = forge.round_change(first.org, 3, replace(cert, round=2))
    mutants = {
        "no round changes": replace(good, round_changes=()),
        "less than a quorum": replace(good, round_changes=tuple(rest)),
        "one counted twice": replace(good, round_changes=(first, first, *rest[1:])),
        "another round's": replace(good, round_changes=(forge.round_change(first.org, 2, cert), *rest)),
        "a false signature": replace(good, round_changes=(replace(first, signature=BAD), *rest)),
        "a stranger": replace(good, round_changes=(replace(first, org=OrgId("stranger")), *rest)),
        "claim taken out": replace(good, round_changes=(replace(first, prepared=None, prepared_round=None), *rest)),
        "half a claim": replace(good, round_changes=(replace(first, prepared=None), *rest)),
        "claim of a later round": replace(good, round_changes=(replace(higher, round=1), *rest)),
        "lock ignored": forge.proposal(fresh, 1, good.round_changes, None),
        "lock and another block": forge.proposal(fresh, 1, good.round_changes, cert),
        "certificate of nothing claimed": forge.proposal(lock.block, 1, unlocked, cert),
        "certificate of commits": replace(good, prepared=forge.certificate(lock.block, 0, VoteKind.COMMIT)),
        "certificate of another round": replace(good, prepared=replace(cert, round=1)),
        "certificate of another height": replace(good, prepared=replace(cert, height=type(cert.height)(2))),
        "certificate of another block": replace(good, prepared=replace(cert, block=fresh.digest)),
        "certificate below the quorum": replace(good, prepared=replace(cert, signatures=cert.signatures[1:])),
        "certificate with one twice": replace(
            good, prepared=replace(cert, signatures=(cert.signatures[0], *cert.signatures[:-1]))
        ),
        "certificate of a stranger": replace(
            good,
            prepared=replace(cert, signatures=(*cert.signatures[:-1], SignedBy(OrgId("stranger"), BAD))),
        ),
        "fresh block of another author": forge.proposal(forge.block(forge.proposer(0)), 1, unlocked),
    }
    for words, mutant in mutants.items():
        victim = Listener()
        assert is_refused(victim.hear(mutant)), words
        assert victim.machine.round == 0, words
    assert not is_refused(Listener().hear(forge.proposal(fresh, 1, unlocked)))


def test_of_two_locks_only_the_higher_may_be_proposed():
    listener = Listener(me=0)
    forge = listener.forge
    low = forge.prepared(forge.block(forge.proposer(0)), 0)
    high = forge.prepared(forge.block(forge.proposer(1), mark=1), 1)
    a, b, c = forge.orgs[:3]
    changes = (
        forge.round_change(a, 2, low.certificate),
        forge.round_change(b, 2, high.certificate),
        forge.round_change(c, 2),
    )

    assert is_refused(listener.hear(forge.proposal(low.block, 2, changes, low.certificate)))
    assert not is_refused(listener.hear(forge.proposal(high.block, 2, changes, high.certificate)))


def test_a_false_claim_does_not_stop_an_honest_proposer():
    forge = Forge(4)
    me = forge.proposer(1)
    machine = forge.machine(me)
    machine.step(forge.start_height(), now=START)
    liar, *honest = [org for org in forge.orgs if org != me]
    invented = Certificate(forge.height, 0, Digest(b"\x05" * 32), ())

    effects = []
    for message in (forge.round_change(liar, 1, invented), *(forge.round_change(org, 1) for org in honest)):
        effects += machine.step(consensus.Received(message.org, message), now=START)

    assert any(isinstance(effect, consensus.Build) for effect in effects)
    built = machine.step(consensus.Built(1, forge.block(me)), now=START)
    (proposal,) = [m for e in built if isinstance(e, consensus.PersistVotes) for m in e.messages][:1]
    assert liar not in {message.org for message in proposal.round_changes}


def test_a_proposer_waits_for_the_block_behind_a_claim():
    forge = Forge(4)
    me = forge.proposer(1)
    others = [org for org in forge.orgs if org != me]
    machine = forge.machine(me)
    machine.step(forge.start_height(), now=START)
    lock = forge.prepared(forge.block(forge.proposer(0)), 0)
    for org in others[:2]:
        message = forge.round_change(org, 1, lock.certificate)
        effects = machine.step(consensus.Received(org, message), now=START)
        assert not any(isinstance(effect, consensus.Build) for effect in effects)

    effects = machine.step(consensus.Received(others[0], lock), now=START)
    effects += machine.step(consensus.Executed(lock.block), now=START)

    assert isinstance(effects[0], consensus.ExecuteBlock)
    proposals = [m for e in effects if isinstance(e, consensus.PersistVotes) for m in e.messages]
    assert proposals[0].prepared == lock.certificate


def test_messages_under_another_members_name_are_refused():
    listener = Listener()
    forge = listener.forge
    thief, owner = forge.orgs[0], forge.orgs[1]
    block = forge.block(forge.proposer(0))
    messages = (
        forge.proposal(block),
        forge.vote(owner, VoteKind.PREPARE, block),
        forge.vote(owner, VoteKind.COMMIT, block),
        forge.round_change(owner, 1),
    )
    for message in messages:
        assert is_refused(listener.hear(message, peer=thief if message.org != thief else forge.orgs[2]))


def test_votes_with_a_changed_field_or_of_a_wrong_kind_do_not_count():
    forge = Forge(4)
    block = forge.block(forge.proposer(0))
    other = forge.block(forge.proposer(0), mark=1)
    good = forge.vote(forge.orgs[0], VoteKind.PREPARE, block)
    mutants = (
        replace(good, signature=BAD),
        replace(good, round=1),
        replace(good, kind=VoteKind.COMMIT),
        replace(good, kind=VoteKind.ROUND_CHANGE),
        replace(good, block=other.digest),
        replace(good, round=-1),
        replace(good, round=2**63 - 1),
    )
    for mutant in mutants:
        assert is_refused(Listener().hear(mutant)), mutant


def test_two_votes_of_one_member_in_one_round_are_a_fault_and_the_first_counts():
    listener = Listener()
    forge = listener.forge
    org = forge.orgs[0]
    first, second = forge.block(org), forge.block(org, mark=1)

    assert listener.hear(forge.vote(org, VoteKind.COMMIT, first)) == []
    assert is_proven(listener.hear(forge.vote(org, VoteKind.COMMIT, second)))
    assert listener.hear(forge.vote(org, VoteKind.COMMIT, first)) == []


def test_only_one_proposal_of_a_round_is_accepted():
    listener = Listener()
    forge = listener.forge
    proposer = forge.proposer(0)

    listener.hear(forge.proposal(forge.block(proposer)))
    second = listener.hear(forge.proposal(forge.block(proposer, mark=1)))

    assert is_proven(second)


def test_commits_of_different_rounds_do_not_add_up():
    listener = Listener()
    forge = listener.forge
    block = forge.block(forge.proposer(0))
    listener.hear(forge.proposal(block))
    listener.machine.step(consensus.Executed(block), now=START)
    a, b, c = forge.orgs[:3]

    effects = listener.hear(forge.vote(a, VoteKind.COMMIT, block, 0))
    effects += listener.hear(forge.vote(b, VoteKind.COMMIT, block, 0))
    effects += listener.hear(forge.vote(c, VoteKind.COMMIT, block, 1))
    assert not any(isinstance(effect, consensus.Decide) for effect in effects)
    effects = listener.hear(forge.vote(c, VoteKind.COMMIT, block, 0))

    (decide,) = [effect for effect in effects if isinstance(effect, consensus.Decide)]
    assert decide.certificate.round == 0
    assert [signed.org for signed in decide.certificate.signatures] == [a, b, c]


@pytest.mark.parametrize("n", [4, 7])
def test_unbounded_rounds_are_bounded(n):
    # besu GHSA-23rh: round numbers without bound filled the memory.
    listener = Listener(n, me=n - 1)
    forge = listener.forge
    block = forge.block(forge.proposer(0))
    for step in range(300):
        for org in forge.orgs[:-1]:
            for round_ in (step, 2**31 + step, 2**63 - 1 - step):
                for kind in (VoteKind.PREPARE, VoteKind.COMMIT):
                    listener.hear(forge.vote(org, kind, block, round_))
            if org == forge.orgs[0]:
                for round_ in (step + 1, 2**31 + step, 2**63 - 1 - step):
                    listener.hear(forge.round_change(org, round_))

    assert listener.machine.kept <= 36 * n
    # One member alone moves nobody.
    assert listener.machine.round == 0


def test_round_changes_of_all_members_to_the_last_round_crash_nobody():
    listener = Listener(2, me=1)
    last = consensus.ROUND_MAX
    effects = listener.hear(listener.forge.round_change(listener.forge.orgs[0], last))
    assert listener.machine.round == last
    for effect in effects:
        if isinstance(effect, consensus.Broadcast):
            encode(effect.message, PeerMessage)

    wake_at = listener.machine.wake_at
    assert wake_at is not None
    later = START._replace(mono_ms=wake_at)
    assert listener.machine.step(consensus.Tick(), now=later) == []
    assert listener.machine.wake_at is None
    assert is_refused(listener.hear(listener.forge.round_change(listener.forge.orgs[0], last + 1)))


def test_prepares_of_a_round_that_is_over_are_not_kept():
    listener = Listener()
    _, re_proposal = justified(listener)
    listener.hear(re_proposal)
    before = listener.machine.kept

    block = listener.forge.block(listener.forge.proposer(0))
    effects = listener.hear(listener.forge.vote(listener.forge.orgs[0], VoteKind.PREPARE, block, 0))

    assert effects == []
    assert listener.machine.kept == before


def test_messages_of_the_next_height_wait_and_are_bounded():
    forge = Forge(4)
    ahead = Forge(4)
    ahead.height = type(forge.height)(2)
    machine = forge.machine(forge.orgs[3])
    machine.step(forge.start_height(), now=START)
    block = ahead.block(ahead.proposer(0))
    for round_ in range(100):
        for org in forge.orgs[:3]:
            for kind in (VoteKind.PREPARE, VoteKind.COMMIT):
                machine.step(consensus.Received(org, ahead.vote(org, kind, block, round_)), now=START)
    assert machine.kept == 6
    proposal = ahead.proposal(block)
    machine.step(consensus.Received(proposal.org, proposal), now=START)

    effects = machine.step(ahead.start_height(), now=START)

    assert any(isinstance(effect, consensus.ExecuteProposal) for effect in effects)


def test_two_chains_with_the_same_members_do_not_mix():
    # tendermint#4926: a chain's name used again, and old votes counted.
    here, there = Listener(), Forge(4, chain=b"\x02" * 32)
    block = there.block(there.proposer(0))
    same_header_here = here.forge.block(here.forge.proposer(0))
    a = here.forge.orgs[0]
    foreign = (
        there.proposal(block),
        there.vote(a, VoteKind.PREPARE, block),
        there.vote(a, VoteKind.COMMIT, same_header_here),
        there.round_change(a, 1),
    )
    for message in foreign:
        assert is_refused(here.hear(message))
    assert is_refused(here.hear(there.prepared(block, 0), peer=a))


def test_a_prepared_block_that_is_not_what_it_says_is_refused():
    forge = Forge(4)
    lock = forge.prepared(forge.block(forge.proposer(0)), 0)
    peer = forge.orgs[0]
    other = forge.block(forge.proposer(0), mark=1)
    mutants = (
        replace(lock, block=other),
        replace(lock, certificate=replace(lock.certificate, block=other.digest)),
        replace(lock, certificate=replace(lock.certificate, round=1)),
        replace(lock, certificate=forge.certificate(lock.block, 0, VoteKind.COMMIT)),
        replace(lock, block=replace(lock.block, last_certificate=lock.certificate)),
    )
    for mutant in mutants:
        assert is_refused(Listener().hear(mutant, peer=peer))
    assert Listener().hear(lock, peer=peer) == []


def test_who_is_no_member_is_not_heard():
    listener = Listener()
    stranger = OrgId("stranger")
    vote = Vote(VoteKind.COMMIT, listener.forge.height, 0, ZERO_DIGEST, stranger, BAD)

    assert listener.hear(vote) == []
    assert listener.machine.kept == 0


def test_an_equivocating_proposer_splits_nobody():
    council = Council(4)
    liar = council.forge.proposer(0)
    one, two = council.forge.block(liar, mark=1), council.forge.block(liar, mark=2)
    others = [org for org in council.forge.orgs if org != liar]

    for peer, block in zip(others, (one, two, two), strict=True):
        for message in (council.forge.proposal(block), council.forge.vote(liar, VoteKind.PREPARE, block)):
            council.give(peer, consensus.Received(liar, message))
    for _ in range(4):
        council.pass_time()

    assert set(others) <= set(council.decided)
    assert len({decision.block.digest for decision in council.decided.values()}) == 1


def leaves(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The places of all plain values in a message."""
    if is_dataclass(value):
        return [leaf for field in fields(value) for leaf in leaves(getattr(value, field.name), (*path, field.name))]
    if isinstance(value, tuple):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
    return [path]


def changed(value: object, path: tuple[object, ...], new: object) -> object:
    """The message with another value at that place."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, tuple):
        items = list(value)
        items[first] = changed(items[first], tuple(rest), new)
        return tuple(items)
    return replace(value, **{first: changed(getattr(value, first), tuple(rest), new)})


def at(value: object, path: tuple[object, ...]) -> object:
    for step in path:
        value = value[step] if isinstance(step, int) else getattr(value, step)
    return value


def lies_about(value: object) -> list[object]:
    """Other values that the same place can carry on the wire."""
    if isinstance(value, VoteKind):
        return [kind for kind in VoteKind if kind is not value]
    if isinstance(value, int):
        return [0, 1, value + 1, 2**32 + 1, 2**63 - 1, -1, -(2**63)]
    if isinstance(value, bytes):
        return [bytes(len(value)), value[:-1] + bytes((value[-1] ^ 1,))] if value else []
    if isinstance(value, str):
        return ["m000", "m001", "stranger"]
    return [0, b"\x01" * 32] if value is None else []


@pytest.mark.parametrize("name", ["proposal", "re-proposal", "vote", "round change", "prepared block"])
def test_every_field_of_every_message_may_lie_and_nothing_crashes(name):
    forge = Forge(4)
    listener = Listener()
    lock, re_proposal = justified(listener)
    good = {
        "proposal": forge.proposal(forge.block(forge.proposer(0))),
        "re-proposal": re_proposal,
        "vote": forge.vote(forge.orgs[0], VoteKind.COMMIT, lock.block),
        "round change": forge.round_change(forge.orgs[0], 2, lock.certificate),
        "prepared block": lock,
    }[name]
    sender = getattr(good, "org", forge.orgs[0])
    tried = followed = 0
    for path in leaves(good):
        for lie in lies_about(at(good, path)):
            mutant = changed(good, path, lie)
            try:
                wire = encode(mutant, PeerMessage)
            except (ValueError, TypeError, OverflowError, AttributeError):
                # No peer can send it.
                continue
            if mutant == good:
                continue
            victim = Listener()
            try:
                read = decode(PeerMessage, wire)
            except DecodeError:
                continue
            effects = victim.hear(read, peer=sender)
            tried += 1
            # Nothing is signed, decided or executed for a lie. (Heights ahead are kept aside, unread.)
            kinds = {type(effect) for effect in effects}
            followed += bool(kinds - {consensus.PeerFault, consensus.Equivocated})
            assert not kinds & {consensus.PersistVotes, consensus.Broadcast, consensus.Decide}, (path, lie)
    assert tried > 15
    assert followed == 0
