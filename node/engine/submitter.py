"""Makes this member's transactions: nonce, expiry, signature.

Nonces continue from the state, with a gap after a restart so that a transaction that was under way when the process
died is never contradicted by another with its nonce.
"""

from collections.abc import Awaitable, Callable, Sequence

from node.base.ports import Clock, Keyring, Signer
from node.base.types import Digest, OrgId, PublicKey, Signature, Transaction, TransactionBody, transaction_signing_bytes
from node.engine.loop import SubmissionRefused

VALID_MS = 600_000
RESTART_GAP = 64


class Submitter:
    """Signs with the node key and hands to the engine."""

    def __init__(
        self,
        org: OrgId,
        chain: Digest,
        keyring: Keyring,
        clock: Clock,
        key_in_force: Callable[[], PublicKey | None],
        highest_nonce: Callable[[], int],
        hand_in: Callable[[tuple[Transaction, ...]], Awaitable[list[SubmissionRefused | None]]],
    ) -> None:
        """`key_in_force()` is this organisation's node key on the ledger, `highest_nonce()` its highest nonce there.

        `hand_in` says of each transaction why it was not taken, or None.
        """
        self._org = org
        self._chain = chain
        self._keyring = keyring
        self._clock = clock
        self._key_in_force = key_in_force
        self._highest_nonce = highest_nonce
        self._hand_in = hand_in
        self._last = highest_nonce() + RESTART_GAP

    async def submit(self, contract: str, method: str, payload: bytes) -> Digest:
        """Sign one call and hand it in; returns the transaction's id. Raises `SubmissionRefused`."""
        (outcome,) = await self.submit_many([(contract, method, payload)])
        if isinstance(outcome, SubmissionRefused):
            raise outcome
        return outcome

    async def submit_many(self, calls: Sequence[tuple[str, str, bytes]]) -> list[Digest | SubmissionRefused]:
        """Sign calls (contract, method, payload) and hand them in at once; each one's id, or why it was not taken.

        Raises `SubmissionRefused` where this member can sign nothing now.
        """
        signer = self._signer()
        bodies = self._bodies(calls)
        outcomes = await self._offer(signer, bodies)
        again = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, SubmissionRefused)]
        # A block in between may have brought another key into force; nothing else is worth a second try.
        if again and (other := self._signer()).public_key != signer.public_key:
            for index, outcome in zip(again, await self._offer(other, [bodies[at] for at in again]), strict=True):
                outcomes[index] = outcome
        return outcomes

    def _bodies(self, calls: Sequence[tuple[str, str, bytes]]) -> list[TransactionBody]:
        first = max(self._last, self._highest_nonce()) + 1
        self._last = first + len(calls) - 1
        valid_until_ms = self._clock.now().wall_ms + VALID_MS
        return [
            TransactionBody(self._chain, self._org, nonce, valid_until_ms, contract, method, payload)
            for nonce, (contract, method, payload) in enumerate(calls, first)
        ]

    async def _offer(self, signer: Signer, bodies: Sequence[TransactionBody]) -> list[Digest | SubmissionRefused]:
        transactions = tuple(
            Transaction(body, Signature(signer.sign(transaction_signing_bytes(body)))) for body in bodies
        )
        refusals = await self._hand_in(transactions)
        return [refusal or transaction.id for refusal, transaction in zip(refusals, transactions, strict=True)]

    def _signer(self) -> Signer:
        key = self._key_in_force()
        if key is None:
            raise SubmissionRefused(
                "not-a-member",
                f"{self._org} may not sign transactions of this network: its members must admit it. If its node key "
                "was revoked, hand them a new card: lepton keys rotate node --card-out FILE",
            )
        signer = self._keyring.signer(key)
        if signer is None:
            raise SubmissionRefused(
                "no-key",
                f"the ledger names the node key {key.hex()}, and this member does not hold it: restore it",
            )
        return signer
