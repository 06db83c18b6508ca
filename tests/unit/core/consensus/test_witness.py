"""Two statements of one member that contradict each other: recognised whenever the second comes, and bounded."""

from dataclasses import replace

import pytest

from node.base.types import (
    Height,
    OrgId,
    PreparedBlock,
    Proposal,
    RoundChange,
    Signature,
    Statement,
    Vote,
    VoteKind,
    statement_of,
    statement_signing_bytes,
)
from node.core import consensus
from node.core.consensus.witness import ROUNDS_KEPT_MAX, Witness
from node.testing.council import START, Council, Forge
from node.testing.signing import verify_hash


class Listener:
    """One honest member that hears what the test forges for the others."""

    def __init__(self, members: int = 4) -> None:
        self.forge = Forge(members)
        self.me = self.forge.orgs[-1]
        self.machine = self.forge.machine(self.me)
        self.machine.step(self.forge.start_height(), now=START)

    def hear(self, message: consensus.ConsensusMessage, peer: OrgId | None = None) -> list[consensus.Equivocated]:
        sender = peer or getattr(message, "org", None)
        assert sender is not None
        return proofs(self.machine.step(consensus.Received(sender, message), now=START))


def proofs(effects: list[consensus.Effect]) -> list[consensus.Equivocated]:
    return [effect for effect in effects if isinstance(effect, consensus.Equivocated)]


PAIRS = ("two proposals", "a proposal and a prepare", "two prepares", "two commits", "two round changes")


def pair_of(forge: Forge, words: str, round_: int) -> tuple[consensus.ConsensusMessage, consensus.ConsensusMessage]:
    org = forge.proposer(round_)
    one, two = forge.block(org, mark=1), forge.block(org, mark=2)
    pairs: dict[str, tuple[consensus.ConsensusMessage, consensus.ConsensusMessage]] = {
        "two proposals": (forge.proposal(one, round_), forge.proposal(two, round_)),
        "a proposal and a prepare": (forge.proposal(one, round_), forge.vote(org, VoteKind.PREPARE, two, round_)),
        "two prepares": (
            forge.vote(org, VoteKind.PREPARE, one, round_),
            forge.vote(org, VoteKind.PREPARE, two, round_),
        ),
        "two commits": (forge.vote(org, VoteKind.COMMIT, one, round_), forge.vote(org, VoteKind.COMMIT, two, round_)),
        "two round changes": (
            forge.round_change(org, round_),
            forge.round_change(org, round_, forge.certificate(one, 0, VoteKind.PREPARE)),
        ),
    }
    return pairs[words]


@pytest.mark.parametrize("round_", [1, 3, 5])
@pytest.mark.parametrize("words", PAIRS)
def test_two_different_statements_are_proof_with_both_signatures(words, round_):
    listener = Listener()
    first, second = pair_of(listener.forge, words, round_)

    assert listener.hear(first) == []
    (proof,) = listener.hear(second)

    assert {proof.first, proof.second} == {statement_of(m) for m in (first, second) if not isinstance(m, PreparedBlock)}
    for said in (proof.first, proof.second):
        key = listener.forge.members.keys[said.org]
        assert verify_hash(key, statement_signing_bytes(listener.forge.chain, said), said.signature)


@pytest.mark.parametrize("words", PAIRS)
def test_one_statement_again_or_for_another_round_is_no_proof(words):
    listener = Listener()
    first, _ = pair_of(listener.forge, words, 1)
    _, other = pair_of(listener.forge, words, 5)

    assert listener.hear(first) == []
    assert listener.hear(first) == []
    assert listener.hear(other) == []


def test_it_is_proven_once_a_height():
    listener = Listener()
    forge = listener.forge
    org = forge.orgs[0]
    found = []
    for mark in range(20):
        for kind in (VoteKind.PREPARE, VoteKind.COMMIT):
            found += listener.hear(forge.vote(org, kind, forge.block(org, mark=mark)))

    assert len(found) == 1


def test_a_false_signature_proves_nothing_and_displaces_nothing_true():
    listener = Listener()
    forge = listener.forge
    org = forge.orgs[0]
    true, contradiction = (forge.vote(org, VoteKind.COMMIT, forge.block(org, mark=mark)) for mark in (1, 2))
    false = replace(contradiction, signature=Signature(bytes(64)))

    assert listener.hear(false) == []
    assert listener.hear(true) == []
    assert listener.hear(false) == []
    assert len(listener.hear(contradiction)) == 1


def test_it_is_recognised_after_the_round_is_over_and_after_the_decision():
    council = Council(4)
    council.work()
    liar, *_, witness = council.forge.orgs
    assert len(council.decided) == 4
    other = council.forge.block(liar, mark=77)

    council.give(witness, consensus.Received(liar, council.forge.vote(liar, VoteKind.COMMIT, other)))

    (proof,) = council.proofs[witness]
    assert (proof.first.org, proof.first.kind) == (liar, VoteKind.COMMIT)


def test_the_height_before_is_remembered_and_no_older_one():
    forge = Forge(4)
    witness = Witness(forge.orgs[-1], forge.chain, verify_hash)
    org = forge.orgs[0]

    def said(height: int, mark: int) -> Statement:
        forge.height = Height(height)
        return statement_of(forge.vote(org, VoteKind.PREPARE, forge.block(org, mark=mark)))

    for height in (1, 2, 3):
        witness.begin(Height(height), forge.members)
        witness.hear(said(height, 1))

    assert witness.hear(said(1, 2)) is None
    assert witness.hear(said(2, 2)) is not None
    assert witness.hear(said(3, 2)) is not None


