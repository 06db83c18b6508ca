"""The keys that others sealed to this member: got as soon as the ledger names them, and kept.

So a fetch later needs the owner no more, where others keep copies. An envelope is sealed to this member's data key: on
the disk it is as safe as that. Level-triggered: what is sealed and not fetched stands on the ledger.
"""

import asyncio

from node.base.ports import Clock, LinkError, StateReader
from node.base.types import Digest, OrgId
from node.base.types.envelopes import ENVELOPE_BYTES_MAX
from node.edge.vault import Envelopes
from node.engine.transfer.pulling import Puller
from node.engine.transfer.requests import KeyRequest
from node.engine.transfer.sealing import is_envelope
from node.ledger.contracts import access, replicas
from node.ledger.contracts.access import store
from node.ledger.contracts.contract import view
from node.ledger.system import head

RETRY_MS = 10_000
"""An owner that did not give a key is asked again after this."""


class Keys:
    """What was sealed to one member."""

    def __init__(self, org: OrgId, state: StateReader, clock: Clock, puller: Puller, envelopes: Envelopes) -> None:
        self._org = org
        self._state = state
        self._clock = clock
        self._puller = puller
        self._envelopes = envelopes
        self._here: set[tuple[Digest, int]] = set()
        """Of those that the ledger names; bounded by them, as the next."""
        self._tried: dict[tuple[Digest, int], int] = {}

    def lacking(self) -> list[tuple[Digest, int]]:
        """Bases with versions whose keys are to be got now."""
        now_ms = self._clock.now().mono_ms
        self._tried = {key: until for key, until in self._tried.items() if until > now_ms}
        named = list(store.unfetched(view(self._state, access.NAME), self._org))
        self._here.intersection_update(named)
        return [key for key in named if key not in self._here and key not in self._tried]

    async def get(self, basis_id: Digest, number: int) -> None:
        """Get one from its owner, where that gives it now. Raises `OSError`."""
        self._tried[basis_id, number] = self._clock.now().mono_ms + RETRY_MS
        sealed = store.sealed(view(self._state, access.NAME), basis_id, number)
        found = access.basis(self._state, basis_id)
        if sealed is None or found is None or not self._may_have(found, number):
            return
        if await asyncio.to_thread(self.kept, basis_id, number, sealed.envelope) is None:
            raw = await self._ask(access.owner_of(found), KeyRequest(basis_id, number))
            if raw is None or not is_envelope(raw, sealed.envelope):
                return
            await asyncio.to_thread(self._envelopes.keep, basis_id, number, raw)
        self._here.add((basis_id, number))

    def kept(self, basis_id: Digest, number: int, envelope: Digest) -> bytes | None:
        """The envelope of this digest, if it is here. Blocking. Raises `OSError`."""
        raw = self._envelopes.get(basis_id, number)
        return raw if raw is not None and is_envelope(raw, envelope) else None

    def forget(self, basis_id: Digest, number: int) -> None:
        """It is not needed any more. Blocking. Raises `OSError`."""
        self._envelopes.forget(basis_id, number)

    def _may_have(self, found: access.Basis, number: int) -> bool:
        """Whether the owner would give it: a basis stands, and who keeps a copy gets the key when it fetches."""
        time_ms = max(self._clock.now().wall_ms, head(self._state).time_ms)
        if access.refusal_of_basis(self._state, found.id, time_ms=time_ms) is not None:
            return False
        return replicas.why_not_copied(self._state, found.data, number, self._org) is not None

    async def _ask(self, owner: OrgId, request: KeyRequest) -> bytes | None:
        for source in self._puller.sources([owner]):
            try:
                return await self._puller.ask(source, request, ENVELOPE_BYTES_MAX)
            except LinkError:
                continue
        return None
