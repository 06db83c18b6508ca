"""Encrypted copies: kept for others as the ledger asks, up to a limit of this member's own; and got back by the owner.

Level-triggered: what is asked stands on the ledger, what is kept lies on the disk, and the difference is done.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from node.base.codec import encode
from node.base.crypto import SealError, open_sealed_with_any
from node.base.ports import Clock, StateReader
from node.base.types import OrgId
from node.edge.vault import ChunkPlace, Copies, Copy, Vault, Version, VersionDamaged, sealed_bytes_max
from node.edge.vault.chunks import SEALED_BYTES_MAX
from node.edge.vault.records import RECORD_BYTES_MAX, from_bytes
from node.engine.loop import SubmissionRefused
from node.engine.submitter import VALID_MS
from node.engine.transfer.fetching import ask_digests, holders
from node.engine.transfer.library import Library
from node.engine.transfer.pulling import Goal, Liars, Puller
from node.engine.transfer.requests import Keeping, RecordRequest
from node.engine.transfer.sealing import Submit
from node.engine.transfer.serving import record_info
from node.ledger.contracts import replicas, sharing
from node.ledger.contracts.contract import view
from node.ledger.contracts.replicas import Drop, Hold
from node.ledger.contracts.sharing import DataSet


class NoCopy(Exception):
    """A version cannot be brought back; the text says why."""


class CopyKeeper:
    """One member's copies of others' versions."""

    def __init__(
        self,
        org: OrgId,
        state: StateReader,
        clock: Clock,
        puller: Puller,
        copies: Copies,
        library: Library,
        submit: Submit,
        log: Callable[[str], None],
        *,
        bytes_max: int,
    ) -> None:
        """`bytes_max` is what this member keeps for others at most."""
        self._org = org
        self._state = state
        self._clock = clock
        self._puller = puller
        self._copies = copies
        self._library = library
        self._submit = submit
        self._log = log
        self._bytes_max = bytes_max
        self._told: dict[tuple[str, int], int] = {}

    def wanted(self) -> list[tuple[str, int]]:
        """What the ledger asks this member to keep."""
        return list(replicas.kept_at(view(self._state, replicas.NAME), self._org))

    async def look(self) -> list[tuple[str, int]]:
        """Forget what is released; say what does not fit, or is whole. Returns what is to be got. Raises `OSError`."""
        now_ms = self._clock.now().mono_ms
        self._told = {key: until for key, until in self._told.items() if until > now_ms}
        wanted, held = self.wanted(), self._copies.all()
        for key in held:
            if key not in wanted:
                await self._forget(*key)
        lacking, room = [], self._bytes_max
        for key in wanted:
            # Those that are here come first: nothing is thrown away for what is asked later.
            room -= self._bytes_of(*key) if key in held else 0
        for key in wanted:
            if key in held:
                await self._say_held(*key)
            elif self._bytes_of(*key) <= room:
                room -= self._bytes_of(*key)
                lacking.append(key)
            else:
                limit = f"this member keeps {self._bytes_max} bytes for others at most"
                await self._tell(key, "drop", encode(Drop(*key, limit)))
        return lacking

    async def get(self, data: str, number: int) -> Goal:
        """Get a whole copy. Raises `OSError`, `Liars`."""
        registered = _registered(self._state, data, number)
        claim, place = Keeping(data, number), ChunkPlace(self._copies.place)
        digests = await ask_digests(
            self._puller, lambda: self._holders(data, number), claim, registered.commitment, _chunks(registered)
        )
        record = await self._record(data, number)
        goal = Goal(claim, digests, place, lambda: self._holders(data, number))
        missing = await asyncio.to_thread(place.missing, digests, sealed_bytes_max(0))
        await self._puller.pull(goal, missing)
        await asyncio.to_thread(place.settle, digests)
        await asyncio.to_thread(self._copies.keep, Copy(data, number, digests, record))
        await self._say_held(data, number)
        return goal

    async def _record(self, data: str, number: int) -> bytes:
        """The owner's sealed record, from whoever gives one."""
        asked = RecordRequest(data, number)
        answer = await self._puller.ask_any(self._holders(data, number), asked, RECORD_BYTES_MAX)
        if answer is None:
            raise NoCopy(f"nobody gives the record of version {number} of {data} now")
        return answer[1]

    def _holders(self, data: str, number: int) -> list[OrgId]:
        return holders(self._state, data, number)

    async def _say_held(self, data: str, number: int) -> None:
        found = replicas.replica(view(self._state, replicas.NAME), data, number, self._org)
        if found is not None and found.held_ms is None:
            await self._tell((data, number), "hold", encode(Hold(data, number)))

    async def _tell(self, key: tuple[str, int], method: str, payload: bytes) -> None:
        if key in self._told:
            return
        # The transaction's term: after it, one that is in no block will be in none.
        self._told[key] = self._clock.now().mono_ms + VALID_MS
        try:
            await self._submit(replicas.NAME, method, payload)
        except SubmissionRefused as refused:
            self._log(f"{replicas.NAME}.{method} was refused: {refused} ({refused.code})")

    async def _forget(self, data: str, number: int) -> None:
        self._library.forget(data, number)
        await asyncio.to_thread(self._delete, data, number)

    def _delete(self, data: str, number: int) -> None:
        copy = self._copies.get(data, number)
        self._copies.forget(data, number)
        place = ChunkPlace(self._copies.place)
        for digest in () if copy is None else copy.digests:
            place.delete(digest)

    def _bytes_of(self, data: str, number: int) -> int:
        """What the copy takes at most."""
        found = sharing.version(view(self._state, sharing.NAME), data, number)
        return 0 if found is None else _chunks(found) * SEALED_BYTES_MAX


