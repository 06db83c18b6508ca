"""The owner's daemon seals version keys to whom the ledger lets have them. Nobody waits for a person here.

Level-triggered: what is due stands on the ledger, so a daemon that was away does it when it is back. The envelope is on
disk before its digest is on the ledger; one that is lost is sealed anew.
"""

import asyncio
from collections.abc import Awaitable, Callable

from node.base.codec import encode
from node.base.ports import Clock, StateReader
from node.base.types import Digest, OrgId, PublicKey
from node.base.types.envelopes import (
    DIGESTS_MAX,
    Binding,
    Envelope,
    EnvelopeRefused,
    VersionKey,
    envelope_digest,
    read_envelope,
    seal_version_key,
)
from node.edge.vault import Envelopes, Vault, VaultError, Version
from node.engine.loop import SubmissionRefused
from node.engine.submitter import VALID_MS
from node.engine.transfer.library import Library
from node.ledger.contracts import access, sharing
from node.ledger.contracts.access import Basis, Seal, store
from node.ledger.contracts.contract import view
from node.ledger.system import head

AT_ONCE_MAX = 64
"""Keys sealed after one block; the others follow after the next."""

DataKeyOf = Callable[[OrgId], PublicKey | None]
Submit = Callable[[str, str, bytes], Awaitable[object]]
"""(contract, method, payload): sign a transaction and hand it in. Raises `SubmissionRefused`."""


class Sealing:
    """One owner's envelopes."""

    def __init__(
        self,
        org: OrgId,
        chain: Digest,
        state: StateReader,
        clock: Clock,
        library: Library,
        envelopes: Envelopes,
        vault: Callable[[], Vault],
        data_key_of: DataKeyOf,
        submit: Submit,
        log: Callable[[str], None],
    ) -> None:
        self._org = org
        self._chain = chain
        self._state = state
        self._clock = clock
        self._library = library
        self._envelopes = envelopes
        self._vault = vault
        self._data_key_of = data_key_of
        self._submit = submit
        self._log = log
        self._told: dict[tuple[Digest, int], int] = {}

    async def look(self) -> None:
        """Seal what is due. Raises `OSError`."""
        now_ms = self._clock.now().mono_ms
        self._told = {key: until for key, until in self._told.items() if until > now_ms}
        due = [key for key in store.due(view(self._state, access.NAME), self._org) if key not in self._told]
        for basis_id, number in due[:AT_ONCE_MAX]:
            # The transaction's term: after it, one that is in no block will be in none.
            self._told[basis_id, number] = now_ms + VALID_MS
            await self._seal(basis_id, number)

    async def envelope(self, basis_id: Digest, number: int) -> bytes | None:
        """What the ledger has the digest of; None while it is not sealed. Raises `OSError`."""
        sealed = store.sealed(view(self._state, access.NAME), basis_id, number)
        if sealed is None:
            return None
        raw = await asyncio.to_thread(self._envelopes.get, basis_id, number)
        if raw is not None and is_envelope(raw, sealed.envelope):
            return raw
        if (basis_id, number) not in self._told:
            self._told[basis_id, number] = self._clock.now().mono_ms + VALID_MS
            await self._seal(basis_id, number)
        return None

    async def _seal(self, basis_id: Digest, number: int) -> None:
        time_ms = head(self._state).time_ms
        found = access.basis(self._state, basis_id)
        if found is None or access.refusal_of_basis(self._state, basis_id, time_ms=time_ms) is not None:
            return
        key = self._data_key_of(found.recipient)
        registered = sharing.version(view(self._state, sharing.NAME), found.data, number)
        if key is None or registered is None:
            return
        version = await asyncio.to_thread(self._library.own, found.data, registered)
        if version is None:
            self._log(f"version {number} of {found.data} is not in the vault, so {found.recipient} cannot have its key")
            return
        try:
            envelope = await asyncio.to_thread(self._make, key, found, number, version)
            await self._submit(access.NAME, "seal", encode(Seal(basis_id, number, envelope_digest(envelope))))
        except (VaultError, SubmissionRefused) as error:
            self._log(f"the key of version {number} of {found.data} is not sealed to {found.recipient}: {error}")

    def _make(self, key: PublicKey, found: Basis, number: int, version: Version) -> Envelope:
        digests = version.digests if len(version.digests) <= DIGESTS_MAX else ()
        content = VersionKey(self._vault().key_of(version), version.id, version.kind, len(version.digests), digests)
        binding = binding_of(self._chain, found, number)
        envelope = seal_version_key(key, content, binding)
        self._envelopes.keep(found.id, number, encode(envelope))
        return envelope


def is_envelope(raw: bytes, digest: Digest) -> bool:
    """Whether the file is the one that the ledger has the digest of; a damaged one is not."""
    try:
        return envelope_digest(read_envelope(raw)) == digest
    except EnvelopeRefused:
        return False


def binding_of(chain: Digest, found: Basis, number: int) -> Binding:
    """What an envelope on this basis is for."""
    return Binding(chain, found.agreement, found.data, number, found.id, found.recipient)
