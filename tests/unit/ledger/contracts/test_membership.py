"""Motions, the queue of changes, and how organisations enter and leave."""

from dataclasses import replace

import pytest

from node.base.ports import Writes
from node.base.types import Digest, Height, OrgId, Parameters, PublicKey, member_set_digest
from node.ledger.apply import members_at_head
from node.ledger.contracts.membership import (
    Admit,
    Adopt,
    Leave,
    Present,
    Ready,
    Recovered,
    Remove,
    Revoke,
    State,
    Support,
    Suspend,
    Withdraw,
    cel_coming,
    cel_version_at,
    epoch,
    has_queue,
    motion_id,
    open_motion,
    open_motions,
)
from node.ledger.contracts.membership.motions import MOTIONS_PER_ORG_MAX
from node.ledger.memory import MemoryState
from node.ledger.system import ROOTS_MAX, members_at, set_history
from node.testing.society import Society

NAMES = ("ada", "bob", "cid", "dot", "eli", "fay", "gus", "hal", "ida", "joe")


def state(society: Society, org: str) -> State | None:
    standing = society.standing(org)
    return None if standing is None else standing.state


def test_a_change_accepted_in_block_h_is_in_force_at_h_plus_2() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    receipt = society.pass_motion(Remove(OrgId("dot")))
    accepted = society.height
    assert receipt.accepted
    assert has_queue(society.view)
    assert "dot" in society.members.keys
    assert state(society, "dot") is State.MEMBER

    society.blocks(1)

    assert not has_queue(society.view)
    assert society.members.orgs == ("ada", "bob", "cid")
    standing = society.standing("dot")
    assert standing is not None
    assert (standing.state, standing.since) == (State.REMOVED, accepted + 2)
    assert [height for height, _ in set_history(society.state)] == [1, accepted + 2]
    assert members_at(society.state, Height(accepted + 1)) == society.founding.members
    assert members_at(society.state, Height(accepted + 2)) == society.members
    header = society.certified[-1].block.header
    assert (header.members, header.next_members) == (
        member_set_digest(society.founding.members),
        member_set_digest(society.members),
    )


@pytest.mark.parametrize("count", range(1, 11))
def test_a_motion_passes_with_the_quorum_and_not_with_one_less(count: int) -> None:
    society = Society(NAMES[:count])
    motion = Admit(society.card("new"))
    quorum = 2 * count // 3 + 1
    for number, org in enumerate(NAMES[:quorum], 1):
        receipt = society.call(org, "support", Support(motion))
        assert receipt.accepted
        assert [event.name for event in receipt.events][-1] == ("passed" if number == quorum else "supported")
        assert (state(society, "new") is State.CANDIDATE) == (number == quorum)
    assert open_motion(society.view, motion_id(motion)) is None


def test_supporters_are_counted_against_the_set_in_force() -> None:
    society = Society(["ada", "bob", "cid", "dot", "eli"])
    motion = Suspend(OrgId("eli"))
    for org in ("bob", "cid", "dot"):
        society.call(org, "support", Support(motion))
    society.call("dot", "leave", Leave())
    society.blocks(1)

    receipt = society.call("bob", "support", Support(motion))
    assert receipt.code == "already-supported"
    receipt = society.call("ada", "support", Support(motion))

    assert receipt.accepted
    assert has_queue(society.view)


def test_a_supporter_may_say_it_again_when_the_quorum_has_become_smaller() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    motion = Admit(society.card("new"))
    for org in ("ada", "bob"):
        society.call(org, "support", Support(motion))
    for org in ("cid", "dot"):
        society.call(org, "leave", Leave())
    society.blocks(2)
    assert society.members.orgs == ("ada", "bob")
    assert society.call("ada", "support", Support(motion)).accepted
    assert state(society, "new") is State.CANDIDATE


def test_double_support_and_withdrawal() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    motion = Remove(OrgId("dot"))
    assert society.call("ada", "support", Support(motion)).accepted
    assert society.call("ada", "support", Support(motion)).code == "already-supported"
    assert society.call("bob", "withdraw", Withdraw(motion_id(motion))).code == "not-supported"
    assert society.call("bob", "support", Support(motion)).accepted
    assert society.call("ada", "withdraw", Withdraw(motion_id(motion))).accepted
    found = open_motion(society.view, motion_id(motion))
    assert found is not None
    assert found.supporters == ("bob",)
    assert society.call("bob", "withdraw", Withdraw(motion_id(motion))).accepted
    assert open_motion(society.view, motion_id(motion)) is None


def test_a_motion_that_ran_out_begins_anew() -> None:
    society = Society(["ada", "bob", "cid", "dot"], Parameters(motion_ms=5_000))
    motion = Remove(OrgId("dot"))
    society.call("ada", "support", Support(motion))
    society.call("bob", "support", Support(motion))
    society.blocks(6)
    assert society.call("cid", "support", Support(motion)).accepted
    found = open_motion(society.view, motion_id(motion))
    assert found is not None
    assert (found.supporters, found.opener) == (("cid",), "cid")
    assert found.until_ms == society.time_ms + 5_000


