"""A proposal's ids and the bodies that are held, fetched, or wrong."""

from dataclasses import replace

from node.base.types import (
    Block,
    Digest,
    OrgId,
    Proposal,
    Signature,
    Transaction,
    TransactionBody,
    transactions_root,
)
from node.engine.assembly import ATTEMPTS_MAX, Assembly
from node.testing.council import Forge

ONE, TWO = (
    Transaction(TransactionBody(Digest(bytes(32)), OrgId("a"), nonce, 0, "c", "m", b""), Signature(bytes(64)))
    for nonce in range(2)
)


def proposal(*transactions: Transaction) -> Proposal:
    forge = Forge(4)
    block = forge.block(forge.proposer(0))
    header = replace(block.header, transactions_root=transactions_root(transactions))
    ids = tuple(transaction.id for transaction in transactions)
    return replace(forge.proposal(Block(header, (), None)), transactions=ids)


def test_held_bodies_make_the_block_at_once_in_the_proposals_order():
    held = {ONE.id: ONE, TWO.id: TWO}
    assembly = Assembly(held.get, 10)

    assert assembly.begin(proposal(TWO, ONE)) is None
    block = assembly.finish()

    assert block is not None
    assert block.transactions == (TWO, ONE)


def test_missing_bodies_are_named_and_taken_whoever_brings_them():
    assembly = Assembly({ONE.id: ONE}.get, 10)
    assembly.begin(proposal(ONE, TWO))

    assert assembly.finish() is None
    assert assembly.missing == (TWO.id,)
    assert not assembly.add((ONE,))
    assert assembly.add((ONE, TWO))
    assert assembly.finish() is not None


def test_a_body_with_another_signature_is_fetched_again():
    # An id does not cover the signature: its owner can make two bodies with one id.
    twisted = replace(ONE, signature=Signature(b"\x01" * 64))
    assembly = Assembly({ONE.id: twisted}.get, 10)
    assembly.begin(proposal(ONE))

    assert twisted.id == ONE.id
    assert assembly.finish() is None
    assert assembly.missing == (ONE.id,)
    assembly.add((ONE,))
    assert assembly.finish() is not None


def test_bodies_that_never_fit_the_root_are_given_up():
    twisted = replace(ONE, signature=Signature(b"\x01" * 64))
    assembly = Assembly({}.get, 10)
    assembly.begin(proposal(ONE))
    for _ in range(ATTEMPTS_MAX):
        assert assembly.add((twisted,))
        assert assembly.finish() is None

    assert assembly.missing == ()
    assert assembly.proposer is None


def test_too_many_ids_and_one_id_twice_are_refused():
    assembly = Assembly({}.get, 1)

    assert assembly.begin(proposal(ONE, TWO)) is not None
    assert assembly.begin(replace(proposal(ONE), transactions=(ONE.id, ONE.id))) is not None
    assert Assembly({}.get, 2).begin(replace(proposal(ONE), transactions=(ONE.id, ONE.id))) is not None
    assert assembly.missing == ()


def test_ids_that_do_not_belong_to_the_header_give_no_block():
    assembly = Assembly({ONE.id: ONE}.get, 10)
    assembly.begin(replace(proposal(ONE), transactions=()))

    assert assembly.finish() is None
    assert assembly.proposer is None
