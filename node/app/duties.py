"""What this member owes the ledger without anybody asking: evidence against others, and that it was recovered by hand.

Transactions are handed in one after the other; one that is refused is logged. A recovery is told again until the ledger
has it, because the member may be stopped, or the chain may stand, before the transaction is in a block.
"""

import asyncio
from collections.abc import Awaitable, Callable

from node.base.codec import encode
from node.base.ports import Clock, Silence, StateReader
from node.base.types import Digest, Height, OrgId, Statement
from node.engine.loop import SubmissionRefused
from node.engine.submitter import VALID_MS
from node.ledger.contracts import evidence, membership
from node.ledger.contracts.contract import view
from node.ledger.contracts.evidence import Report
from node.ledger.contracts.membership import Recovered

WAITING_MAX = 64

Submit = Callable[[str, str, bytes], Awaitable[Digest]]


class Duties:
    """`run` hands in what the other methods have put down."""

    def __init__(
        self,
        org: OrgId,
        state: StateReader,
        clock: Clock,
        submit: Submit,
        silence: Callable[[], Silence | None],
        log: Callable[[str], None],
    ) -> None:
        """`silence()` is what the vote log keeps."""
        self._org = org
        self._state = state
        self._clock = clock
        self._submit = submit
        self._silence = silence
        self._log = log
        self._waiting: asyncio.Queue[tuple[str, str, bytes]] = asyncio.Queue(WAITING_MAX)
        self._told_until_ms = 0

    def report(self, first: Statement, second: Statement) -> None:
        """A member contradicted itself."""
        self._put(evidence.NAME, "report", encode(Report(first, second)))

    def look(self) -> None:
        """At the start, after each block, and when the operator has spoken: tell a recovery that is not recorded."""
        silence, now_ms = self._silence(), self._clock.now().mono_ms
        if silence is None or silence.recovered_at is None or now_ms < self._told_until_ms:
            return
        if not self._is_recorded(silence.recovered_at):
            # The transaction's term: after it, one that is in no block will be in none.
            self._told_until_ms = now_ms + VALID_MS
            self._put(membership.NAME, "recovered", encode(Recovered(silence.recovered_at)))

    async def run(self) -> None:
        """Hand in until cancelled."""
        while True:
            contract, method, payload = await self._waiting.get()
            try:
                await self._submit(contract, method, payload)
            except SubmissionRefused as refused:
                self._log(f"{contract}.{method} was refused: {refused} ({refused.code})")

    def _is_recorded(self, height: Height) -> bool:
        return view(self._state, membership.NAME).get(f"recovered/{self._org}/{height:020d}") is not None

    def _put(self, contract: str, method: str, payload: bytes) -> None:
        if self._waiting.full():
            self._log(f"{contract}.{method} is dropped: too much waits to be handed in")
        else:
            self._waiting.put_nowait((contract, method, payload))
