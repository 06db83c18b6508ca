"""Cards by the join call: strangers wait for the operator, members' newer cards go to the ledger."""

import os
import time
from dataclasses import replace

import pytest

from node.app.applicants import APPLICANTS_MAX, Applicants, Reception
from node.base.codec import encode
from node.base.crypto import Ed25519Signer, digest
from node.base.types import CardBody, Genesis, OrgId, Parameters, PublicKey, Signature
from node.edge.storage import draft_genesis, sign_card
from node.edge.storage.identity import make_tls_secret
from node.edge.transport import JoinRefused
from node.ledger.genesis import genesis_writes
from node.ledger.memory import MemoryState

LATER_MS = 1 << 45


def key_of(org: str) -> Ed25519Signer:
    return Ed25519Signer(digest("organisation", org.encode()))


def card_of(org: str, signer: Ed25519Signer | None = None, **changes):
    signer = signer or key_of(org)
    body = CardBody(
        org=OrgId(org),
        sequence=1,
        organisation_key=PublicKey(signer.public_key),
        node_key=PublicKey(digest("node", signer.public_key)),
        data_key=PublicKey(digest("data", signer.public_key)),
        tls_certificate=make_tls_secret(OrgId(org)).certificate,
        tls_until_ms=LATER_MS,
        addresses=("a.example:7400",),
    )
    return sign_card(signer, replace(body, **changes))


class Desk:
    """A member of a network of one, and what it passed on to the ledger."""

    def __init__(self, folder) -> None:
        self.member = card_of("north")
        state = MemoryState()
        body = draft_genesis("n", time.time_ns() // 1_000_000, [self.member], Parameters())
        state.apply(genesis_writes(Genesis(body, (Signature(bytes(64)),))))
        self.applicants = Applicants(folder / "applicants")
        self.passed = []
        self.reception = Reception(self.applicants, state, self.passed.append)

    def waiting(self):
        return [found.card for found in self.applicants.all()]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_a_strangers_card_waits_for_the_operator(desk):
    card = card_of("south")

    answer = desk.reception.receive(encode(card))

    assert "operator" in answer
    assert desk.waiting() == [card]
    assert desk.passed == []


def test_a_members_newer_card_goes_to_the_ledger(desk):
    newer = sign_card(key_of("north"), replace(desk.member.body, sequence=2, addresses=("new.example:7400",)))

    answer = desk.reception.receive(encode(newer))

    assert "on the ledger" in answer
    assert desk.passed == [newer]
    assert desk.waiting() == []


def test_what_is_no_newer_or_no_card_is_refused(desk):
    south = card_of("south")
    bad = [
        encode(desk.member),
        b"",
        encode(south)[:-1],
        encode(replace(south, signature=Signature(bytes(64)))),
        encode(card_of("south", tls_until_ms=1)),
        encode(card_of("south", tls_certificate=b"none")),
        encode(card_of("south", addresses=("nowhere",))),
        encode(card_of("south", sequence=0)),
        encode(card_of("south", node_key=PublicKey(key_of("south").public_key))),
    ]

    for raw in bad:
        with pytest.raises(JoinRefused):
            desk.reception.receive(raw)
    assert desk.waiting() == desk.passed == []


def test_nobody_replaces_anothers_card_by_taking_its_name(desk):
    card, thief = card_of("south"), card_of("south", Ed25519Signer(bytes(32)))
    pretender = card_of("north", Ed25519Signer(bytes(32)), sequence=2)

    for shown in (card, thief, pretender):
        desk.reception.receive(encode(shown))
    newer = card_of("south", sequence=2)
    desk.reception.receive(encode(newer))

    assert sorted(desk.waiting(), key=encode) == sorted([newer, thief, pretender], key=encode)
    assert desk.passed == []


def test_of_too_many_the_oldest_goes(desk, tmp_path):
    certificate = make_tls_secret(OrgId("x")).certificate
    cards = [card_of(f"s{number:03}", tls_certificate=certificate) for number in range(APPLICANTS_MAX + 1)]
    for number, card in enumerate(cards[:-1]):
        desk.applicants.keep(card)
        (file,) = (tmp_path / "applicants").glob(f"{card.body.org}-*")
        os.utime(file, (number, number))

    desk.reception.receive(encode(cards[-1]))

    waiting = desk.waiting()
    assert waiting == cards[1:]
