"""Newer cards: who may present which, rotation of keys by the queue, revocation, TLS terms."""

from dataclasses import replace

import pytest

from node.base.types import Height, OrgId, PublicKey, Signature
from node.ledger.apply import check_transaction
from node.ledger.contracts.membership import (
    Admit,
    Present,
    Replace,
    Revoke,
    State,
    Support,
    card_of,
    certificates_of,
    fingerprint,
    has_queue,
    is_revoked,
)
from node.ledger.contracts.membership.cards import TLS_OVERLAP_MS
from node.ledger.contracts.sharing import Register
from node.ledger.errors import Unacceptable
from node.ledger.system import members_at
from node.testing.signing import HashSigner, verify_hash
from node.testing.society import Society

DOT = OrgId("dot")
THIEF = HashSigner(b"thief")


@pytest.fixture
def society() -> Society:
    return Society(["ada", "bob", "cid", "dot"])


def key(signer: HashSigner) -> PublicKey:
    return PublicKey(signer.public_key)


def test_a_new_node_key_is_in_force_two_blocks_later_and_old_signatures_stay_true(society: Society) -> None:
    old = society.members.keys[DOT]
    newer = society.card("dot", 2)
    assert society.call("ada", "present", Present(newer, None)).accepted  # Any member hands it in.
    accepted = society.height
    assert society.members.keys[DOT] == old

    between = society.sign("dot", "register", Register("between", newer.body.data_key), contract="sharing")
    assert society.extend(between).receipts[0].accepted

    society.node[DOT] = society.node_signer("dot", 2)
    assert society.members.keys[DOT] == newer.body.node_key
    assert society.call("dot", "register", Register("after", old), contract="sharing").accepted
    history = [members_at(society.state, Height(height)) for height in (accepted + 1, accepted + 2)]
    assert [members.keys[DOT] if members else None for members in history] == [old, newer.body.node_key]


def test_a_signature_of_a_key_that_is_changing_is_told_from_a_bad_one(society: Society) -> None:
    old = society.node_signer("dot")

    def code(signer: HashSigner) -> str:
        society.node[DOT] = signer
        transaction = society.sign("dot", "register", Register(f"d{society.height}", key(signer)), contract="sharing")
        try:
            chain = society.founding.chain
            check_transaction(society.state, chain, society.time_ms, society.members, transaction, verify_hash)
        except Unacceptable as error:
            return error.code
        return "ok"

    society.call("dot", "present", Present(society.card("dot", 2), None))
    new = society.node_signer("dot", 2)
    assert [code(signer) for signer in (old, new, THIEF)] == ["ok", "other-key", "bad-signature"]
    society.blocks(1)
    assert [code(signer) for signer in (old, new, THIEF)] == ["other-key", "ok", "bad-signature"]


def test_one_change_of_node_key_at_a_time(society: Society) -> None:
    first = society.sign("dot", "present", Present(society.card("dot", 2), None))
    second = society.sign("dot", "present", Present(society.card("dot", 3), None))
    assert [receipt.code for receipt in society.extend(first, second).receipts] == ["ok", "rotation-waits"]
    society.blocks(1)
    society.node[DOT] = society.node_signer("dot", 2)
    assert society.call("dot", "present", Present(society.card("dot", 3), None)).accepted


def test_cards_that_are_refused(society: Society) -> None:
    ada = society.card("ada", 2).body
    good = society.card("dot", 2)
    refused = {
        "old-card": society.card("dot", 1),
        "bad-signature": replace(good, signature=Signature(bytes(64))),
        "bad-card": society.card("dot", 2, data_key=good.body.node_key),
        "term-over": society.card("dot", 2, tls_until_ms=society.time_ms),
        "not-a-member": society.card("eve"),
    }
    for code, card in refused.items():
        assert society.call("dot", "present", Present(card, None)).code == code
    too_large = society.card("dot", 2, addresses=("a" * (17 << 10),))
    assert society.call("dot", "present", Present(too_large, None)).code == "bad-card"
    taken = {
        "node_key": society.members.keys[OrgId("ada")],
        "data_key": ada.data_key,
        "tls_certificate": ada.tls_certificate,
    }
    for field, value in taken.items():
        card = society.card("dot", 2, **{field: value})
        assert society.call("dot", "present", Present(card, None)).code == "key-taken", field
    stolen_name = society.card("eve", organisation_key=ada.organisation_key, signer=society.organisation[OrgId("ada")])
    assert society.call("ada", "support", Support(Admit(stolen_name))).code == "key-taken"
    assert card_of(society.view, DOT) == society.founding.genesis.body.cards[3]


def test_a_key_that_was_given_up_stays_its_organisations(society: Society) -> None:
    old = society.members.keys[OrgId("ada")]
    society.call("ada", "present", Present(society.card("ada", 2), None))
    society.blocks(1)
    assert society.call("dot", "present", Present(society.card("dot", 2, node_key=old), None)).code == "key-taken"


def test_a_new_organisation_key_needs_the_old_ones_word(society: Society) -> None:
    old, new = society.organisation[DOT], HashSigner(b"new root")
    card = society.card("dot", 2, organisation_key=key(new), signer=new)
    assert society.call("dot", "present", Present(card, None)).code == "not-endorsed"
    assert society.call("dot", "present", Present(card, society.endorsement(card, new))).code == "not-endorsed"
    other = society.card("dot", 3, organisation_key=key(new), signer=new)
    assert society.call("dot", "present", Present(card, society.endorsement(other, old))).code == "not-endorsed"
    assert society.call("dot", "present", Present(card, society.endorsement(card, old))).accepted

    society.node[DOT] = society.node_signer("dot", 2)
    society.blocks(1)
    assert society.call("dot", "present", Present(society.card("dot", 3), None)).code == "not-endorsed"
    mine = society.card("dot", 3, organisation_key=key(new), signer=new)
    assert society.call("dot", "present", Present(mine, None)).accepted


