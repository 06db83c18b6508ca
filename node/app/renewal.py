"""Takes new keys into the running member and brings new cards to the ledger: nothing is restarted and nothing waits.

The daemon opens the new key files itself, with the passphrase that the operator's call carries over the member's own
socket; it does not keep the passphrase. Keys are held before the ledger names them, so that the block that brings one
into force finds it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from node.api import OperatorRefusal, Outcome
from node.base.codec import encode
from node.base.ports import StateReader
from node.base.types import Card, OrgId, Signature
from node.edge.storage import (
    FileError,
    FileSealer,
    KeyName,
    MemberKeys,
    load_member_keys,
    read_card,
    write_card,
)
from node.edge.transport import TlsKey
from node.edge.transport.session import settle
from node.ledger.contracts import membership
from node.ledger.contracts.contract import view
from node.ledger.contracts.membership import Present
from node.ledger.signers import key_in_force
from node.ledger.system import head

DAY_MS = 24 * 3_600_000
TERM_WARNING_MS = 30 * DAY_MS
"""From here on before the TLS term's end, status and log say so."""
WARNING_INTERVAL_S = 24 * 3_600.0
IN_FORCE_WAIT_S = 60.0
SUBMIT_WAIT_S = 60.0
PASSING_MAX = 8
"""Others' cards that are under way to the ledger at once; more are dropped, and handed in again."""

log = structlog.get_logger()

Submit = Callable[[str, str, bytes, float | None], Awaitable[Outcome]]


class Renewable(Protocol):
    """Shows this member's TLS certificate, and can take over new keys."""

    def renew(self, tls: Sequence[TlsKey]) -> None:
        """Newest first; for connections from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Holders:
    """Who uses the member's keys besides those that ask for each one anew."""

    keys: MemberKeys
    sealer: FileSealer
    shows_tls: list[Renewable]


class Renewal:
    """One member's keys and card over time."""

    def __init__(
        self, org: OrgId, root: Path, card_file: Path, holders: Holders, state: StateReader, submit: Submit
    ) -> None:
        self._org = org
        self._root = root
        self._card_file = card_file
        self._holders = holders
        self._state = state
        self._submit = submit
        self._membership = view(state, membership.NAME)
        self._block = asyncio.Event()
        self._log = log.bind(org=org)
        self._warned_s: float | None = None
        self._passing: set[asyncio.Task[None]] = set()

    def also(self, shower: Renewable) -> None:
        """Let this one hear of new TLS keys too."""
        self._holders.shows_tls.append(shower)

    def card(self) -> Card | None:
        """This organisation's newest card on the ledger; None before its admission."""
        return membership.card_of(self._membership, self._org)

    def committed(self) -> None:
        """A block is on disk."""
        self._block.set()
        self.warn()

    def warn(self) -> None:
        """Log what is to be done about keys: at the start, and once a day."""
        now_s = time.monotonic()
        if self._warned_s is None or now_s - self._warned_s >= WARNING_INTERVAL_S:
            self._warned_s = now_s
            for warning in self.warnings():
                self._log.warning("keys", note=warning)

    def warnings(self) -> list[str]:
        """What the operator should do about keys, in sentences."""
        card = self.card()
        if card is None:
            return []
        found = [
            f"the ledger names a {name} key that is not held here: restore it, or run lepton keys rotate {name}"
            for name in self._holders.keys.lacking(card.body)
        ]
        left_ms = card.body.tls_until_ms - head(self._state).time_ms
        if left_ms < 0:
            found.append("the TLS term is over, so only membership transactions count: run lepton keys rotate tls")
        elif left_ms < TERM_WARNING_MS:
            found.append(f"the TLS term ends in {left_ms // DAY_MS} days: run lepton keys rotate tls")
        return found

    @property
    def tls_keys(self) -> list[TlsKey]:
        """Newest first."""
        return [TlsKey(secret.key_pem, secret.certificate) for secret in self._holders.keys.tls]

    def pass_on(self, card: Card) -> None:
        """Bring to the ledger, without waiting, the newer card of a member that cannot connect to do so itself."""
        if len(self._passing) < PASSING_MAX:
            task = asyncio.get_running_loop().create_task(self._pass_on(card))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def close(self) -> None:
        """End what is under way."""
        await settle(list(self._passing))

    async def _pass_on(self, card: Card) -> None:
        try:
            outcome = await self._submit(membership.NAME, "present", encode(Present(card, None)), SUBMIT_WAIT_S)
        except OperatorRefusal as refusal:
            self._log.warning("card passed on", card_of=card.body.org, outcome=str(refusal))
        else:
            self._log.info("card passed on", card_of=card.body.org, outcome=outcome.code or "not in a block yet")

    async def take_keys(self, passphrase: str) -> list[str]:
        """Open the key files that are new in the member's folder; says which. Raises `OperatorRefusal`."""
        holders = self._holders
        try:
            more = await asyncio.to_thread(load_member_keys, self._root, passphrase, holders.keys.held)
        except FileError as error:
            raise OperatorRefusal(str(error)) from error
        data_before = holders.keys.data[0]
        holders.keys.take(more)
        if holders.keys.data[0] != data_before:
            holders.sealer.renew(holders.keys.data[0])
        if any(key.name is KeyName.TLS for key in more):
            for shower in holders.shows_tls:
                shower.renew(self.tls_keys)
        taken = [f"{key.name.name.lower()} {key.generation}" for key in more]
        self._log.info("keys taken", keys=taken)
        return taken

    async def present(self, card: Card, endorsement: Signature | None) -> Outcome:
        """Bring a card to the ledger; returns of our own when its node key is in force. Raises `OperatorRefusal`."""
        own = card.body.org == self._org
        if own and (lacking := self._holders.keys.lacking(card.body)):
            raise OperatorRefusal(f"the daemon does not hold the card's {' and '.join(lacking)} key: take keys first")
        call = encode(Present(card, endorsement))
        outcome = await self._submit(membership.NAME, "present", call, SUBMIT_WAIT_S)
        if own and outcome.final and outcome.accepted:
            try:
                async with asyncio.timeout(IN_FORCE_WAIT_S):
                    await self._in_force(card)
            except TimeoutError as error:
                raise OperatorRefusal(
                    "the card is on the ledger, but its node key is not in force yet: look with lepton keys show"
                ) from error
            await self.keep_card()
        return outcome

    async def keep_card(self) -> None:
        """Let `card.json` be the ledger's newest. Raises `OSError`."""
        card = self.card()
        if card is not None:
            await asyncio.to_thread(self._keep, card)

    def _keep(self, card: Card) -> None:
        try:
            if read_card(self._card_file).body.sequence >= card.body.sequence:
                return
        except FileError as error:
            self._log.warning("card file", note=f"{error}; it is written again from the ledger")
        write_card(self._card_file, card)

    async def _in_force(self, card: Card) -> None:
        while key_in_force(self._state, self._org) not in (card.body.node_key, None):
            self._block.clear()
            await self._block.wait()
