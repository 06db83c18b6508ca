"""A certificate is a quorum of one set, of one kind, for one block and round; every redundant part is checked."""

from dataclasses import replace

import pytest

from node.base.types import Certificate, Digest, Height, Member, MemberSet, OrgId, Signature, SignedBy, VoteKind
from node.ledger.certificates import verify_certificate
from node.testing.founding import Founding

BLOCK = Digest(b"b" * 32)


def holds(founding: Founding, certificate: Certificate, kind: VoteKind = VoteKind.COMMIT) -> str | None:
    return verify_certificate(founding.chain, founding.members, certificate, kind, founding.verify)


@pytest.mark.parametrize("count", range(1, 12))
def test_exactly_the_quorum_is_needed(count: int) -> None:
    founding = Founding([f"org{at:02}" for at in range(count)])
    quorum = 2 * count // 3 + 1
    assert holds(founding, founding.certificate(BLOCK, 3, orgs=founding.members.orgs[:quorum])) is None
    assert holds(founding, founding.certificate(BLOCK, 3, orgs=founding.members.orgs)) is None
    reason = holds(founding, founding.certificate(BLOCK, 3, orgs=founding.members.orgs[: quorum - 1]))
    assert reason is not None
    assert "quorum" in reason


def test_a_quorum_is_more_than_two_thirds_and_two_quorums_share_an_honest_member() -> None:
    for count in range(1, 201):
        members = MemberSet(tuple(Member(OrgId(f"o{at:03}"), b"") for at in range(count)))  # type: ignore[arg-type]
        assert 3 * members.quorum > 2 * count
        assert 2 * members.quorum - count > members.faults_max
        assert members.quorum <= count - members.faults_max


def test_every_part_counts() -> None:
    founding = Founding()
    good = founding.certificate(BLOCK, 3, round_=2)
    one, two, three = good.signatures
    assert holds(founding, good) is None
    changed = [
        replace(good, height=Height(4)),
        replace(good, height=Height(0)),
        replace(good, round=1),
        replace(good, round=-1),
        replace(good, block=Digest(bytes(32))),
        replace(good, signatures=()),
        replace(good, signatures=(one, two, two)),
        replace(good, signatures=(one, two, two, three)),
        replace(good, signatures=(three, two, one)),
        replace(good, signatures=(one, two, SignedBy(OrgId("dot"), three.signature))),
        replace(good, signatures=(one, two, SignedBy(three.org, Signature(bytes(64))))),
        replace(good, signatures=(one, two, three, SignedBy(OrgId("eve"), three.signature))),
    ]
    assert [holds(founding, certificate) is not None for certificate in changed] == [True] * len(changed)


def test_votes_of_one_kind_or_chain_do_not_count_as_another() -> None:
    founding, other = Founding(), Founding(name="other")
    good = founding.certificate(BLOCK, 3)
    assert holds(founding, good, VoteKind.PREPARE) is not None
    assert holds(founding, founding.certificate(BLOCK, 3, kind=VoteKind.PREPARE)) is not None
    assert holds(founding, other.certificate(BLOCK, 3)) is not None
