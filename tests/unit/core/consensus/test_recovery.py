"""A member that lost its vote log: which answers count, and from which height on it signs again."""

from dataclasses import replace

import pytest

from node.base.types import CertifiedTip, Digest, Height, Instant, MemberSet, OrgId, TipRequest, VoteKind
from node.core import consensus
from node.testing.council import Forge
from node.testing.signing import verify_hash

NOW = Instant(1_000, 0)
NONCE = Digest(b"\x11" * 32)


class Search:
    """The last of n members looks for its height; the test plays the others and its chain."""

    def __init__(self, members: int, sets: dict[int, MemberSet] | None = None) -> None:
        self.forge = Forge(members)
        self.me = self.forge.orgs[-1]
        self.height = Height(0)
        self.sets = sets or {}
        self.unknown_above: int | None = None
        self.recovery = consensus.Recovery(self.me, self.forge.chain, NONCE, self.members_at, verify_hash)

    def members_at(self, height: Height) -> MemberSet | None:
        if height > self.height + 2 or (self.unknown_above is not None and height > self.unknown_above):
            return None
        known = [self.sets[start] for start in sorted(self.sets) if start <= height]
        return known[-1] if known else self.forge.members

    def reach(self, height: int) -> list[consensus.RecoveryEffect]:
        self.height = Height(height)
        return self.recovery.step(consensus.Advanced(self.height), now=NOW)

    def link(self, *orgs: OrgId) -> list[consensus.RecoveryEffect]:
        return [e for org in orgs for e in self.recovery.step(consensus.Linked(org, True), now=NOW)]

    def tip(self, height: int, forge: Forge | None = None) -> CertifiedTip:
        forge = forge or self.forge
        if height == 0:
            return CertifiedTip(NONCE, Height(0), forge.chain, None)
        forge.height = Height(height)
        certificate = forge.certificate(forge.block(forge.orgs[0]), 0, VoteKind.COMMIT)
        return CertifiedTip(NONCE, Height(height), certificate.block, certificate)

    def answer(self, org: OrgId, tip: CertifiedTip) -> list[consensus.RecoveryEffect]:
        return self.recovery.step(consensus.Answered(org, tip), now=NOW)


def test_everybody_is_asked_once_it_is_linked_and_again_until_it_answers():
    search = Search(4)
    a, b, _, _ = search.forge.orgs
    search.reach(5)

    asked = search.link(a, b)
    search.answer(a, search.tip(5))
    wake_at = search.recovery.wake_at
    assert wake_at is not None
    again = search.recovery.step(consensus.AskAgain(), now=Instant(wake_at, 0))

    assert asked == [consensus.Ask(a, TipRequest(NONCE)), consensus.Ask(b, TipRequest(NONCE))]
    assert again == [consensus.Ask(b, TipRequest(NONCE))]


@pytest.mark.parametrize(("members", "answers"), [(2, 1), (3, 2), (4, 2), (5, 3), (7, 4), (10, 6)])
def test_one_less_than_a_quorum_of_others_is_enough_and_fewer_are_not(members, answers):
    search = Search(members)
    search.reach(9)
    others = search.forge.orgs[:-1]
    search.link(*others)

    found = []
    for index, org in enumerate(others[:answers]):
        assert found == []
        found = search.answer(org, search.tip(9 if index == 1 or answers == 1 else 7))

    assert found == [consensus.Concluded(Height(12))]
    assert search.recovery.wake_at is None


def test_an_answer_counts_only_when_the_own_chain_has_reached_it():
    search = Search(4)
    a, b, _, _ = search.forge.orgs
    search.link(a, b)

    assert search.answer(a, search.tip(100)) == []
    assert search.answer(b, search.tip(90)) == []
    assert search.reach(99) == []
    assert search.reach(100) == [consensus.Concluded(Height(103))]


