"""When a proof of two contradicting statements goes to the ledger: from one member, not from all at once.

The members take turns: each waits its place in their order, which another height shifts, and the first report that is
final makes the others drop theirs. One proof of each accused waits at a time; the ledger needs no second.
"""

from collections.abc import Callable
from dataclasses import dataclass

from node.base.types import Height, Instant, MemberSet, OrgId, Statement

STAGGER_MS = 1_000
"""Between two members' turns: a report is usually final by then."""
AGAIN_MS = 30_000
"""A report that the ledger still does not show after this long is made again."""
ATTEMPTS_MAX = 3

IsNamed = Callable[[OrgId, Height], bool]
"""Whether the ledger names the organisation for a fault at this height or above."""


@dataclass(slots=True)
class _Waiting:
    first: Statement
    second: Statement
    due_ms: int
    attempts: int = 0


class Reports:
    """The proofs that wait for this member's turn; at most one for each accused."""

    def __init__(self, org: OrgId, is_named: IsNamed) -> None:
        self._org = org
        self._is_named = is_named
        self._waiting: dict[OrgId, _Waiting] = {}

    @property
    def wake_at(self) -> int | None:
        """When `take_due` has something to give, in `mono_ms`."""
        return min(waiting.due_ms for waiting in self._waiting.values()) if self._waiting else None

    def add(self, first: Statement, second: Statement, members: MemberSet, now: Instant) -> None:
        """Keep a proof until it is this member's turn."""
        if first.org in self._waiting or self._is_named(first.org, first.height):
            return
        witnesses = [org for org in members.orgs if org != first.org]
        if self._org not in witnesses:
            return
        place = (witnesses.index(self._org) - first.height) % len(witnesses)
        self._waiting[first.org] = _Waiting(first, second, now.mono_ms + place * STAGGER_MS)

    def take_due(self, now: Instant) -> list[tuple[Statement, Statement]]:
        """The proofs to report now; those that the ledger knows are dropped."""
        found: list[tuple[Statement, Statement]] = []
        for org, waiting in list(self._waiting.items()):
            if self._is_named(org, waiting.first.height) or waiting.attempts >= ATTEMPTS_MAX:
                del self._waiting[org]
            elif waiting.due_ms <= now.mono_ms:
                waiting.due_ms = now.mono_ms + AGAIN_MS
                waiting.attempts += 1
                found.append((waiting.first, waiting.second))
        return found
