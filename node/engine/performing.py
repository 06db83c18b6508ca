"""What a replica does for each of its parts: their effects become inputs of other parts, or effects for the edge."""

from itertools import islice
from typing import assert_never

from node.base.codec import encode
from node.base.types import OrgId, Transaction
from node.core import consensus, gossip, mempool
from node.engine.blocks import Blocks
from node.engine.parts import MESSAGE
from node.engine.replica_io import Admitted, AppendVotes, PeerFault, Refused, Send

REPEATED_MAX = 100
"""Waiting transactions that are sent again at once."""


class Performing(Blocks):
    """Runs the parts."""

    def _drain(self) -> None:
        """Run the parts until none has anything left to say to another."""
        self._build_held()
        while self._queue or self._admitted:
            if not self._queue:
                self._pass_on()
            item = self._queue.popleft()
            if isinstance(item, consensus.Input):
                for decision in self._consensus.step(item, now=self._now):
                    self._perform_consensus(decision)
            elif isinstance(item, gossip.Input):
                for chore in self._gossip.step(item, now=self._now):
                    self._perform_gossip(chore)
            else:
                for effect in self._mempool.step(item, now=self._now):
                    self._perform_mempool(effect)

    def _perform_consensus(self, effect: consensus.Effect) -> None:
        match effect:
            case consensus.PersistVotes(messages):
                entries = tuple(encode(message, MESSAGE) for message in messages)
                self._effects.append(AppendVotes(self._consensus.height, entries))
            case consensus.Broadcast(message):
                data = encode(message, MESSAGE)
                self._effects.extend(Send(org, data) for org in self._head.audience)
            case consensus.SendTo(peer, message):
                self._send(peer, message)
            case consensus.Build():
                self._held = effect
                self._build_held()
            case consensus.ExecuteProposal(proposal):
                self._begin_assembly(proposal)
            case consensus.ExecuteBlock(block):
                self._execute(block, self._org)
            case consensus.Decide(block, certificate):
                if self._committing is None:
                    self._commit(self._head.execute(block), certificate, durable=True)
            case consensus.PeerFault(peer, reason):
                self._effects.append(PeerFault(peer, reason))
            case consensus.Equivocated(first, second):
                self._reports.add(first, second, self._head.members, self._now)
            case _:
                assert_never(effect)

    def _perform_gossip(self, effect: gossip.Effect) -> None:
        match effect:
            case gossip.Send(peer, message):
                self._send(peer, message)
            case gossip.SendPending(peer, own_only):
                for batch in gossip.batches(self._pending_of(self._org if own_only else None)):
                    self._send(peer, gossip.message_of(batch))
            case gossip.Apply():
                self._apply(effect)
            case gossip.PeerFault(peer, reason):
                self._effects.append(PeerFault(peer, reason))
            case _:
                assert_never(effect)

    def _perform_mempool(self, effect: mempool.Effect) -> None:
        match effect:
            case mempool.Admitted(transaction):
                self._admitted.append(transaction)
            case mempool.Refused(id_, code, reason):
                self._effects.append(Refused(id_, code, reason))
            case mempool.PeerFault(peer, reason):
                self._effects.append(PeerFault(peer, reason))
            case _:
                assert_never(effect)

    def _pass_on(self) -> None:
        """What the mempool took in this step goes to others, and into a block that waits for it."""
        admitted, self._admitted = tuple(self._admitted), []
        self._effects.extend(Admitted(transaction.id) for transaction in admitted if transaction.body.org == self._org)
        self._queue.append(gossip.NewTransactions(admitted))
        if self._assembly.add(admitted):
            self._assemble()

    def _pending_of(self, org: OrgId | None) -> list[Transaction]:
        chosen = (waiting for waiting in self._mempool.candidates() if org is None or waiting.body.org == org)
        return list(islice(chosen, REPEATED_MAX))