def test_a_machine_compares_what_comes_late_for_the_height_before():
    listener = Listener()
    forge = listener.forge
    org = forge.orgs[0]
    one, two = (forge.vote(org, VoteKind.COMMIT, forge.block(org, mark=mark)) for mark in (1, 2))
    listener.hear(one)
    forge.height = Height(2)
    listener.machine.step(forge.start_height(), now=START)

    assert len(listener.hear(two)) == 1


def test_votes_inside_certificates_and_justifications_count():
    listener = Listener()
    forge = listener.forge
    liar = forge.orgs[0]
    lock = forge.prepared(forge.block(forge.proposer(0)), 0)
    listener.hear(forge.vote(liar, VoteKind.PREPARE, forge.block(liar, mark=9)))

    found = listener.hear(lock, peer=forge.orgs[1])

    assert [proof.first.org for proof in found] == [liar]

    again = Listener()
    again.hear(again.forge.round_change(liar, 1, lock.certificate))
    changes = tuple(again.forge.round_change(org, 1) for org in again.forge.orgs[:3])
    found = again.hear(again.forge.proposal(again.forge.block(again.forge.proposer(1), mark=3), 1, changes))
    assert [(proof.first.org, proof.first.kind) for proof in found] == [(liar, VoteKind.ROUND_CHANGE)]


def test_commits_of_the_parent_inside_a_block_count():
    listener = Listener()
    forge = listener.forge
    liar = forge.orgs[0]
    parent = forge.block(forge.proposer(0))
    listener.hear(forge.vote(liar, VoteKind.COMMIT, forge.block(liar, mark=9)))
    certificate = forge.certificate(parent, 0, VoteKind.COMMIT)
    forge.height = Height(2)
    listener.machine.step(forge.start_height(), now=START)
    block = replace(forge.block(forge.proposer(0)), last_certificate=certificate)

    found = proofs(listener.machine.step(consensus.Executed(block), now=START))

    assert [proof.first.org for proof in found] == [liar]


def test_a_proposer_that_tells_two_halves_two_blocks_is_proven_though_each_hears_one():
    council = Council(4)
    liar = council.forge.proposer(0)
    others = [org for org in council.forge.orgs if org != liar]
    one, two = council.forge.block(liar, mark=1), council.forge.block(liar, mark=2)

    for peer, block in zip(others, (one, two, two), strict=True):
        council.give(peer, consensus.Received(liar, council.forge.proposal(block)))

    assert set(council.proofs) == set(others)
    assert {proof.first.org for found in council.proofs.values() for proof in found} == {liar}


def test_what_others_pass_on_is_only_compared():
    listener = Listener()
    forge = listener.forge
    liar = forge.proposer(0)
    seal = statement_of(forge.proposal(forge.block(liar, mark=1)))
    before = listener.machine.kept

    for round_ in range(100):
        told = consensus.ToldOf(forge.orgs[0], replace(seal, round=round_))
        assert listener.machine.step(told, now=START) == []
    assert listener.machine.kept == before
    listener.hear(forge.proposal(forge.block(liar, mark=2)))
    found = proofs(listener.machine.step(consensus.ToldOf(forge.orgs[0], seal), now=START))

    assert len(found) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"prepared_round": -1},
        {"prepared_round": 2**63},
        {"prepared_round": 1},
        {"round": -1},
        {"round": 2**63 - 1},
        {"height": Height(2**63 - 1)},
    ],
)
def test_statements_that_no_layout_can_carry_crash_nobody(odd):
    listener = Listener()
    forge = listener.forge
    org = forge.orgs[0]
    listener.hear(forge.round_change(org, 1))
    change = replace(forge.round_change(org, 1, forge.certificate(forge.block(org), 0, VoteKind.PREPARE)), **odd)

    assert listener.hear(change) == []
    assert proofs(listener.machine.step(consensus.ToldOf(org, statement_of(change)), now=START)) == []


def test_memory_is_bounded_for_each_member():
    forge = Forge(4)
    witness = Witness(forge.orgs[-1], forge.chain, verify_hash)
    for height in range(1, 6):
        forge.height = Height(height)
        witness.begin(forge.height, forge.members)
        for round_ in range(50):
            for org in forge.orgs:
                for kind in (VoteKind.PREPARE, VoteKind.COMMIT):
                    witness.hear(statement_of(forge.vote(org, kind, forge.block(org), round_)))
                witness.hear(statement_of(forge.round_change(org, round_ + 1)))

    assert len(witness) <= 2 * 3 * 4 * ROUNDS_KEPT_MAX


def test_nobody_accuses_itself_or_a_stranger():
    forge = Forge(4)
    me = forge.orgs[0]
    witness = Witness(me, forge.chain, verify_hash)
    witness.begin(forge.height, forge.members)

    for org in (me, OrgId("stranger")):
        for mark in (1, 2):
            vote = replace(forge.vote(me, VoteKind.COMMIT, forge.block(me, mark=mark)), org=org)
            assert witness.hear(statement_of(vote)) is None
    assert len(witness) == 0


def test_honest_members_prove_nothing_in_any_round():
    council = Council(7)
    council.deliver = lambda s, r, m: not (isinstance(m, Vote) and m.kind is VoteKind.COMMIT)
    council.work()
    for _ in range(5):
        council.pass_time()

    assert council.proofs == {}
    kinds = {type(message) for _, message in council.sent}
    assert {Proposal, Vote, RoundChange} <= kinds