def test_one_organisation_opens_so_many_motions_and_those_that_ran_out_make_room() -> None:
    society = Society(["ada", "bob", "cid", "dot"], Parameters(motion_ms=60_000))
    for number in range(MOTIONS_PER_ORG_MAX):
        assert society.call("ada", "support", Support(Admit(society.card(f"new{number}")))).accepted
    one_more = Support(Admit(society.card("last")))
    assert society.call("ada", "support", one_more).code == "too-many-motions"
    assert society.call("bob", "support", one_more).accepted
    society.blocks(60)
    assert society.call("ada", "support", one_more).accepted
    assert len(list(open_motions(society.view))) == 1


def test_the_last_member_cannot_leave_and_nobody_can_be_sent_away_last() -> None:
    society = Society(["ada", "bob"])
    assert society.call("ada", "leave", Leave()).accepted
    assert society.call("bob", "leave", Leave()).code == "last-member"
    society.blocks(1)
    assert society.members.orgs == ("bob",)
    for motion in (Remove(OrgId("bob")), Suspend(OrgId("bob"))):
        assert society.call("bob", "support", Support(motion)).code == "last-member"
    key = society.members.keys[OrgId("bob")]
    assert society.call("bob", "support", Support(Revoke(OrgId("bob"), key))).accepted
    assert society.members.orgs == ("bob",)


def test_many_changes_are_spread_over_blocks_in_their_order() -> None:
    society = Society(NAMES)
    leaving = list(NAMES[:8])
    society.extend(*(society.sign(org, "leave", Leave()) for org in leaving))
    seen = []
    while has_queue(society.view):
        before = set(society.members.orgs)
        society.blocks(1)
        seen.append(sorted(before - set(society.members.orgs)))
    # The block that takes changes has the set of two blocks before its first change in force: n at that height.
    assert [len(gone) for gone in seen] == [3, 2, 1, 1, 1]
    assert [org for gone in seen for org in gone] == leaving
    assert society.members.orgs == ("ida", "joe")


def test_other_changes_of_an_organisation_that_is_removed_do_no_harm() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    newer = society.card("dot", 2)
    society.extend(
        society.sign("dot", "present", Present(newer, None)),
        *(society.sign(org, "support", Support(Remove(OrgId("dot")))) for org in ("ada", "bob", "cid")),
    )
    society.blocks(2)
    assert society.members.orgs == ("ada", "bob", "cid")
    assert state(society, "dot") is State.REMOVED

    # And the other way round: the key changes no more once the removal waits.
    society = Society(["ada", "bob", "cid", "dot"])
    newer = society.card("dot", 2)
    society.extend(
        *(society.sign(org, "support", Support(Remove(OrgId("dot")))) for org in ("ada", "bob", "cid")),
        society.sign("dot", "present", Present(newer, None)),
        society.sign("dot", "leave", Leave()),
    )
    assert society.executed[-1].receipts[-1].code == "already-leaving"
    society.blocks(2)
    assert not has_queue(society.view)
    assert state(society, "dot") is State.REMOVED


@pytest.mark.parametrize("kind", [Remove, Suspend])
def test_who_left_is_admitted_again_and_its_nonces_are_remembered(kind: type[Remove] | type[Suspend]) -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    old = society.sign("dot", "leave", Leave())
    society.pass_motion(kind(OrgId("dot")))
    society.blocks(1)
    assert society.extend(society.sign("dot", "leave", Leave())).receipts == ()

    # Its card is on the ledger: the members need no new one.
    assert society.pass_motion(Admit(society.card("dot"))).accepted
    assert state(society, "dot") is State.CANDIDATE
    assert society.call("dot", "ready", society.root()).accepted
    society.blocks(1)
    assert "dot" in society.members.keys

    used = society.call("dot", "support", Support(Suspend(OrgId("ada"))))
    assert used.accepted
    replayed = [transaction for block in society.certified for transaction in block.block.transactions]
    assert society.extend(*(t for t in replayed if t.body.org == "dot")).receipts == ()
    assert society.extend(old).receipts[0].accepted  # A gap that was never used.


def test_a_candidate_signs_for_its_membership_alone_and_nobody_asks_it_to_vote() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    motion = Admit(society.card("eve"))
    assert society.extend(society.sign("eve", "ready", society.root())).receipts == ()
    society.pass_motion(motion)
    assert society.extend(society.sign("eve", "register", b"", contract="sharing")).receipts == ()
    assert society.call("eve", "support", Support(Remove(OrgId("dot")))).code == "not-in-force"
    assert society.call("ada", "ready", society.root()).code == "not-a-candidate"