class Restorer:
    """Brings own versions back from the members that keep copies."""

    def __init__(
        self,
        org: OrgId,
        state: StateReader,
        puller: Puller,
        library: Library,
        vault: Callable[[], Vault],
        data_private_keys: Callable[[], Sequence[bytes]],
    ) -> None:
        self._org = org
        self._state = state
        self._puller = puller
        self._library = library
        self._vault = vault
        self._data_private_keys = data_private_keys

    async def restore(self, name: str, number: int, begun: Callable[[Goal], None]) -> Version:
        """Bring back record and chunks. Raises `NoCopy`, `OSError`."""
        data = f"{self._org}/{name}"
        registered = _registered(self._state, data, number)
        version = await asyncio.to_thread(self._library.own, data, registered)
        if version is None:
            version = await self._record(name, registered)
        place = ChunkPlace(version.place)
        goal = Goal(Keeping(data, number), version.digests, place, lambda: holders(self._state, data, number))
        missing = await asyncio.to_thread(place.missing, version.digests, sealed_bytes_max(0))
        if missing and not any(holder != self._org for holder in goal.holders()):
            raise NoCopy(f"{len(missing)} chunks of version {number} of {data} are missing, and nobody keeps a copy")
        begun(goal)
        try:
            await self._puller.pull(goal, missing)
        except Liars as error:
            raise NoCopy(str(error)) from error
        await asyncio.to_thread(place.settle, version.digests)
        await asyncio.to_thread(self._vault().records.keep, version)
        self._library.forget(data, number)
        return version

    async def _record(self, name: str, registered: DataSet) -> Version:
        data, number = f"{self._org}/{name}", registered.number
        keepers = [holder for holder in holders(self._state, data, number) if holder != self._org]
        faults = []
        for keeper in keepers:
            answer = await self._puller.ask_any([keeper], RecordRequest(data, number), RECORD_BYTES_MAX)
            if answer is None:
                faults.append(f"{keeper} does not answer")
                continue
            digests = await ask_digests(
                self._puller, lambda: keepers, Keeping(data, number), registered.commitment, _chunks(registered)
            )
            try:
                record = open_sealed_with_any(self._data_private_keys(), answer[1], record_info(data, number))
                version = from_bytes(self._org, name, number, record, b"".join(digests))
                vault = self._vault()
                vault.key_of(version)
            except (SealError, ValueError, VersionDamaged) as error:
                faults.append(f"{keeper}'s copy of the record: {error}")
                continue
            return replace(version, place=vault.default_place)
        raise NoCopy(f"nobody gives a record of version {number} of {data}: {'; '.join(faults) or 'no copy is kept'}")


def _registered(state: StateReader, data: str, number: int) -> DataSet:
    found = sharing.version(view(state, sharing.NAME), data, number)
    if found is None:
        raise NoCopy(f"the ledger has no version {number} of {data}")
    return found


def _chunks(registered: DataSet) -> int:
    return 0 if registered.description is None else registered.description.chunks
