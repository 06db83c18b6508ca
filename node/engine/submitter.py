"""Makes this member's transactions: nonce, expiry, signature.

Nonces continue from the state, with a gap after a restart so that a transaction that was under way when the process
died is never contradicted by another with its nonce.
"""

from collections.abc import Awaitable, Callable

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
        hand_in: Callable[[Transaction], Awaitable[None]],
    ) -> None:
        """`key_in_force()` is this organisation's node key on the ledger, `highest_nonce()` its highest nonce there."""
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
        signer = self._signer()
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
        while True:
            transaction = Transaction(body, Signature(signer.sign(transaction_signing_bytes(body))))
            try:
                await self._hand_in(transaction)
            except SubmissionRefused:
                used, signer = signer, self._signer()
                # A block in between may have brought another key into force; nothing else is worth a second try.
                if signer.public_key == used.public_key:
                    raise
            else:
                return transaction.id

    def _signer(self) -> Signer:
        key = self._key_in_force()
        if key is None:
            raise SubmissionRefused("not-a-member", f"{self._org} may not sign transactions of this network now.")
        signer = self._keyring.signer(key)
        if signer is None:
            raise SubmissionRefused(
                "no-key",
                f"the ledger names the node key {key.hex()}, and this member does not hold it: restore it",
            )
        return signer
