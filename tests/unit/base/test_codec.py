"""One value, one encoding: what is written is read, and every other form is refused with `DecodeError` only."""

import enum
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.base.codec import DecodeError, decode, encode
from node.base.types import (
    Block,
    Certificate,
    CertifiedBlock,
    Digest,
    Genesis,
    OrgId,
    PeerMessage,
    Receipt,
    Tip,
    Transaction,
)
from node.testing.founding import Founding, MemoryChain


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True, slots=True)
class Leaf:
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Other:
    data: bytes


@dataclass(frozen=True, slots=True)
class Tree:
    flag: bool
    colour: Colour
    leaves: tuple[Leaf, ...]
    one_of: Leaf | Other
    maybe: int | None
    digest: Digest
    org: OrgId


INTS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = st.builds(Leaf, INTS, TEXTS)
TREES = st.builds(
    Tree,
    st.booleans(),
    st.sampled_from(Colour),
    st.lists(LEAVES, max_size=4).map(tuple),
    LEAVES | st.builds(Other, st.binary(max_size=8)),
    st.none() | INTS,
    st.binary(min_size=32, max_size=32).map(Digest),
    st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True).map(OrgId),
)


@given(TREES)
def test_what_is_written_is_read(tree: Tree) -> None:
    assert decode(Tree, encode(tree)) == tree


@given(TREES, st.data())
def test_a_changed_form_is_refused_or_is_the_form_of_another_value(tree: Tree, data: st.DataObject) -> None:
    form = bytearray(encode(tree))
    at = data.draw(st.integers(0, len(form) - 1))
    form[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(Tree, bytes(form))
    except DecodeError:
        return
    assert encode(found) == bytes(form)


@pytest.mark.parametrize("kind", [Tree, Transaction, Block, CertifiedBlock, Certificate, Receipt, Genesis, PeerMessage])
@given(form=st.binary(max_size=200))
@settings(max_examples=60)
def test_hostile_bytes_never_do_more_than_be_refused(kind: Any, form: bytes) -> None:
    try:
        found = decode(kind, form)
    except DecodeError:
        return
    assert encode(found, kind) == form


def test_every_cut_and_every_tail_is_refused() -> None:
    founding = Founding()
    chain = MemoryChain(founding)
    chain.extend(founding.transaction("ada", 1, "sharing", "register", b"payload"))
    for value in (chain.certified[0], founding.genesis, chain.executed[0].receipts[0]):
        form = encode(value)
        assert decode(type(value), form) == value
        for size in range(len(form)):
            with pytest.raises(DecodeError):
                decode(type(value), form[:size])
        with pytest.raises(DecodeError):
            decode(type(value), form + b"\x00")


def refused(kind: Any, form: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(kind, form)


def test_each_refused_form() -> None:
    refused(bool, b"\x02")
    refused(Colour, b"\x00")
    refused(Colour, b"\x03")
    refused(str, b"\x00\x00\x00\x01\xff")
    refused(str, b"\x00\x00\x00\x03\xed\xa0\x80")  # a surrogate
    refused(str, b"\x00\x00\x00\x02\xc0\x80")  # an overlong zero
    refused(bytes, b"\xff\xff\xff\xff")
    refused(tuple[Leaf, ...], b"\xff\xff\xff\xff")
    refused(tuple[Leaf, ...], b"\x00\x00\x00\x02" + bytes(12))
    refused(int | None, b"\x02" + bytes(8))
    refused(Leaf | Other, b"\x02" + bytes(4))
    refused(Digest, bytes(31))
    refused(Digest, bytes(33))
    for name in (b"", b"A", b"-a", b"a b", b"a\n", b"a" * 64):
        refused(OrgId, len(name).to_bytes(4, "big") + name)
    refused(PeerMessage, b"\xff" + bytes(40))
    refused(Tip, (-1).to_bytes(8, "big", signed=True) + bytes(32))


def test_a_count_is_held_against_the_bytes_that_are_left_before_anything_is_made() -> None:
    with pytest.raises(DecodeError, match="cannot fit"):
        decode(tuple[Leaf, ...], (2**32 - 1).to_bytes(4, "big") + bytes(1_000))


@pytest.mark.parametrize(
    ("value", "kind"),
    [(2**63, int), (-(2**63) - 1, int), (bytes(31), Digest), ("No", OrgId), (3, Colour), ("\ud800", str)],
)
def test_what_has_no_form_is_not_written(value: Any, kind: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (each kind has its own words)
        encode(value, kind)


def test_the_layout_is_the_documented_one() -> None:
    tree = Tree(True, Colour.BLUE, (Leaf(-1, "é"),), Other(b"\x01"), None, Digest(b"d" * 32), OrgId("o"))
    assert encode(tree).hex() == (
        "01"
        + "02"
        + "00000001"
        + "ffffffffffffffff"
        + "00000002c3a9"
        + "01"
        + "0000000101"
        + "00"
        + "64" * 32
        + "000000016f"
    )
