"""What the operator's calls return."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction that an operator submitted."""

    transaction: bytes
    """Its id, 32 bytes."""
    final: bool
    """Whether it stands in a block yet; the fields below mean something only then."""
    height: int
    accepted: bool
    code: str
    reason: str
    notes: tuple[str, ...] = ()
    """What the member's own operator should know of its data."""


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """The receipts of one block: ids of accepted transactions and the count of refused ones."""

    height: int
    accepted: tuple[bytes, ...]
    refused: int


class OperatorRefusal(Exception):
    """Raised by the backend for a call that it will not carry out; the text goes to the operator."""
