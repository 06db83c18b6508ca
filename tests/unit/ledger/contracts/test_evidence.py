"""Two contradicting statements of one member: proof, record, suspension."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from node.base.ports import Signer
from node.base.types import (
    Digest,
    Height,
    OrgId,
    Parameters,
    Signature,
    Statement,
    VoteKind,
    statement_signing_bytes,
)
from node.ledger.contracts.contract import view
from node.ledger.contracts.evidence import Fault, Report, faults, is_reported
from node.ledger.contracts.membership import Leave, Present, State, has_queue
from node.testing.society import Society

DOT = OrgId("dot")
ONE, TWO = Digest(b"1" * 32), Digest(b"2" * 32)


def stated(
    society: Society,
    block: Digest,
    *,
    kind: VoteKind = VoteKind.PREPARE,
    height: int = 1,
    round_: int = 0,
    signer: Signer | None = None,
    prepared: tuple[int, Digest] | tuple[None, None] = (None, None),
    chain: Digest | None = None,
) -> Statement:
    blank = Statement(kind, DOT, Height(height), round_, block, *prepared, Signature(bytes(64)))
    message = statement_signing_bytes(chain or society.founding.chain, blank)
    return replace(blank, signature=Signature((signer or society.node_signer("dot")).sign(message)))


def report(society: Society, first: Statement, second: Statement) -> str:
    return society.call("ada", "report", Report(first, second), contract="evidence").code


def known(society: Society) -> list[Fault]:
    return list(faults(view(society.state, "evidence")))


@pytest.mark.parametrize("kind", [VoteKind.PREPARE, VoteKind.COMMIT])
def test_two_blocks_in_one_round_name_the_member_and_suspend_it(kind: VoteKind) -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    society.blocks(1)
    first, second = stated(society, ONE, kind=kind), stated(society, TWO, kind=kind)
    assert report(society, first, second) == "ok"
    (fault,) = known(society)
    assert (fault.first, fault.second, fault.reporter, fault.suspends) == (first, second, "ada", True)
    society.blocks(1)
    standing = society.standing("dot")
    assert standing is not None
    assert standing.state is State.SUSPENDED
    assert report(society, second, first) == "already-reported"
    assert is_reported(view(society.state, "evidence"), first)


def test_two_round_changes_with_different_claims() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    kind = VoteKind.ROUND_CHANGE
    zero = Digest(bytes(32))
    plain = stated(society, zero, kind=kind, round_=2)
    claims = stated(society, zero, kind=kind, round_=2, prepared=(1, ONE))
    assert report(society, plain, claims) == "ok"


Lie = Callable[[Society], tuple[Statement, Statement]]
NO_PROOF: dict[str, tuple[str, Lie]] = {
    "the same twice": ("same-statement", lambda s: (stated(s, ONE), stated(s, ONE))),
    # Fields that the signature does not cover prove nothing.
    "a claim without its digest": (
        "same-statement",
        lambda s: (
            stated(s, Digest(bytes(32)), kind=VoteKind.ROUND_CHANGE),
            replace(stated(s, Digest(bytes(32)), kind=VoteKind.ROUND_CHANGE), prepared_round=3),
        ),
    ),
    "a prepared round beside a vote": (
        "same-statement",
        lambda s: (stated(s, ONE), replace(stated(s, ONE), prepared_round=1, prepared=TWO)),
    ),
    "two rounds": ("not-comparable", lambda s: (stated(s, ONE), stated(s, TWO, round_=1))),
    "two heights": ("not-comparable", lambda s: (stated(s, ONE), stated(s, TWO, height=2))),
    "two kinds": ("not-comparable", lambda s: (stated(s, ONE), stated(s, TWO, kind=VoteKind.COMMIT))),
    "two members": ("not-comparable", lambda s: (stated(s, ONE), replace(stated(s, TWO), org=OrgId("bob")))),
    "a round below zero": ("not-comparable", lambda s: (stated(s, ONE, round_=-1), stated(s, TWO, round_=-1))),
    "a wrong signature": (
        "bad-signature",
        lambda s: (stated(s, ONE), replace(stated(s, TWO), signature=Signature(bytes(64)))),
    ),
    "another's key": ("bad-signature", lambda s: (stated(s, ONE), stated(s, TWO, signer=s.node_signer("bob")))),
    # The same members and the same height on another chain: nothing crosses (tendermint#4926).
    "another chain": ("bad-signature", lambda s: (stated(s, ONE), stated(s, TWO, chain=Digest(bytes(32))))),
    "a height to come": ("unknown-height", lambda s: (stated(s, ONE, height=99), stated(s, TWO, height=99))),
    "no height": ("unknown-height", lambda s: (stated(s, ONE, height=0), stated(s, TWO, height=0))),
}


@pytest.mark.parametrize("words", NO_PROOF)
def test_what_proves_nothing_is_refused(words: str) -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    society.blocks(2)
    code, lie = NO_PROOF[words]
    assert report(society, *lie(society)) == code
    assert known(society) == []
    assert not has_queue(society.view)


def test_old_heights_are_judged_with_the_keys_of_their_time() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    society.call("dot", "present", Present(society.card("dot", 2), None))
    society.blocks(1)
    old, new = society.node_signer("dot", 1), society.node_signer("dot", 2)
    changed = society.height + 1
    society.blocks(1)
    assert report(society, *(stated(society, b, signer=new) for b in (ONE, TWO))) == "bad-signature"
    height = {"height": changed}
    assert report(society, *(stated(society, b, signer=old, **height) for b in (ONE, TWO))) == "bad-signature"
    assert report(society, *(stated(society, b, signer=old) for b in (ONE, TWO))) == "ok"


def test_who_left_meanwhile_is_named_all_the_same() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    society.call("dot", "leave", Leave())
    society.blocks(2)
    assert report(society, *(stated(society, b, height=society.height) for b in (ONE, TWO))) == "unknown-signer"
    assert report(society, stated(society, ONE), stated(society, TWO)) == "ok"
    (fault,) = known(society)
    assert not fault.suspends


def test_a_network_may_choose_not_to_suspend_and_never_suspends_the_last() -> None:
    society = Society(["ada", "bob", "cid", "dot"], Parameters(suspend_equivocators=False))
    assert report(society, stated(society, ONE), stated(society, TWO)) == "ok"
    assert not has_queue(society.view)
    assert [fault.suspends for fault in known(society)] == [False]

    alone = Society(["dot"])
    receipt = alone.call("dot", "report", Report(stated(alone, ONE), stated(alone, TWO)), contract="evidence")
    assert receipt.accepted
    assert alone.members.orgs == ("dot",)
