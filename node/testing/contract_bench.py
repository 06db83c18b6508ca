"""Runs a contract's methods one by one on a state in memory, without blocks, nonces or signatures."""

from collections.abc import Sequence
from typing import Any

from node.base.codec import decode, encode
from node.base.crypto import digest
from node.base.ports import Writes
from node.base.types import Digest, Event, Height, Member, MemberSet, OrgId, Parameters, PublicKey
from node.ledger.contracts.contract import Context, Contract, Frame, View
from node.ledger.memory import MemoryState
from node.ledger.overlay import Overlay
from node.testing.signing import verify_hash

CHAIN = Digest(bytes(32))


class ContractBench:
    """One contract and its state; each call is a transaction in a block of its own, one second after the last."""

    def __init__(self, contract: Contract, orgs: Sequence[str]) -> None:
        """`orgs` are the members of the network."""
        self.contract = contract
        self.state = MemoryState()
        self.members = MemberSet(tuple(Member(OrgId(org), PublicKey(bytes(32))) for org in sorted(orgs)))
        self.height = 0
        self.time_ms = 1_000_000

    def call(self, org: str, method: str, payload: Any) -> tuple[Digest, tuple[Event, ...]]:
        """Run one method; returns the transaction's id and its events. Raises `Rejected` and then changes nothing."""
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
        context = Context(overlay, self.contract.name, frame, org=OrgId(org), transaction=id_)
        chosen = self.contract.methods[method]
        chosen.run(context, decode(chosen.payload, encode(payload, chosen.payload)))
        self.state.apply(Writes(tuple(overlay.changes()), ()))
        return id_, context.events

    @property
    def view(self) -> View:
        """The contract's part of the state."""
        return View(self.state, self.contract.name)
