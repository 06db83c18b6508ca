"""Transactions are signed with the key that the ledger names, and only with that."""

import asyncio

import pytest

from node.base.types import Digest, Instant, OrgId, PublicKey, Transaction, transaction_signing_bytes
from node.engine.loop import SubmissionRefused
from node.engine.submitter import Submitter
from node.testing.signing import HashSigner, HeldSigners, verify_hash

OLD, NEW = HashSigner(b"old"), HashSigner(b"new")


class FixedClock:
    def now(self) -> Instant:
        return Instant(0, 1_000)


class Desk:
    """A submitter whose ledger names `key`, and what it handed in."""

    def __init__(self, *held: HashSigner) -> None:
        self.key: PublicKey | None = PublicKey(OLD.public_key)
        self.handed: list[Transaction] = []
        self.refusing = ""
        self.coming: PublicKey | None = None
        self.submitter = Submitter(
            OrgId("a"),
            Digest(bytes(32)),
            HeldSigners(held),
            FixedClock(),
            key_in_force=lambda: self.key,
            highest_nonce=lambda: -1,
            hand_in=self._hand_in,
        )

    def submit(self) -> Transaction:
        asyncio.run(self.submitter.submit("sharing", "register", b""))
        return self.handed[-1]

    async def _hand_in(self, transactions: tuple[Transaction, ...]) -> list[SubmissionRefused | None]:
        self.handed.extend(transactions)
        if self.refusing:
            code, self.refusing, self.key = self.refusing, "", self.coming
            return [SubmissionRefused(code, "The block before changed things.") for _ in transactions]
        full = SubmissionRefused("too-many", "submit it again later")
        return [full if transaction.body.method == "refused" else None for transaction in transactions]


def signed_by(transaction: Transaction, signer: HashSigner) -> bool:
    return verify_hash(signer.public_key, transaction_signing_bytes(transaction.body), transaction.signature)


def test_the_key_that_the_ledger_names_signs():
    desk = Desk(OLD, NEW)

    before = desk.submit()
    desk.key = PublicKey(NEW.public_key)
    after = desk.submit()

    assert signed_by(before, OLD)
    assert signed_by(after, NEW)
    assert after.body.nonce == before.body.nonce + 1


def test_without_the_key_or_the_right_nothing_is_signed():
    desk = Desk(OLD)

    desk.key = PublicKey(NEW.public_key)
    with pytest.raises(SubmissionRefused, match="does not hold it") as refused:
        desk.submit()
    assert refused.value.code == "no-key"
    desk.key = None
    with pytest.raises(SubmissionRefused, match="may not sign"):
        desk.submit()
    assert desk.handed == []


def test_a_key_that_comes_into_force_while_a_transaction_is_handed_in_signs_it_anew():
    desk = Desk(OLD, NEW)
    desk.refusing, desk.coming = "other-key", PublicKey(NEW.public_key)

    second = desk.submit()

    first = desk.handed[0]
    assert signed_by(first, OLD)
    assert signed_by(second, NEW)
    assert (second.id, len(desk.handed)) == (first.id, 2)


def test_any_other_refusal_is_told():
    desk = Desk(OLD)
    desk.refusing, desk.coming = "too-many", PublicKey(OLD.public_key)

    with pytest.raises(SubmissionRefused, match="changed things"):
        desk.submit()
    assert len(desk.handed) == 1


def test_many_calls_are_handed_in_at_once_and_each_has_its_own_outcome():
    desk = Desk(OLD)
    calls = [("sharing", "register", b"1"), ("sharing", "refused", b"2"), ("sharing", "register", b"3")]

    outcomes = asyncio.run(desk.submitter.submit_many(calls))

    assert [one.body.payload for one in desk.handed] == [b"1", b"2", b"3"]
    assert [one.body.nonce for one in desk.handed] == [desk.handed[0].body.nonce + step for step in range(3)]
    assert outcomes[0] == desk.handed[0].id
    assert isinstance(outcomes[1], SubmissionRefused)
    assert outcomes[2] == desk.handed[2].id
