"""Runs a contract's methods one by one on a state in memory, without blocks, nonces or signatures.

A test of a contract states what the state holds, makes one call, and says which writes and events it expects:
`expect` and `refused`. How to write a contract, and its test, is in `node/ledger/contracts/README.md`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from node.base.codec import decode, encode
from node.base.crypto import digest
from node.base.ports import Writes
from node.base.types import Digest, Event, Height, Member, MemberSet, OrgId, Parameters, PublicKey
from node.ledger.contracts.contract import Context, Contract, Frame, Rejected, View
from node.ledger.memory import MemoryState
from node.ledger.overlay import Overlay
from node.testing.signing import verify_hash

CHAIN = Digest(bytes(32))


class ContractBench:
    """One contract and its state; each call is a transaction in a block of its own, one second after the last."""

    def __init__(self, contract: Contract, orgs: Sequence[str], state: Mapping[str, Any] | None = None) -> None:
        """`orgs` are the members of the network; `state` what the contract's part of it holds at the start."""
        self.contract = contract
        self.state = MemoryState()
        self.members = MemberSet(tuple(Member(OrgId(org), PublicKey(bytes(32))) for org in sorted(orgs)))
        self.height = 0
        self.time_ms = 1_000_000
        self.state.apply(Writes(self._stored(state or {}), ()))

    def expect(
        self, org: str, method: str, payload: Any, *, writes: Mapping[str, Any], events: Sequence[tuple[str, Any]]
    ) -> Digest:
        """Run one method, which must write exactly this (None: deletes) and emit exactly this; the transaction's id.

        Values and events' bodies are dataclasses or bytes.
        """
        before = dict(self.state.values)
        id_, emitted = self.call(org, method, payload)
        after = self.state.values
        found = {key: after.get(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert found == dict(self._stored(writes)), f"it wrote {sorted(found)}, or other values there"
        wanted = [Event(self.contract.name, name, _bytes(body)) for name, body in events]
        assert list(emitted) == wanted, f"it emitted {[(event.contract, event.name) for event in emitted]}"
        return id_

    def refused(self, org: str, method: str, payload: Any) -> str:
        """Run one method, which must refuse and change nothing; the refusal's code."""
        before = dict(self.state.values)
        try:
            self.call(org, method, payload)
        except Rejected as refusal:
            found = refusal
        else:
            raise AssertionError(f"{self.contract.name}.{method} was accepted")
        assert self.state.values == before, "a refused call changed the state"
        assert len(found.reason) > 10, "a refusal says in a sentence what to do"
        return found.code

    def call(
        self, org: str, method: str, payload: Any, *, contract: Contract | None = None
    ) -> tuple[Digest, tuple[Event, ...]]:
        """Run one method; returns the transaction's id and its events. Raises `Rejected` and then changes nothing.

        `contract` is another one on the same state, for what the tested one reads of it.
        """
        asked = contract or self.contract
        self.height += 1
        self.time_ms += 1_000
        id_ = Digest(digest("bench", self.height.to_bytes(8, "big"), org.encode(), encode(payload)))
        overlay = Overlay(self.state)
        frame = Frame(
            chain=CHAIN,
            height=Height(self.height),
            time_ms=self.time_ms,
            members=self.members,
            next_members=self.members,
            parameters=Parameters(),
            verify=verify_hash,
        )
        context = Context(overlay, asked.name, frame, org=OrgId(org), transaction=id_)
        chosen = asked.methods[method]
        chosen.run(context, decode(chosen.payload, encode(payload, chosen.payload)))
        self.state.apply(Writes(tuple(overlay.changes()), ()))
        return id_, context.events

    @property
    def view(self) -> View:
        """The contract's part of the state."""
        return View(self.state, self.contract.name)

    def _stored(self, values: Mapping[str, Any]) -> tuple[tuple[bytes, bytes | None], ...]:
        """Keys with the contract's prefix, ascending, and values in their byte form."""
        found = {f"{self.contract.name}/{key}".encode(): value for key, value in values.items()}
        return tuple((key, None if found[key] is None else _bytes(found[key])) for key in sorted(found))


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else encode(value)
