"""A candidate's own part of its admission: it tells the ledger that it is ready, as soon as it has caught up.

`ready_now` decides, `Joiner` asks it after each block and submits. A `ready` that no block has brought for a while is
said again for a newer state.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from node.base.codec import encode
from node.base.ports import StateReader
from node.base.types import Digest, Height, OrgId
from node.engine.loop import SubmissionRefused
from node.ledger.contracts import membership
from node.ledger.contracts.contract import view
from node.ledger.contracts.membership import Ready, State
from node.ledger.system import quorums

REPEAT_BLOCKS = 16
"""A `ready` that was lost is said again after so many."""
LOOK_S = 2.0
"""How often it looks without a block."""


def ready_now(state: StateReader, org: OrgId, ready: Ready, *, behind: bool, said: Height | None) -> bool:
    """Whether this member should sign `ready` now: a candidate, not in the queue yet, caught up.

    `said` is the height of the last one that it signed.
    """
    entries = view(state, membership.NAME)
    standing = membership.standing_of(entries, org)
    if behind or standing is None or standing.state is not State.CANDIDATE:
        return False
    if org in membership.coming_members(entries, quorums(state).next).keys:
        return False
    # What was said before the block of this admission was for an earlier one, which ended.
    return said is None or said + 1 < standing.since or ready.height - said >= REPEAT_BLOCKS


class Joiner:
    """Watches this member's standing."""

    def __init__(
        self,
        org: OrgId,
        state: StateReader,
        head: Callable[[], tuple[Height, Digest]],
        is_behind: Callable[[], bool],
        submit: Callable[[str, str, bytes], Awaitable[Digest]],
        log: Callable[[str], None],
    ) -> None:
        """`head()` is the last block's height with the state root after it."""
        self._org = org
        self._state = state
        self._head = head
        self._is_behind = is_behind
        self._submit = submit
        self._log = log
        self._looked = asyncio.Event()
        self._said: Height | None = None
        self._concerned = True
        """Whether blocks matter: while this member is a candidate, and until it is known whether it is."""

    def look(self) -> None:
        """A block is on disk."""
        if self._concerned:
            self._looked.set()

    def standing_changed(self) -> None:
        """A block may have changed somebody's standing."""
        self._concerned = True

    async def run(self) -> None:
        """For ever; the caller cancels it."""
        while True:
            with contextlib.suppress(TimeoutError):
                # What a peer says of its chain is told by no block.
                async with asyncio.timeout(LOOK_S):
                    await self._looked.wait()
            self._looked.clear()
            standing = membership.standing_of(view(self._state, membership.NAME), self._org)
            self._concerned = standing is not None and standing.state is State.CANDIDATE
            if not self._concerned:
                continue
            ready = Ready(*self._head())
            if not ready_now(self._state, self._org, ready, behind=self._is_behind(), said=self._said):
                continue
            try:
                await self._submit(membership.NAME, "ready", encode(ready))
            except SubmissionRefused as refused:
                self._log(f"cannot tell that this member is ready: {refused}")
            else:
                self._said = ready.height
                self._log(f"told that this member is ready at height {ready.height}")
