"""Keys that are renewed: a file a generation, nothing is overwritten, and what an interruption left is taken up."""

from dataclasses import replace

import pytest

from node.base.types import Card, OrgId, PublicKey
from node.edge.storage.errors import FileDamaged, FileMissing, WrongPassphrase
from node.edge.storage.identity import create_keys, create_next_key
from node.edge.storage.keyring import (
    GENERATIONS_MAX,
    HeldKey,
    MemberKeys,
    load_member_keys,
    load_organisation_key,
    open_key,
)
from node.edge.storage.keys import KeyName, generations, key_path
from node.edge.storage.sealed import FileSealer

A = OrgId("a")
PASSPHRASE = "a long enough one"
PUBLIC = {
    KeyName.ORGANISATION: lambda card: card.body.organisation_key,
    KeyName.NODE: lambda card: card.body.node_key,
    KeyName.TLS: lambda card: card.body.tls_certificate,
    KeyName.DATA: lambda card: card.body.data_key,
}


@pytest.fixture(scope="module")
def renewed(tmp_path_factory):
    """A member's folder with a second generation of each key, as a renewal leaves it before its card is made."""
    folder = tmp_path_factory.mktemp("renewed")
    card = create_keys(folder, A, (), PASSPHRASE, 1 << 45)
    keys = {name: create_next_key(folder, name, A, PASSPHRASE, PUBLIC[name](card)) for name in KeyName}
    return folder, card, keys


def body_with(card: Card, keys: dict[KeyName, HeldKey]):
    return replace(
        card.body,
        node_key=PublicKey(keys[KeyName.NODE].public),
        tls_certificate=keys[KeyName.TLS].public,
        data_key=PublicKey(keys[KeyName.DATA].public),
    )


def test_a_renewed_key_has_a_file_of_its_own_and_the_old_one_still_opens(renewed):
    folder, card, keys = renewed

    for name in KeyName:
        assert generations(folder, name) == [1, 2]
        assert key_path(folder, name, 2).stat().st_mode & 0o777 == 0o600
        assert open_key(folder, name, PASSPHRASE, 1).public == PUBLIC[name](card)
        assert open_key(folder, name, PASSPHRASE, 2) == keys[name]


def test_the_daemon_holds_the_keys_of_both_generations(renewed):
    folder, card, keys = renewed

    held = MemberKeys(load_member_keys(folder, PASSPHRASE))

    assert held.lacking(card.body) == held.lacking(body_with(card, keys)) == []
    for public in (card.body.node_key, PublicKey(keys[KeyName.NODE].public)):
        signer = held.signer(public)
        assert signer is not None
        assert signer.public_key == public
    assert held.signer(PublicKey(bytes(32))) is None
    assert [tls.certificate for tls in held.tls] == [keys[KeyName.TLS].public, card.body.tls_certificate]
    assert held.data[0] == keys[KeyName.DATA].secret
    assert not any(key.name is KeyName.ORGANISATION for key in held.held)


def test_keys_are_taken_in_while_it_runs_and_only_new_files_are_opened(renewed):
    folder, card, keys = renewed
    first = [open_key(folder, name, PASSPHRASE) for name in (KeyName.NODE, KeyName.TLS, KeyName.DATA)]
    held = MemberKeys(first)
    assert held.lacking(body_with(card, keys)) == ["node", "tls", "data"]

    more = load_member_keys(folder, PASSPHRASE, held.held)
    held.take(more)
    held.take(more)

    assert sorted(key.generation for key in more) == [2, 2, 2]
    assert held.lacking(body_with(card, keys)) == []
    assert len(held.held) == 6


def test_an_interrupted_renewal_is_taken_up_and_a_finished_one_begins_anew(tmp_path):
    card = create_keys(tmp_path, A, (), PASSPHRASE, 1 << 45)
    in_force = card.body.node_key

    interrupted = create_next_key(tmp_path, KeyName.NODE, A, PASSPHRASE, in_force)
    again = create_next_key(tmp_path, KeyName.NODE, A, PASSPHRASE, in_force)
    after = create_next_key(tmp_path, KeyName.NODE, A, PASSPHRASE, interrupted.public)

    assert again == interrupted
    assert after.generation == 3
    assert generations(tmp_path, KeyName.NODE) == [1, 2, 3]


def test_a_key_that_the_files_do_not_hold_is_replaced_by_a_new_one(tmp_path):
    create_keys(tmp_path, A, (), PASSPHRASE, 1 << 45)

    made = create_next_key(tmp_path, KeyName.NODE, A, PASSPHRASE, bytes(32))

    assert made.generation == 2


def test_the_next_key_is_not_made_with_another_passphrase(tmp_path):
    card = create_keys(tmp_path, A, (), PASSPHRASE, 1 << 45)

    with pytest.raises(WrongPassphrase):
        create_next_key(tmp_path, KeyName.DATA, A, PASSPHRASE + " ", card.body.data_key)
    assert generations(tmp_path, KeyName.DATA) == [1]


def test_only_the_newest_node_keys_are_opened_and_every_data_key(tmp_path):
    card = create_keys(tmp_path, A, (), PASSPHRASE, 1 << 45)
    for name, count in ((KeyName.NODE, GENERATIONS_MAX), (KeyName.DATA, GENERATIONS_MAX)):
        in_force = PUBLIC[name](card)
        for _ in range(count):
            in_force = create_next_key(tmp_path, name, A, PASSPHRASE, in_force).public

    held = MemberKeys(load_member_keys(tmp_path, PASSPHRASE))

    assert held.signer(card.body.node_key) is None
    assert len(held.data) == GENERATIONS_MAX + 1


def test_the_organisation_key_is_found_by_what_the_card_names(renewed):
    folder, card, keys = renewed

    for public in (card.body.organisation_key, PublicKey(keys[KeyName.ORGANISATION].public)):
        assert load_organisation_key(folder, PASSPHRASE, public).public_key == public
    with pytest.raises(FileMissing, match="does not hold"):
        load_organisation_key(folder, PASSPHRASE, PublicKey(bytes(32)))


def test_files_of_other_names_are_no_generations(tmp_path):
    create_keys(tmp_path, A, (), PASSPHRASE, 1 << 45)
    for name in ("node.02.key", "node.x.key", "node.1.key", ".node.key.abc", "node.\u0665.key"):
        (tmp_path / "keys" / name).write_bytes(b"")

    assert generations(tmp_path, KeyName.NODE) == [1]


def test_what_was_sealed_before_the_data_key_was_renewed_opens_after_it():
    old, new = bytes(32), bytes([1]) * 32
    sealer = FileSealer(old)
    before = sealer.seal("update", b"first")

    sealer.renew(new)
    after = sealer.seal("update", b"second")

    assert sealer.open("update", before) == FileSealer(new, old).open("update", before) == b"first"
    assert FileSealer(new).open("update", after) == b"second"
    with pytest.raises(FileDamaged):
        FileSealer(new).open("update", before)
