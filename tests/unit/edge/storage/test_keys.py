"""Key files: only the passphrase opens them, damage is told from a wrong passphrase, nobody else may read them."""

import hashlib

import pytest

from node.base.crypto import Ed25519Signer
from node.base.types import OrgId
from node.edge.storage.errors import FileDamaged, FileExposed, FileMissing, NoPassphrase, WrongPassphrase
from node.edge.storage.identity import create_keys
from node.edge.storage.keyring import MemberKeys, load_member_keys, load_organisation_key
from node.edge.storage.keys import (
    KeyName,
    key_path,
    read_key,
    read_passphrase,
    write_key,
)

PASSPHRASE = "a long enough one"
SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One key file's bytes; tests that damage it write their own copy."""
    folder = tmp_path_factory.mktemp("key")
    write_key(folder, KeyName.NODE, SECRET, PASSPHRASE)
    return key_path(folder, KeyName.NODE).read_bytes()


def place(folder, content, name=KeyName.NODE):
    path = key_path(folder, name)
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def test_a_member_is_made_with_four_keys_and_a_card_that_names_them(tmp_path):
    card = create_keys(tmp_path / "a", OrgId("a"), ("a.example:7400",), PASSPHRASE, 1 << 45)

    keys = MemberKeys(load_member_keys(tmp_path / "a", PASSPHRASE))
    organisation = load_organisation_key(tmp_path / "a", PASSPHRASE, card.body.organisation_key)

    assert keys.signer(card.body.node_key) is not None
    assert [tls.certificate for tls in keys.tls] == [card.body.tls_certificate]
    assert keys.lacking(card.body) == []
    assert organisation.public_key == card.body.organisation_key
    assert len({card.body.organisation_key, card.body.node_key, card.body.data_key}) == 3
    folder = tmp_path / "a" / "keys"
    assert sorted(path.name for path in folder.iterdir()) == ["data.key", "node.key", "organisation.key", "tls.key"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_the_daemon_needs_no_organisation_key_and_keys_are_never_overwritten(tmp_path):
    card = create_keys(tmp_path, OrgId("a"), (), PASSPHRASE, 1 << 45)
    key_path(tmp_path, KeyName.ORGANISATION).unlink()

    load_member_keys(tmp_path, PASSPHRASE)
    with pytest.raises(FileMissing):
        load_organisation_key(tmp_path, PASSPHRASE, card.body.organisation_key)
    with pytest.raises(FileExistsError):
        write_key(tmp_path, KeyName.NODE, SECRET, PASSPHRASE)
    with pytest.raises(FileExistsError):
        create_keys(tmp_path, OrgId("a"), (), PASSPHRASE, 1 << 45)


def test_a_key_is_nowhere_in_its_file_and_two_files_of_one_key_differ(tmp_path, written):
    write_key(tmp_path, KeyName.NODE, SECRET, PASSPHRASE)

    assert SECRET not in written
    assert key_path(tmp_path, KeyName.NODE).read_bytes() != written
    assert read_key(tmp_path, KeyName.NODE, PASSPHRASE) == SECRET
    assert len(Ed25519Signer(SECRET).public_key) == 32


def test_a_wrong_passphrase_is_told_from_damage(tmp_path, written):
    place(tmp_path, written)

    with pytest.raises(WrongPassphrase, match="does not open"):
        read_key(tmp_path, KeyName.NODE, PASSPHRASE + " ")
    with pytest.raises(NoPassphrase):
        read_key(tmp_path, KeyName.NODE, "")


def test_every_flipped_byte_and_every_cut_is_found(tmp_path, written):
    path = place(tmp_path, written)

    for at in range(len(written)):
        path.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
        with pytest.raises(FileDamaged, match="restore it from a backup"):
            read_key(tmp_path, KeyName.NODE, PASSPHRASE)
        path.write_bytes(written[:at])
        with pytest.raises(FileDamaged):
            read_key(tmp_path, KeyName.NODE, PASSPHRASE)
    path.write_bytes(bytes(100_000))
    with pytest.raises(FileDamaged, match="larger"):
        read_key(tmp_path, KeyName.NODE, PASSPHRASE)


def rechecked(sealed: bytes) -> bytes:
    """What somebody would write who changes a file on purpose: the checksum is no secret."""
    return sealed + hashlib.sha256(sealed).digest()


@pytest.mark.parametrize("at", [24, 40, 52, 60, 80])
def test_a_change_on_purpose_does_not_open(tmp_path, written, at):
    sealed = written[:-32]
    place(tmp_path, rechecked(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]))

    with pytest.raises(WrongPassphrase, match="changed on purpose"):
        read_key(tmp_path, KeyName.NODE, PASSPHRASE)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, b"X", "not a key file"),
        (10, b"\x02", "upgrade lepton"),
        (11, b"\x01", "another key"),
        (12, b"\xff\xff\xff\xff", "absurd"),
        (12, b"\x00\x00\x00\x00", "absurd"),
        (16, b"\xff\xff\xff\xff", "absurd"),
        (20, b"\x00\x00\x00\x00", "absurd"),
    ],
)
def test_a_hostile_header_is_refused_before_any_work(tmp_path, written, at, value, words):
    sealed = written[:-32]
    place(tmp_path, rechecked(sealed[:at] + value + sealed[at + len(value) :]))

    with pytest.raises(FileDamaged, match=words):
        read_key(tmp_path, KeyName.NODE, PASSPHRASE)


def test_a_key_under_another_keys_name_is_refused(tmp_path, written):
    place(tmp_path, written, KeyName.DATA)

    with pytest.raises(FileDamaged, match="another key"):
        read_key(tmp_path, KeyName.DATA, PASSPHRASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path, written, mode):
    place(tmp_path, written).chmod(mode)

    with pytest.raises(FileExposed, match="chmod 600"):
        read_key(tmp_path, KeyName.NODE, PASSPHRASE)


def test_a_passphrase_comes_from_the_file_then_the_credential_then_the_prompt(tmp_path, monkeypatch):
    file, credentials = tmp_path / "p", tmp_path / "c"
    credentials.mkdir()
    file.write_text("from the file\n")

    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert read_passphrase(None, lambda: "typed") == "typed"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert read_passphrase(None, lambda: "typed") == "typed"
    (credentials / "lepton-passphrase").write_text(" from systemd ")
    assert read_passphrase(None, lambda: "typed") == " from systemd "
    assert read_passphrase(file, lambda: "typed") == "from the file"


def test_no_passphrase_is_told_by_its_source(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")

    with pytest.raises(NoPassphrase, match="systemd credential"):
        read_passphrase(None, None)
    with pytest.raises(NoPassphrase, match="the prompt is empty"):
        read_passphrase(None, lambda: "")
    with pytest.raises(NoPassphrase, match="empty is empty"):
        read_passphrase(empty, None)
    with pytest.raises(NoPassphrase, match="UTF-8"):
        read_passphrase(binary, None)
    with pytest.raises(FileMissing):
        read_passphrase(tmp_path / "nowhere", lambda: "typed")
