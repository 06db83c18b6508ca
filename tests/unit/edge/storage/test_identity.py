"""Cards, certificates and genesis files: what is read is what was signed."""

import base64
import json
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from node.base.codec import encode
from node.base.crypto import Ed25519Signer
from node.base.types import CardBody, OrgId, Parameters, PublicKey, Signature
from node.edge.storage.errors import FileDamaged, FileMissing, NotGenuine
from node.edge.storage.genesis import (
    draft_genesis,
    read_genesis,
    read_genesis_draft,
    sign_genesis,
    write_genesis_draft,
)
from node.edge.storage.identity import make_tls_secret, read_card, sign_card, write_card
from node.edge.storage.sealed import FileSealer

A, B, C = (Ed25519Signer(bytes([number]) * 32) for number in (1, 2, 3))


def card_of(org, signer, **changes):
    body = CardBody(
        org=OrgId(org),
        sequence=1,
        organisation_key=PublicKey(signer.public_key),
        node_key=PublicKey(Ed25519Signer(bytes(32)).public_key),
        data_key=PublicKey(bytes(32)),
        tls_certificate=make_tls_secret(OrgId(org)).certificate,
        tls_until_ms=1 << 45,
        addresses=("a.example:7400", "[::1]:7400"),
    )
    return sign_card(signer, replace(body, **changes))


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_a_certificate_is_unique_to_its_key_and_never_expires():
    first, second = (x509.load_der_x509_certificate(make_tls_secret(OrgId("a")).certificate) for _ in range(2))

    assert first.subject != second.subject
    assert first.not_valid_after_utc.year == 9999
    assert first.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_a_card_survives_its_file(tmp_path):
    card = card_of("a", A)

    write_card(tmp_path / "card.json", card)

    assert read_card(tmp_path / "card.json") == card


@pytest.mark.parametrize("field", ["org", "addresses", "node_key", "certificate_sha256", "sequence", "format"])
def test_a_card_that_reads_otherwise_than_it_was_signed_is_refused(tmp_path, field):
    path = tmp_path / "card.json"
    write_card(path, card_of("a", A))
    change(path, lambda content: content.update({field: "something else"}))

    with pytest.raises(NotGenuine, match="readable part"):
        read_card(path)


def test_a_card_that_its_organisation_did_not_sign_is_refused(tmp_path):
    path = tmp_path / "card.json"
    card = card_of("a", A)
    forged = replace(card, body=replace(card.body, addresses=("evil.example:1",)))
    write_card(path, forged)

    with pytest.raises(NotGenuine, match="not signed"):
        read_card(path)


def other_curve() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([])
    like = x509.load_der_x509_certificate(make_tls_secret(OrgId("a")).certificate)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(like.not_valid_before_utc)
    certificate = builder.not_valid_after(like.not_valid_after_utc).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    "changes",
    [
        {"tls_certificate": b"no certificate"},
        {"tls_certificate": other_curve()},
        {"addresses": ("no port",)},
        {"addresses": ("a:0",)},
        {"addresses": ("a:65536",)},
        {"addresses": ("a:1",) * 17},
    ],
)
def test_a_signed_card_that_no_member_can_use_is_refused(tmp_path, changes):
    path = tmp_path / "card.json"
    write_card(path, card_of("a", A, **changes))

    with pytest.raises(NotGenuine, match="cannot be used"):
        read_card(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"card": 1}', '{"card": "!"}', '{"card": "AAAA"}', "[" * 50_000])
def test_a_file_that_is_no_card_is_refused(tmp_path, text):
    path = tmp_path / "card.json"
    path.write_text(text)

    with pytest.raises(FileDamaged):
        read_card(path)
    with pytest.raises(FileMissing):
        read_card(tmp_path / "nowhere")


@pytest.fixture
def draft(tmp_path):
    path = tmp_path / "genesis.json"
    body = draft_genesis("hospitals", 1_700_000_000_000, [card_of("b", B), card_of("a", A)], Parameters())
    write_genesis_draft(path, body)
    return path


