"""Cards that strangers handed in: kept in the member's folder until an operator has looked, the oldest out first."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.base.codec import DecodeError, decode
from node.base.crypto import verify
from node.base.ports import StateReader
from node.base.types import Card
from node.edge.storage import FileError, check_card, make_private_folder, read_card, write_card
from node.edge.transport import JoinRefused
from node.ledger.cards import card_fault
from node.ledger.contracts import membership
from node.ledger.contracts.contract import view

APPLICANTS_MAX = 64


@dataclass(frozen=True, slots=True)
class Applicant:
    """One card that waits for the operator."""

    card: Card
    file: Path
    received_ms: int


class Applicants:
    """The folder of waiting cards; one for each organisation key, so that nobody replaces another's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Applicant]:
        """Oldest first. Files that are no cards are left out."""
        found = []
        for path in self._folder.glob("*.json"):
            try:
                found.append(Applicant(read_card(path), path, path.stat().st_mtime_ns // 1_000_000))
            except (FileError, FileNotFoundError):
                continue
        return sorted(found, key=lambda applicant: (applicant.received_ms, applicant.file.name))

    def keep(self, card: Card) -> None:
        """Keep a checked card. Raises `OSError`."""
        make_private_folder(self._folder)
        name = hashlib.sha256(card.body.organisation_key).hexdigest()[:16]
        write_card(self._folder / f"{card.body.org}-{name}.json", card)
        files = sorted(self._folder.glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        for path in files[: max(0, len(files) - APPLICANTS_MAX)]:
            path.unlink(missing_ok=True)


class Reception:
    """Judges the cards that come in by the join call."""

    def __init__(self, applicants: Applicants, state: StateReader, present: Callable[[Card], None]) -> None:
        """`present` brings to the ledger the newer card of an organisation that is on it."""
        self._applicants = applicants
        self._membership = view(state, membership.NAME)
        self._present = present

    def receive(self, raw: bytes) -> str:
        """What becomes of the card. Raises `JoinRefused`, `OSError`."""
        card = _checked(raw)
        known = membership.card_of(self._membership, card.body.org)
        connects = membership.may_connect(self._membership, card.body.org)
        if known is None or not connects or known.body.organisation_key != card.body.organisation_key:
            self._applicants.keep(card)
            return "received: a member's operator will look at it; compare the organisation key by another way"
        if card.body.sequence <= known.body.sequence:
            raise JoinRefused(f"the ledger has card {known.body.sequence} of {card.body.org}; this one is not newer")
        self._present(card)
        return "received: it is signed by the organisation key on the ledger and goes there"


def _checked(raw: bytes) -> Card:
    try:
        card = decode(Card, raw)
        check_card(card)
    except (DecodeError, FileError) as error:
        raise JoinRefused(f"this is no card that can be used: {error}") from error
    fault = card_fault(card, time.time_ns() // 1_000_000, verify)
    if fault is not None:
        raise JoinRefused(fault[1])
    return card
