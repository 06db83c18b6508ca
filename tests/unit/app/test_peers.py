"""Who installs a genesis, and cards of peers that people hand over: a changed address is no dead end."""

import shutil
from dataclasses import replace

import pytest

from node.app.member import create_member, draft_network, install_network, keep_peers, kept_peers, sign_network
from node.app.members import LedgerMembers
from node.app.settings import Folder, SettingsError
from node.base.crypto import Ed25519Signer
from node.base.types import Card, OrgId, Parameters, PublicKey
from node.edge.storage import load_organisation_key, read_card, write_card
from node.edge.storage.identity import sign_card
from node.ledger.genesis import genesis_writes
from node.ledger.memory import MemoryState

A = OrgId("a")
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    """A founder `a` with a signed genesis, `b`, which is none, and another organisation that calls itself a."""
    root = tmp_path_factory.mktemp("founded")
    (root / "passphrase").write_text(PASSPHRASE)
    (root / "passphrase").chmod(0o600)
    for folder, org in (("a", "a"), ("b", "b"), ("other", "a")):
        create_member(
            root / folder, org, listen="127.0.0.1:0", addresses=(), passphrase_file=root / "passphrase", prompt=None
        )
    genesis = root / "genesis.json"
    draft_network("small", [Folder(root / "a").card], genesis, Parameters())
    sign_network(root / "a", genesis, None)
    return root


@pytest.fixture
def folders(founded, tmp_path):
    """A copy of it for each test: deriving keys from a passphrase is slow on purpose."""
    shutil.copytree(founded, tmp_path, dirs_exist_ok=True)
    return tmp_path


def newer(folders, **changes) -> Card:
    card = read_card(Folder(folders / "a").card)
    key = load_organisation_key(folders / "a", PASSPHRASE, card.body.organisation_key)
    return sign_card(key, replace(card.body, sequence=2, **changes))


def test_a_founder_and_an_applicant_install_the_same_genesis(folders):
    assert install_network(folders / "a", folders / "genesis.json")[2]
    assert not install_network(folders / "b", folders / "genesis.json")[2]
    assert Folder(folders / "b").genesis.exists()
    with pytest.raises(SettingsError, match="already"):
        install_network(folders / "b", folders / "genesis.json")


def test_another_organisation_of_a_founders_name_is_told_so(folders):
    with pytest.raises(SettingsError, match="another organisation a"):
        install_network(folders / "other", folders / "genesis.json")


def test_a_newer_card_of_the_same_organisation_key_is_dialled_first(folders):
    genesis, *_ = install_network(folders / "b", folders / "genesis.json")
    state = MemoryState()
    state.apply(genesis_writes(genesis))
    known = genesis.body.cards[0].body
    write_card(folders / "a2.json", newer(folders, addresses=("moved.example:7400",)))

    keep_peers(folders / "b", [folders / "a2.json"])
    keep_peers(folders / "b", [Folder(folders / "a").card])  # An older one changes nothing.

    members = LedgerMembers(state, kept_peers(folders / "b"))
    assert members.addresses(A) == ("moved.example:7400", *known.addresses)
    assert members.certificates(A) == (known.tls_certificate,)
    assert LedgerMembers(state, {}).addresses(A) == known.addresses


def test_a_card_of_another_organisation_key_counts_for_nothing(folders):
    genesis, *_ = install_network(folders / "b", folders / "genesis.json")
    state = MemoryState()
    state.apply(genesis_writes(genesis))
    thief = Ed25519Signer(bytes(range(32)))
    body = replace(
        genesis.body.cards[0].body,
        sequence=9,
        organisation_key=PublicKey(thief.public_key),
        addresses=("thief.example:1",),
    )
    members = LedgerMembers(state, {A: sign_card(thief, body)})
    assert members.addresses(A) == genesis.body.cards[0].body.addresses