def test_a_genesis_is_whole_when_every_founder_has_signed(draft):
    with pytest.raises(NotGenuine, match="not signed by a, b"):
        read_genesis(draft)
    assert sign_genesis(draft, OrgId("b"), B).missing == ("a",)
    assert sign_genesis(draft, OrgId("a"), A).missing == ()

    genesis = read_genesis(draft)

    assert [card.body.org for card in genesis.body.cards] == ["a", "b"]
    assert len(genesis.signatures) == 2


def test_only_a_founder_signs_with_its_own_key(draft):
    with pytest.raises(NotGenuine, match="does not name a"):
        sign_genesis(draft, OrgId("a"), B)
    with pytest.raises(NotGenuine, match="does not name c"):
        sign_genesis(draft, OrgId("c"), C)


def test_a_genesis_that_reads_otherwise_or_is_signed_wrongly_is_refused(draft):
    sign_genesis(draft, OrgId("a"), A)
    signed = draft.read_text()

    for edit, words in [
        (lambda content: content.update(chain="00"), "readable part"),
        (lambda content: content["parameters"].update(block_bytes_max=1), "readable part"),
        (lambda content: content["members"].pop(), "readable part"),
        (lambda content: content["signatures"].update(b=content["signatures"]["a"]), "does not hold"),
        (lambda content: content["signatures"].update(c=content["signatures"]["a"]), "no founder"),
    ]:
        draft.write_text(signed)
        change(draft, edit)
        with pytest.raises(NotGenuine, match=words):
            read_genesis_draft(draft)


def test_a_genesis_with_another_body_keeps_no_signature(draft):
    sign_genesis(draft, OrgId("a"), A)
    signatures = read_genesis_draft(draft).signatures
    body = replace(read_genesis_draft(draft).body, name="others")

    write_genesis_draft(draft, body, signatures)

    with pytest.raises(NotGenuine, match="does not hold"):
        read_genesis_draft(draft)


def test_a_genesis_takes_each_organisation_once_and_in_order(tmp_path):
    with pytest.raises(NotGenuine, match="same organisation"):
        draft_genesis("n", 1, [card_of("a", A), card_of("a", B)], Parameters())
    with pytest.raises(NotGenuine, match="at least one"):
        draft_genesis("n", 1, [], Parameters())
    body = draft_genesis("n", 1, [card_of("a", A), card_of("b", B)], Parameters())
    write_genesis_draft(tmp_path / "g", replace(body, cards=body.cards[::-1]))
    with pytest.raises(NotGenuine, match="not in order"):
        read_genesis_draft(tmp_path / "g")


def test_a_forged_card_in_a_genesis_is_refused(tmp_path):
    good = draft_genesis("n", 1, [card_of("a", A)], Parameters())
    forged = replace(good, cards=(replace(good.cards[0], signature=Signature(bytes(64))),))
    write_genesis_draft(tmp_path / "g", forged)

    with pytest.raises(NotGenuine, match="not signed by its organisation key"):
        read_genesis_draft(tmp_path / "g")
    assert base64.b64encode(encode(forged)).decode() in (tmp_path / "g").read_text()


def test_what_is_sealed_opens_under_its_name_and_key_only():
    sealer, other = FileSealer(bytes(32)), FileSealer(bytes([1]) * 32)

    sealed = sealer.seal("update", b"private")

    assert sealer.open("update", sealed) == b"private"
    assert b"private" not in sealed
    assert sealer.seal("update", b"private") != sealed
    for wrong, name, content in [
        (other, "update", sealed),
        (sealer, "mask", sealed),
        (sealer, "update", sealed[:-1]),
        (sealer, "update", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (sealer, "update", b""),
        (sealer, "update", b"\x02" + sealed[1:]),
    ]:
        with pytest.raises(FileDamaged):
            wrong.open(name, content)