def test_a_candidate_shows_one_of_the_last_states() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    society.pass_motion(Admit(society.card("eve")))
    society.blocks(ROOTS_MAX)
    wrong = replace(society.root(), state_root=Digest(bytes(32)))
    assert society.call("eve", "ready", wrong).code == "wrong-root"
    assert society.call("eve", "ready", society.root(ROOTS_MAX)).code == "old-height"
    assert society.call("eve", "ready", Ready(Height(society.height + 1), Digest(bytes(32)))).code == "old-height"
    told = society.extend(
        society.sign("eve", "ready", society.root(ROOTS_MAX - 1)), society.sign("eve", "ready", society.root())
    )
    assert [receipt.code for receipt in told.receipts] == ["ok", "already-ready"]
    society.blocks(1)
    assert "eve" in society.members.keys


def test_the_genesis_state_counts_as_one_of_the_last() -> None:
    society = Society(["ada"])
    society.pass_motion(Admit(society.card("bob")))
    assert society.call("bob", "ready", society.root(1)).accepted


def test_a_candidate_that_leaves_is_gone_at_once_or_by_the_queue() -> None:
    society = Society(["ada"])
    society.pass_motion(Admit(society.card("bob")))
    assert society.call("bob", "leave", Leave()).accepted
    assert state(society, "bob") is State.REMOVED
    society.pass_motion(Admit(society.card("bob")))
    society.extend(society.sign("bob", "ready", society.root()), society.sign("bob", "leave", Leave()))
    society.blocks(2)
    assert state(society, "bob") is State.REMOVED
    assert society.members.orgs == ("ada",)


def test_what_cannot_pass_collects_no_support() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    society.pass_motion(Admit(society.card("eve")))
    refused = {
        "already-admitted": Admit(society.card("eve", 2)),
        "not-a-member": Suspend(OrgId("eve")),
        "unknown-key": Revoke(OrgId("ada"), society.members.keys[OrgId("bob")]),
    }
    for code, motion in refused.items():
        receipt = society.call("ada", "support", Support(motion))
        assert (receipt.code, bool(receipt.reason)) == (code, True)
    assert society.call("ada", "support", Support(Remove(OrgId("zed")))).code == "not-a-member"
    assert society.call("ada", "support", Support(Revoke(OrgId("ada"), PublicKey(bytes(32))))).code == "unknown-key"


def test_the_epoch_grows_when_who_may_connect_changes_and_only_then() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    before = epoch(society.view)
    society.call("ada", "support", Support(Remove(OrgId("dot"))))
    society.blocks(1)
    assert epoch(society.view) == before
    society.pass_motion(Admit(society.card("eve")))
    admitted = epoch(society.view)
    assert admitted > before
    society.pass_motion(Suspend(OrgId("dot")))
    assert epoch(society.view) == admitted
    society.blocks(1)
    assert epoch(society.view) > admitted


def test_a_recovery_is_recorded_once() -> None:
    society = Society(["ada", "bob"])
    assert society.call("ada", "recovered", Recovered(Height(1))).accepted
    assert society.call("ada", "recovered", Recovered(Height(1))).code == "known"
    assert society.call("ada", "recovered", Recovered(Height(99))).code == "unknown-height"


def test_the_order_of_proposers_follows_from_what_headers_hash() -> None:
    """CometBFT ASA-2024-009: whoever starts from a snapshot of the state must come to the same proposers."""
    society = Society(["bob", "cid"])
    for name in ("zoe", "ada", "moe"):
        society.join(name)
    society.call("bob", "leave", Leave())
    society.pass_motion(Suspend(OrgId("zoe")))
    society.blocks(3)
    # Another order of insertion than the chain's own, as a snapshot would bring it.
    copied = MemoryState()
    copied.apply(Writes(tuple(sorted(society.state.values.items(), reverse=True)), ()))

    for certified in society.certified:
        header = certified.block.header
        members = members_at(copied, header.height)
        assert members is not None
        assert member_set_digest(members) == header.members
        assert members.proposer(header.height, 0) == header.author
        assert list(members.orgs) == sorted(members.orgs)
    assert members_at_head(copied) == society.members


def test_a_quorum_adopts_another_cel_from_a_height_on() -> None:
    society = Society(["ada", "bob", "cid", "dot"])
    first, second = Height(society.height + 10), Height(society.height + 20)

    assert cel_version_at(society.view, Height(100)) is None
    assert society.pass_motion(Adopt("0.2.0", first)).accepted
    assert society.pass_motion(Adopt("0.3.0", second)).accepted

    found = [cel_version_at(society.view, Height(height)) for height in (first - 1, first, second - 1, second)]
    assert found == [None, "0.2.0", "0.2.0", "0.3.0"]
    assert list(cel_coming(society.view, Height(first - 1))) == [(first, "0.2.0"), (second, "0.3.0")]
    assert list(cel_coming(society.view, first)) == [(second, "0.3.0")]


@pytest.mark.parametrize(
    ("motion", "code"),
    [
        (Adopt("0.2.0", Height(2)), "bad-height"),
        (Adopt("0.2.0", Height(1 << 40)), "bad-height"),
        (Adopt("", Height(50)), "bad-version"),
        (Adopt("0.2 ", Height(50)), "bad-version"),
    ],
)
def test_what_is_not_adopted(motion: Adopt, code: str) -> None:
    assert Society(["ada"]).call("ada", "support", Support(motion)).code == code
