"""Which transactions are about a data set or an organisation, the refused ones too.

A transaction names what it is about in its payload and its events: a data set, an organisation, or the id of an earlier
transaction (a request, an agreement, a job) that was about it.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from node.base.codec import DecodeError, decode
from node.base.types import OrgId, Receipt, Transaction, data_owner
from node.ledger.contracts.access import AccessEvent
from node.ledger.contracts.registry import CONTRACTS
from node.ledger.contracts.training import JobEvent

AUDITED = ("access", "agreements", "replicas", "rules", "sharing", "training")
"""The contracts whose transactions are about data."""
_JOB_METHODS = ("propose", "approve", "refuse", "withdraw")
LEFT_OUT = "left-out"
"""The event of a member whose basis no longer stands when a training round opens."""
_JOB_EVENTS = (LEFT_OUT, "done", "failed")
_EVENTS: Mapping[str, type[Any]] = {"access": AccessEvent, "training": JobEvent}


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What an audit is about: one of the two, the other is empty."""

    data: str
    """`owner/name`."""
    org: str


class Concern:
    """Transactions in the chain's order, and which of them are about the subject."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._ids: set[bytes] = set()
        self.named: set[bytes] = set()
        """Ids that those name which are about the subject: what explains them may be about something else too."""

    def takes(self, transaction: Transaction, receipt: Receipt) -> bool:
        """Whether this one is about the subject."""
        payload = payload_of(transaction) if transaction.body.contract in AUDITED else None
        named = _Named(transaction, payload, receipt)
        if not self._is_about(transaction, receipt, named):
            return False
        self.named |= named.ids
        if receipt.accepted:
            self._ids.add(transaction.id)
            if (transaction.body.contract, transaction.body.method) == ("training", "approve"):
                assert payload is not None, "an accepted transaction has a payload that its contract takes"
                self._ids.add(payload.job)
        return True

    def _is_about(self, transaction: Transaction, receipt: Receipt, named: "_Named") -> bool:
        body = transaction.body
        if body.contract not in AUDITED:
            return False
        if body.contract == "training" and body.method not in _JOB_METHODS:
            return any(event.name in _JOB_EVENTS and job_of(event.body) in self._ids for event in receipt.events)
        if self._subject.data:
            if named.data:
                return self._subject.data in named.data
            return bool(named.ids & self._ids)
        owners = {data_owner(data) for data in named.data}
        return self._subject.org in {body.org, *named.texts, *owners} or bool(named.ids & self._ids)


class _Named:
    """What a transaction names."""

    def __init__(self, transaction: Transaction, payload: Any, receipt: Receipt) -> None:
        body = transaction.body
        values = [payload, *(event_of(event.contract, event.body) for event in receipt.events)]
        leaves = [leaf for value in values for leaf in _leaves(value)]
        self.texts = {leaf for _, leaf in leaves if isinstance(leaf, str)}
        self.ids = {leaf for _, leaf in leaves if isinstance(leaf, bytes) and len(leaf) == 32}
        # Only where a data set is meant: words of the form owner/name must not turn the transaction away from its own.
        named = {leaf for name, leaf in leaves if name == "data" and isinstance(leaf, str)}
        self.data = {text for text in named if data_owner(text) is not None} | own_data(body.org, payload)


def own_data(org: OrgId, payload: Any) -> set[str]:
    """Data sets that a payload names without their owner, who is the caller."""
    rules = getattr(payload, "rules", None)
    if rules is not None:
        return {f"{org}/{name}" for name in rules.data}
    has_own_name = hasattr(payload, "commitment") and hasattr(payload, "name")
    return {f"{org}/{payload.name}"} if has_own_name else set()


def payload_of(transaction: Transaction) -> Any:
    """What the transaction asked; None where its contract, its method or its bytes are unknown."""
    contract = CONTRACTS.get(transaction.body.contract)
    method = None if contract is None else contract.methods.get(transaction.body.method)
    if method is None:
        return None
    try:
        return decode(method.payload, transaction.body.payload)
    except DecodeError:
        return None


def event_of(contract: str, body: bytes) -> Any:
    """What an event says; None for one that says nothing of data."""
    kind = _EVENTS.get(contract)
    try:
        return None if kind is None else decode(kind, body)
    except DecodeError:
        return None


def job_of(body: bytes) -> bytes:
    """The job of an event of the contract `training`; empty for another event."""
    found = event_of("training", body)
    return b"" if found is None else found.job


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(the field that it stands in, the value) of all that is no record and no tuple."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _leaves(getattr(value, field.name), field.name)
    elif isinstance(value, tuple):
        for item in value:
            yield from _leaves(item, name)
    else:
        yield name, value
