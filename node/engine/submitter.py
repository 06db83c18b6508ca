"""Makes this member's transactions: nonce, expiry, signature.

Nonces continue from the state, with a gap after a restart so that a transaction that was under way when the process
died is never contradicted by another with its nonce.
"""

from collections.abc import Awaitable, Callable

from node.base.ports import Clock, Signer
from node.base.types import Digest, OrgId, Signature, Transaction, TransactionBody, transaction_signing_bytes

VALID_MS = 600_000
RESTART_GAP = 64


class Submitter:
    """Signs with the node key and hands to the engine."""

    def __init__(
        self,
        org: OrgId,
        chain: Digest,
        signer: Signer,
        clock: Clock,
        highest_nonce: Callable[[], int],
        hand_in: Callable[[Transaction], Awaitable[None]],
    ) -> None:
        """`highest_nonce()` is the organisation's highest nonce in the state."""
        self._org = org
        self._chain = chain
        self._signer = signer
        self._clock = clock
        self._highest_nonce = highest_nonce
        self._hand_in = hand_in
        self._last = highest_nonce() + RESTART_GAP

    async def submit(self, contract: str, method: str, payload: bytes) -> Digest:
        """Sign one call and hand it in; returns the transaction's id. Raises `SubmissionRefused`."""
        self._last = max(self._last, self._highest_nonce()) + 1
        body = TransactionBody(
            chain=self._chain,
            org=self._org,
            nonce=self._last,
            valid_until_ms=self._clock.now().wall_ms + VALID_MS,
            contract=contract,
            method=method,
            payload=payload,
        )
        signature = Signature(self._signer.sign(transaction_signing_bytes(body)))
        transaction = Transaction(body, signature)
        await self._hand_in(transaction)
        return transaction.id
