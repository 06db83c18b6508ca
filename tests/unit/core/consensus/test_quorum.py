"""Quorums for every n; a member counted twice must not make one (celo#253, klaytn#2026)."""

import pytest

from node.base.types import SignedBy, VoteKind
from node.ledger.certificates import verify_certificate
from node.testing.council import Forge
from node.testing.signing import verify_hash


@pytest.mark.parametrize("n", range(1, 201))
def test_two_quorums_share_more_than_f_members_and_the_honest_reach_one(n):
    members = Forge(n).members
    f, quorum = members.faults_max, members.quorum
    assert 3 * quorum > 2 * n
    assert 2 * quorum - n > f
    assert n - f >= quorum


@pytest.mark.parametrize("n", [5, 6])
def test_a_duplicated_member_does_not_fill_a_quorum(n):
    forge = Forge(n)
    block = forge.block(forge.proposer(0))
    good = forge.certificate(block, 0, VoteKind.COMMIT)
    assert verify_certificate(forge.chain, forge.members, good, VoteKind.COMMIT, verify_hash) is None
    first = good.signatures[0]
    repeated = type(good)(good.height, good.round, good.block, (first, *good.signatures[:-1]))
    assert verify_certificate(forge.chain, forge.members, repeated, VoteKind.COMMIT, verify_hash) is not None
    short = type(good)(good.height, good.round, good.block, good.signatures[:-1])
    assert verify_certificate(forge.chain, forge.members, short, VoteKind.COMMIT, verify_hash) is not None


def test_a_signature_under_another_members_name_does_not_count():
    forge = Forge(4)
    block = forge.block(forge.proposer(0))
    good = forge.certificate(block, 0, VoteKind.PREPARE)
    a, b, c = good.signatures
    swapped = type(good)(0, 0, block.digest, (SignedBy(a.org, b.signature), SignedBy(b.org, a.signature), c))
    swapped = type(good)(good.height, good.round, good.block, swapped.signatures)
    assert verify_certificate(forge.chain, forge.members, swapped, VoteKind.PREPARE, verify_hash) is not None
