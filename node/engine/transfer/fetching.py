"""One data set on its way here: from the fetch on the ledger to the version in the vault's `received` area.

Everything follows from the ledger and the disk, so a restart goes on at the missing chunk. What ends it early is the
ledger's word (a revocation, a withdrawal, an expiry) or an owner that sealed rubbish; then nothing of it stays.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from node.base.ports import Clock, StateReader
from node.base.types import Digest, OrgId, data_owner
from node.base.types.envelopes import (
    ENVELOPE_BYTES_MAX,
    EnvelopeRefused,
    VersionKey,
    envelope_digest,
    open_version_key,
    read_envelope,
)
from node.edge.vault import (
    Arrival,
    Arrivals,
    ChunkPlace,
    Column,
    Received,
    Vault,
    Version,
    chunks_root,
    sealed_bytes_max,
)
from node.edge.vault.arrivals import split_digests
from node.engine.transfer.keys import Keys
from node.engine.transfer.pulling import Goal, Liars, Puller
from node.engine.transfer.requests import Claim, DigestsRequest, EnvelopeRequest, Fetching
from node.engine.transfer.sealing import binding_of
from node.ledger.contracts import access, replicas, sharing
from node.ledger.contracts.access import store
from node.ledger.contracts.contract import view
from node.ledger.contracts.sharing import DataSet
from node.ledger.system import head

CHUNKS_MAX = 1 << 20
"""Of a version that is fetched: two terabytes."""
PAUSE_S = 0.5
"""Between two looks for somebody who answers."""


class Stopped(Exception):
    """Nothing more comes of it; the text says why."""


@dataclass(slots=True)
class Progress:
    """How one stands, for its operator."""

    arrival: Arrival
    state: str = "waiting"
    doing: str = ""
    goal: Goal | None = None


class Fetcher:
    """Fetches for one member."""

    def __init__(
        self,
        org: OrgId,
        chain: Digest,
        state: StateReader,
        clock: Clock,
        puller: Puller,
        arrivals: Arrivals,
        keys: Keys,
        vault: Callable[[], Vault],
        data_private_keys: Callable[[], Sequence[bytes]],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        """`changed()` returns after the next block, or a little later."""
        self._org = org
        self._chain = chain
        self._state = state
        self._clock = clock
        self._puller = puller
        self._arrivals = arrivals
        self._keys = keys
        self._vault = vault
        self._data_private_keys = data_private_keys
        self._changed = changed

    def why_not(self, fetch: Digest) -> str | None:
        """Why the ledger does not let this member have it now."""
        time_ms = max(self._clock.now().wall_ms, head(self._state).time_ms)
        return access.why_not_served(self._state, fetch, self._org, time_ms=time_ms)

    async def run(self, progress: Progress) -> None:
        """Until the version is in the vault. Raises `OSError`, and `Stopped` when it never will be."""
        work = asyncio.ensure_future(self._fetch(progress))
        try:
            while not work.done():
                if (why := self.why_not(progress.arrival.fetch)) is not None:
                    raise Stopped(why)
                change = asyncio.ensure_future(self._changed())
                await asyncio.wait((work, change), return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
            await work
        except Liars as error:
            raise Stopped(str(error)) from error
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def discard(self, arrival: Arrival, why: str) -> None:
        """Nothing of it stays but the reason. Blocking. Raises `OSError`."""
        self._arrivals.keep(replace(arrival, stopped=why, envelope=b""))
        self._vault().delete_received(self._arrivals.digests(arrival.fetch))
        self._arrivals.forget_digests(arrival.fetch)
        self._keys.forget(arrival.basis, arrival.version)

    def tidy(self) -> None:
        """Finish what a discarding left that was broken off. Blocking. Raises `OSError`."""
        for arrival in self._arrivals.all():
            if arrival.stopped:
                self.discard(arrival, arrival.stopped)

    async def _fetch(self, progress: Progress) -> None:
        arrival = progress.arrival
        registered = sharing.version(view(self._state, sharing.NAME), arrival.data, arrival.version)
        if registered is None or registered.description is None:
            raise Stopped(f"the ledger does not describe version {arrival.version} of {arrival.data}: nothing to fetch")
        content = await self._key(progress)
        if not 0 < content.chunks <= CHUNKS_MAX:
            raise Stopped(f"the version has {content.chunks} chunks, {CHUNKS_MAX} at most are fetched")
        digests = await asyncio.to_thread(self._arrivals.digests, arrival.fetch)
        if not digests:
            progress.doing = "asking for the list of chunks"
            digests = await self._digests(arrival, registered, content)
            await asyncio.to_thread(self._arrivals.keep_digests, arrival.fetch, digests)
        place = ChunkPlace(self._vault().received_place)
        progress.doing = "looking for what is here"
        missing = await asyncio.to_thread(place.missing, digests, sealed_bytes_max(0))
        progress.state, progress.doing = "fetching", ""
        progress.goal = Goal(Fetching(arrival.fetch), digests, place, lambda: self._holders(arrival))
        await self._puller.pull(progress.goal, missing)
        progress.doing = "waiting for the disk"
        await asyncio.to_thread(self._keep, arrival, registered, content, digests, place)

    def _holders(self, arrival: Arrival) -> list[OrgId]:
        return holders(self._state, arrival.data, arrival.version)

    async def _key(self, progress: Progress) -> VersionKey:
        """The version's key, out of the envelope of which the ledger has the digest."""
        while True:
            arrival = progress.arrival
            found = access.basis(self._state, arrival.basis)
            assert found is not None, "a fetch stands on a basis"
            sealed = store.sealed(view(self._state, access.NAME), arrival.basis, arrival.version)
            owner = data_owner(arrival.data)
            assert owner is not None, "the ledger knows no other names"
            if sealed is None:
                progress.doing = f"waiting for {owner} to seal the key"
                await self._changed()
                continue
            kept = await asyncio.to_thread(self._keys.kept, arrival.basis, arrival.version, sealed.envelope)
            raw = arrival.envelope or kept or await self._envelope(progress, owner)
            if raw is None:
                await asyncio.sleep(PAUSE_S)
                continue
            try:
                envelope = read_envelope(raw)
                if envelope_digest(envelope) != sealed.envelope:
                    progress.arrival = replace(arrival, envelope=b"")
                    await asyncio.sleep(PAUSE_S)
                    continue
                wanted = binding_of(self._chain, found, arrival.version)
                content = open_version_key(self._data_private_keys(), envelope, wanted)
            except EnvelopeRefused as error:
                raise Stopped(f"{owner} sealed a key that cannot be used: {error}") from error
            if not arrival.envelope:
                progress.arrival = replace(arrival, envelope=raw)
                await asyncio.to_thread(self._arrivals.keep, progress.arrival)
            return content

    async def _envelope(self, progress: Progress, owner: OrgId) -> bytes | None:
        progress.doing = f"asking {owner} for the key"
        answer = await self._puller.ask_any([owner], EnvelopeRequest(progress.arrival.fetch), ENVELOPE_BYTES_MAX)
        return None if answer is None else answer[1]

    async def _digests(self, arrival: Arrival, registered: DataSet, content: VersionKey) -> tuple[Digest, ...]:
        """The digests that the fingerprint on the ledger covers."""
        if content.digests:
            if chunks_root(list(content.digests)) != registered.commitment:
                raise Stopped(f"{registered.owner} sealed a list of chunks that its fingerprint on the ledger denies")
            return content.digests
        return await ask_digests(
            self._puller,
            lambda: self._holders(arrival),
            Fetching(arrival.fetch),
            registered.commitment,
            content.chunks,
        )

    def _keep(
        self,
        arrival: Arrival,
        registered: DataSet,
        content: VersionKey,
        digests: tuple[Digest, ...],
        place: ChunkPlace,
    ) -> None:
        place.settle(digests)
        vault, described = self._vault(), registered.description
        assert described is not None, "it was there when the fetch began"
        version = Version(
            owner=registered.owner,
            name=arrival.data.partition("/")[2],
            number=arrival.version,
            id=content.id,
            kind=described.kind,
            label=described.label,
            purpose=described.purpose,
            columns=tuple(Column(column.name, column.type) for column in described.columns),
            plain_bytes=described.plain_bytes,
            sealed_bytes=place.size(digests),
            root=registered.commitment,
            digests=digests,
            sealed_key=vault.sealed_to_self(content.key, arrival.data, content.id),
            place=place.url,
            fingerprint=b"",
            added_ms=self._clock.now().wall_ms,
            transaction=arrival.fetch,
            received=Received(arrival.fetch, arrival.basis, arrival.operation),
        )
        vault.received(registered.owner).keep(version)
        self._arrivals.forget(arrival.fetch)


def holders(state: StateReader, data: str, number: int) -> list[OrgId]:
    """The owner and whoever has a whole copy, by the ledger's word."""
    owner = data_owner(data)
    assert owner is not None, "the ledger knows no other names"
    found = replicas.copies(view(state, replicas.NAME), data, number)
    return [owner, *(holder for holder, copy in found if copy.held_ms is not None)]


async def ask_digests(
    puller: Puller, asked: Callable[[], Sequence[OrgId]], claim: Claim, root: Digest, count: int
) -> tuple[Digest, ...]:
    """The digests of all chunks, from whoever gives the ones that the root covers."""
    while True:
        for holder in asked():
            answer = await puller.ask_any([holder], DigestsRequest(claim, 0), 32 * count)
            if answer is None or len(answer[1]) != 32 * count:
                continue
            digests = split_digests(answer[1])
            if await asyncio.to_thread(chunks_root, list(digests)) == root:
                return digests
            puller.blame(answer[0], "a list of chunks that the fingerprint on the ledger denies")
        await asyncio.sleep(PAUSE_S)