def test_answers_to_an_earlier_start_and_of_strangers_do_not_count():
    search = Search(4)
    a, b, c, _ = search.forge.orgs
    search.reach(5)
    search.link(a, b, OrgId("stranger"))

    assert search.answer(a, replace(search.tip(5), nonce=Digest(b"\x12" * 32))) == []
    assert search.answer(OrgId("stranger"), search.tip(5)) == []
    # Not linked.
    assert search.answer(c, search.tip(5)) == []
    assert search.recovery.answered == 1
    assert search.answer(b, search.tip(5)) == []
    assert search.answer(a, search.tip(5)) == [consensus.Concluded(Height(8))]


def test_the_own_word_and_one_members_two_answers_count_once():
    search = Search(4)
    a = search.forge.orgs[0]
    search.reach(5)
    search.link(a, search.me)

    assert search.answer(a, search.tip(5)) == []
    assert search.answer(a, search.tip(4)) == []
    assert search.answer(search.me, search.tip(5)) == []


def test_each_part_of_an_answer_is_checked():
    search = Search(4)
    a = search.forge.orgs[0]
    search.reach(5)
    search.link(a)
    good = search.tip(5)
    certificate = good.certificate
    assert certificate is not None
    other = Forge(4, chain=b"\x02" * 32)
    mutants = (
        replace(good, certificate=None),
        replace(good, height=Height(4)),
        replace(good, head=Digest(b"\x05" * 32)),
        replace(good, height=Height(0)),
        replace(good, certificate=replace(certificate, signatures=certificate.signatures[1:])),
        replace(good, certificate=replace(certificate, round=1)),
        search.tip(5, other),
        CertifiedTip(NONCE, Height(0), other.chain, None),
        CertifiedTip(NONCE, Height(0), search.forge.chain, certificate),
    )
    for mutant in mutants:
        effects = search.answer(a, mutant)
        assert [type(effect) for effect in effects] == [consensus.FalseTip], mutant
    # Who lied is asked again and may answer truly.
    assert search.recovery.step(consensus.AskAgain(), now=NOW) == [consensus.Ask(a, TipRequest(NONCE))]
    search.answer(a, good)
    assert search.recovery.answered == 1


def test_a_peer_that_claims_a_height_nobody_has_holds_nothing_up():
    search = Search(4)
    liar, b, c, _ = search.forge.orgs
    search.reach(5)
    search.link(liar, b, c)
    search.answer(liar, search.tip(2**62))

    assert search.answer(b, search.tip(5)) == []
    assert search.answer(c, search.tip(5)) == [consensus.Concluded(Height(8))]


def test_while_more_than_may_lie_are_ahead_the_own_set_is_not_believed():
    # A wiped member stands at its genesis, where it was one of two; a removed member answers at once.
    old, new = Forge(2), Forge(7)
    search = Search(7, sets={1: old.members, 50: new.members})
    search.me = OrgId("m001")
    search.recovery = consensus.Recovery(search.me, search.forge.chain, NONCE, search.members_at, verify_hash)
    search.link(*[org for org in new.orgs if org != search.me])

    assert search.answer(OrgId("m002"), search.tip(60)) == []
    assert search.answer(OrgId("m000"), search.tip(0)) == []


def test_a_change_of_the_set_just_above_the_tip_needs_answers_for_both_sets():
    small, large = Forge(4), Forge(6)
    search = Search(6, sets={1: small.members, 7: large.members})
    search.me = OrgId("m003")
    search.recovery = consensus.Recovery(search.me, search.forge.chain, NONCE, search.members_at, verify_hash)
    search.link(*[org for org in large.orgs if org != search.me])
    search.reach(5)
    quorum_of_small = [OrgId("m000"), OrgId("m001")]

    for org in quorum_of_small:
        assert search.answer(org, search.tip(5, small)) == []
    search.unknown_above = 6
    assert search.answer(OrgId("m002"), search.tip(5, small)) == []
    search.unknown_above = None
    assert search.answer(OrgId("m004"), search.tip(5, small)) == [consensus.Concluded(Height(8))]


def test_alone_only_the_operator_can_end_the_silence():
    search = Search(1)

    assert search.reach(0) == []
    assert search.reach(50) == []
    assert search.recovery.wake_at is None
