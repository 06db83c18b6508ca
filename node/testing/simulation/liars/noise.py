"""Tactics of noise: bytes that are no message, messages again and again, transactions that are worth nothing."""

from collections.abc import Iterable
from dataclasses import replace

from node.base.types import Digest, OrgId, PeerMessage, Transactions
from node.testing.simulation.liars.kit import Kit, to_bytes
from node.testing.simulation.liars.tactic import Said, Tactic

GARBAGE_BYTES_MAX = 300
REPEATED_MAX = 40
"""Old messages that are kept to be sent again."""


class Garbage(Tactic):
    """Bytes by chance, and own messages with a bit turned, cut off, or with something behind."""

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Sometimes spoilt."""
        rng = self.kit.rng
        if rng.random() < 0.7:
            return (message,)
        data = bytearray(to_bytes(message))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return (bytes(data), to_bytes(message)[: rng.randrange(len(data))], bytes(data) + b"\x00")

    def acts(self) -> None:
        """Bytes by chance."""
        rng = self.kit.rng
        self.kit.post_all(rng.randbytes(rng.randint(0, GARBAGE_BYTES_MAX)))


class Repeats(Tactic):
    """Sends everything twice, and what it and others said long ago again."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._old: list[PeerMessage] = []

    def says(self, peer: OrgId, message: PeerMessage) -> Iterable[Said]:
        """Twice."""
        self._keep(message)
        return (message, message)

    def hears(self, peer: OrgId, message: PeerMessage) -> None:
        """Keep it for later."""
        self._keep(message)

    def acts(self) -> None:
        """Something old."""
        if self._old:
            self.kit.post_all(self.kit.rng.choice(self._old))

    def _keep(self, message: PeerMessage) -> None:
        if len(self._old) < REPEATED_MAX:
            self._old.append(message)


class WorthlessTransactions(Tactic):
    """Transactions under forged signatures, of other chains, over, and two different ones under one nonce."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._nonce = 10**6

    def acts(self) -> None:
        """One to each peer, not always the same."""
        kit, rng = self.kit, self.kit.rng
        self._nonce += rng.choice((0, 1, 2_000))
        good = kit.transaction(self._nonce)
        for peer in kit.peers:
            choices = (
                good,
                kit.transaction(self._nonce),
                kit.transaction(self._nonce, until_ms=kit.wall_ms() - 60_000),
                kit.transaction(self._nonce, chain=Digest(rng.randbytes(32))),
                replace(good, signature=kit.forged()),
                replace(good, body=replace(good.body, org=rng.choice(kit.peers))),
            )
            kit.post(peer, Transactions((rng.choice(choices).encoded,)))


TACTICS: tuple[type[Tactic], ...] = (Garbage, Repeats, WorthlessTransactions)
