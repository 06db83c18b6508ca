"""Signatures of fetched blocks, verified by a real process."""

import asyncio
import os
import signal
from dataclasses import replace

import psutil
import pytest

from node.base.codec import encode
from node.base.crypto import Ed25519Signer, signature_mark, verify
from node.base.types import BlocksResponse, Digest, PeerMessage, VoteKind, vote_signing_bytes
from node.edge.verifying import SignaturesAhead
from node.edge.verifying.ahead import LOOKS_MAX
from node.ledger.contracts.sharing import Register
from node.testing.founding import Founding, MemoryChain

FOUNDING = Founding(signer=Ed25519Signer, verify=verify)


def chain_of(blocks):
    """A chain of so many blocks, each with two transactions."""
    chain = MemoryChain(FOUNDING)
    for number in range(blocks):
        chain.extend(
            *(
                FOUNDING.transaction(org, number, "sharing", "register", Register(f"rows-{number}", Digest(bytes(32))))
                for org in ("ada", "bob")
            )
        )
    return chain.certified


def answer(blocks):
    return encode(BlocksResponse(blocks[0].block.header.height, tuple(blocks)), PeerMessage)


def marks_of(blocks):
    """The marks of everything that checking the blocks asks for."""
    keys, found = FOUNDING.members.keys, set()
    for certified in blocks:
        for certificate in (certified.certificate, certified.block.last_certificate):
            for signed in () if certificate is None else certificate.signatures:
                message = vote_signing_bytes(
                    FOUNDING.chain, VoteKind.COMMIT, certificate.height, certificate.round, certificate.block
                )
                found.add(signature_mark(keys[signed.org], message, signed.signature))
        for transaction in certified.block.transactions:
            found.add(signature_mark(keys[transaction.body.org], transaction.signed, transaction.signature))
    return found


class Ahead:
    """The daemon's side with what it said."""

    def __init__(self, **given):
        self.marks, self.said = [], []
        self.ahead = SignaturesAhead(FOUNDING.chain, self.marks.extend, self.said.append, **{"cores": 2, **given})

    def look(self, message):
        self.ahead.look(message, FOUNDING.members)

    async def until(self, holds):
        async with asyncio.timeout(30):
            while not holds():  # noqa: ASYNC110 another process
                await asyncio.sleep(0.01)


@pytest.fixture
async def begun():
    """Makes them, and ends each."""
    made = []

    def make(**given):
        made.append(Ahead(**given))
        return made[-1]

    yield make
    for one in made:
        await one.ahead.close()


async def test_every_signature_that_checking_asks_for_is_found_good_once(begun):
    found, blocks = begun(), chain_of(5)
    found.look(answer(blocks))
    await found.until(lambda: len(found.marks) == len(marks_of(blocks)))

    assert set(found.marks) == marks_of(blocks)
    assert found.said == []


async def test_what_does_not_hold_is_not_found_good(begun):
    found, blocks = begun(), chain_of(3)
    transaction = blocks[1].block.transactions[0]
    bent = replace(transaction, signature=bytes(64))
    others = replace(blocks[1].block.transactions[1], signature=transaction.signature)
    block = replace(blocks[1].block, transactions=(bent, others))
    bad = [blocks[0], replace(blocks[1], block=block), blocks[2]]
    found.look(answer(bad))
    good = marks_of(bad) & marks_of(blocks)
    await found.until(lambda: len(found.marks) >= len(good))
    # The next look's first mark comes after all of this one's.
    found.look(answer(blocks))
    await found.until(lambda: len(found.marks) >= len(good) + len(marks_of(blocks)))

    assert set(found.marks[: len(good)]) == good
    assert len(marks_of(blocks) - good) == 2


async def test_bytes_that_are_no_blocks_are_passed_over(begun):
    found, blocks = begun(), chain_of(1)
    found.look(b"\xff" * 20_000)
    found.look(answer(blocks))
    await found.until(lambda: set(found.marks) == marks_of(blocks))

    assert found.said == []


async def test_a_process_that_is_killed_is_told_once_and_not_missed(begun):
    found, blocks = begun(), chain_of(1)
    found.look(answer(blocks))
    await found.until(lambda: set(found.marks) == marks_of(blocks))
    os.kill(found.ahead.process_id, signal.SIGKILL)
    found.look(answer(blocks))
    await found.until(lambda: found.said and found.ahead.process_id is None)
    found.look(answer(blocks))

    assert len(found.said) == 1
    assert "second process" in found.said[0]
    assert found.ahead.process_id is None


async def test_it_ends_when_there_was_nothing_for_long_and_begins_again(begun):
    found, blocks = begun(idle_s=0.01), chain_of(1)
    for _ in range(2):
        found.marks.clear()
        found.look(answer(blocks))
        await found.until(lambda: set(found.marks) == marks_of(blocks))
        await found.until(lambda: found.ahead.process_id is None)

    assert found.said == []


async def test_closing_ends_it_in_the_middle_of_a_look(begun):
    found = begun()
    for _ in range(LOOKS_MAX):
        found.look(answer(chain_of(40)))
    await found.until(lambda: found.ahead.process_id is not None)
    process = psutil.Process(found.ahead.process_id)
    await found.ahead.close()

    assert not process.is_running()
    assert found.said == []


async def test_more_than_may_wait_is_left_alone(begun):
    found, blocks = begun(), chain_of(2)
    for _ in range(LOOKS_MAX + 5):
        found.look(answer(blocks))
    await found.until(lambda: len(found.marks) >= LOOKS_MAX * len(marks_of(blocks)))
    found.look(answer(blocks[:1]))
    await found.until(lambda: len(found.marks) > LOOKS_MAX * len(marks_of(blocks)))

    assert len(found.marks) <= LOOKS_MAX * len(marks_of(blocks)) + len(marks_of(blocks[:1]))


async def test_with_a_single_core_there_is_no_process(begun):
    found = begun(cores=1)
    found.look(answer(chain_of(1)))

    assert found.ahead.process_id is None
