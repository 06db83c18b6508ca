"""The next card: a new key or new addresses, signed by the key that the ledger names, and taken up when interrupted."""

from dataclasses import replace

import pytest

from node.app.rotation import move, rotate_key
from node.app.settings import SettingsError
from node.base.crypto import verify
from node.base.types import OrgId, PublicKey, card_signing_bytes, endorsement_signing_bytes
from node.edge.storage import KeyName, create_keys, write_card
from node.edge.storage.errors import FileMissing, WrongPassphrase
from node.edge.storage.identity import check_card
from node.edge.storage.keys import generations

A = OrgId("a")
PASSPHRASE = "a long enough one"
FIELDS = {
    KeyName.NODE: {"node_key"},
    KeyName.DATA: {"data_key"},
    KeyName.TLS: {"tls_certificate", "tls_until_ms"},
    KeyName.ORGANISATION: {"organisation_key"},
}


@pytest.fixture
def member(tmp_path):
    return tmp_path, create_keys(tmp_path, A, ("a.example:7400",), PASSPHRASE, 1 << 45)


@pytest.mark.parametrize("name", list(KeyName))
def test_a_rotation_changes_one_key_and_is_signed(member, name):
    root, card = member

    following = rotate_key(root, name, card, PASSPHRASE, tls_days=10)

    old, new = card.body, following.card.body
    check_card(following.card)
    changed = {field for field in old.__slots__ if getattr(old, field) != getattr(new, field)}
    assert changed == FIELDS[name] | {"sequence"}
    assert new.sequence == 2
    signer = new.organisation_key if name is KeyName.ORGANISATION else old.organisation_key
    assert verify(signer, card_signing_bytes(new), following.card.signature)
    if name is KeyName.ORGANISATION:
        assert verify(old.organisation_key, endorsement_signing_bytes(new), following.endorsement)
    else:
        assert following.endorsement is None


@pytest.mark.parametrize("name", list(KeyName))
def test_an_interrupted_rotation_makes_no_second_key(member, name):
    root, card = member
    first = rotate_key(root, name, card, PASSPHRASE, tls_days=10)

    again = rotate_key(root, name, card, PASSPHRASE, tls_days=10)
    after = rotate_key(root, name, first.card, PASSPHRASE, tls_days=10)

    assert replace(again.card.body, tls_until_ms=0) == replace(first.card.body, tls_until_ms=0)
    assert after.card.body.sequence == 3
    assert generations(root, name) == [1, 2, 3]


def test_who_cannot_sign_the_card_makes_no_key(member):
    root, card = member
    stranger = replace(card, body=replace(card.body, organisation_key=PublicKey(bytes(32))))

    with pytest.raises(FileMissing, match="does not hold the organisation key"):
        rotate_key(root, KeyName.NODE, stranger, PASSPHRASE, tls_days=10)
    with pytest.raises(WrongPassphrase):
        rotate_key(root, KeyName.NODE, card, PASSPHRASE + " ", tls_days=10)
    assert generations(root, KeyName.NODE) == [1]


def test_new_addresses_change_nothing_else(member):
    root, card = member

    following = move(root, card, PASSPHRASE, ["b.example:1", "[::1]:2"])

    assert following.card.body == replace(card.body, sequence=2, addresses=("b.example:1", "[::1]:2"))
    check_card(following.card)
    write_card(root / "card.json", following.card)
    with pytest.raises(SettingsError, match="host:port"):
        move(root, card, PASSPHRASE, ["nowhere"])