def test_a_stolen_organisation_key_is_revoked_and_replaced_by_a_quorum(society: Society) -> None:
    old, new = society.organisation[DOT], HashSigner(b"new root")
    assert society.pass_motion(Revoke(DOT, key(old))).accepted
    assert society.members.orgs == ("ada", "bob", "cid", "dot")
    # The thief can sign cards, and endorse any.
    assert society.call("dot", "present", Present(society.card("dot", 2), None)).code == "revoked-key"
    stolen = society.card("dot", 2, organisation_key=key(THIEF), signer=THIEF)
    receipt = society.call("dot", "present", Present(stolen, society.endorsement(stolen, old)))
    assert receipt.code == "revoked-key"

    card = society.card("dot", 2, organisation_key=key(new), signer=new)
    assert society.pass_motion(Replace(card)).accepted
    society.blocks(1)
    assert society.members.keys[DOT] == card.body.node_key
    assert card_of(society.view, DOT) == card


def test_a_stolen_node_key_puts_its_member_out_until_it_has_another(society: Society) -> None:
    stolen = society.members.keys[DOT]
    assert society.pass_motion(Revoke(DOT, stolen)).accepted
    society.blocks(1)
    standing = society.standing("dot")
    assert standing is not None
    assert standing.state is State.SUSPENDED
    assert society.call("ada", "support", Support(Admit(society.card("dot")))).code == "revoked-key"
    again = society.card("dot", 2, node_key=stolen)
    assert society.call("ada", "support", Support(Admit(again))).code == "revoked-key"

    society.node[DOT] = society.node_signer("dot", 2)
    society.join("dot", 2)
    assert society.members.keys[DOT] == society.card("dot", 2).body.node_key
    society.node[DOT] = society.node_signer("dot", 1)
    assert society.extend(society.sign("dot", "register", b"", contract="sharing")).receipts == ()
    assert society.call("ada", "support", Support(Revoke(DOT, stolen))).code == "already-revoked"


def test_a_node_key_that_was_rotated_away_is_revoked_without_a_suspension(society: Society) -> None:
    stolen = society.members.keys[DOT]
    society.call("dot", "present", Present(society.card("dot", 2), None))
    society.blocks(1)
    society.pass_motion(Revoke(DOT, stolen))
    assert not has_queue(society.view)
    back = society.card("dot", 3, node_key=stolen)
    assert society.call("ada", "present", Present(back, None)).code == "revoked-key"


def test_a_candidate_whose_key_was_revoked_signs_nothing(society: Society) -> None:
    card = society.card("eve")
    society.pass_motion(Admit(card))
    society.pass_motion(Revoke(OrgId("eve"), card.body.node_key))
    assert society.extend(society.sign("eve", "ready", society.root())).receipts == ()
    newer = society.card("eve", 2)
    assert society.call("ada", "present", Present(newer, None)).accepted
    society.node[OrgId("eve")] = society.node_signer("eve", 2)
    assert society.call("eve", "ready", society.root()).accepted


def test_an_old_certificate_overlaps_the_new_one_for_a_while(society: Society) -> None:
    old = certificates_of(society.view, DOT)
    newer = society.card("dot", 2, tls_certificate=b"second")
    society.call("dot", "present", Present(newer, None))
    society.node[DOT] = society.node_signer("dot", 2)
    assert certificates_of(society.view, DOT) == (b"second", *old)
    third = society.card("dot", 3, tls_certificate=b"third", node_key=newer.body.node_key)
    society.blocks(1)
    society.call("dot", "present", Present(third, None))
    assert certificates_of(society.view, DOT) == (b"third", b"second")

    society.time_ms += TLS_OVERLAP_MS - 2_000
    society.blocks(1)
    assert certificates_of(society.view, DOT) == (b"third", b"second")
    society.blocks(2)
    assert certificates_of(society.view, DOT) == (b"third",)


def test_a_stolen_tls_key_opens_no_link_from_the_block_on(society: Society) -> None:
    stolen = fingerprint(certificates_of(society.view, DOT)[0])
    society.call("dot", "present", Present(society.card("dot", 2, tls_certificate=b"second"), None))
    assert len(certificates_of(society.view, DOT)) == 2
    society.pass_motion(Revoke(DOT, stolen))
    assert certificates_of(society.view, DOT) == (b"second",)
    assert is_revoked(society.view, stolen)
    assert society.members.orgs == ("ada", "bob", "cid", "dot")


def test_an_expired_tls_term_never_blocks_its_own_renewal(society: Society) -> None:
    """fabric#4875, at its worst: every member's term is over."""
    society.time_ms = max(card.body.tls_until_ms for card in society.founding.body.cards) + 1
    later = society.time_ms + (1 << 44)
    for org in ("ada", "bob", "cid", "dot"):
        assert society.extend(society.sign(org, "register", b"", contract="sharing")).receipts == ()
        newer = society.card(org, 2, tls_until_ms=later, tls_certificate=b"new of " + org.encode())
        assert society.extend(society.sign(org, "present", Present(newer, None))).receipts[0].accepted
        society.blocks(1)
        society.node[OrgId(org)] = society.node_signer(org, 2)
        data = Register("data", PublicKey(bytes(32)))
        assert society.call(org, "register", data, contract="sharing").accepted
