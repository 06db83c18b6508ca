"""The loop of data sets between vaults: the ledger and the disk are compared after each block, the difference is done.

One task runs `TransferEngine.run`; each transfer is a task beside it. After a restart everything follows from the
ledger and the disk.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.base.ports import Clock, StateReader, Transport
from node.base.types import Digest, OrgId
from node.edge.vault import Arrival, Arrivals, Copies, Envelopes, Vault, VaultError, Version
from node.edge.vault.records import WriteFile
from node.engine.transfer.copies import CopyKeeper, NoCopy, Restorer
from node.engine.transfer.fetching import Fetcher, Progress, Stopped
from node.engine.transfer.keys import Keys
from node.engine.transfer.library import Library
from node.engine.transfer.pulling import Goal, Liars, OnFault, Puller
from node.engine.transfer.sealing import DataKeyOf, Sealing, Submit
from node.engine.transfer.serving import Server

AT_ONCE_MAX = 4
"""Transfers of each kind at a time; the others wait their turn."""
LOOK_S = 1.0
"""Time passes without blocks, too: a term may be over."""
PAUSE_S = 0.02
"""A row of blocks that are taken over, or made under load, is one change."""
DISK_PAUSE_S = 5.0
"""A transfer that the disk refused is tried again after this."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the engine is connected to inside the member."""

    org: OrgId
    chain: Digest
    state: StateReader
    """Asked before every chunk, and after each block that concerns transfers: what was read should be remembered."""
    clock: Clock
    transport: Transport
    folder: Path
    """The vault's."""
    write: WriteFile
    vault: Callable[[], Vault]
    data_key_of: DataKeyOf
    data_private_keys: Callable[[], Sequence[bytes]]
    submit: Submit
    log: Callable[[str], None]
    on_fault: OnFault
    replica_bytes: int


class TransferEngine:
    """One member's transfers, and its answers to others'."""

    def __init__(self, parts: Parts) -> None:
        self._log = parts.log
        self._vault = parts.vault
        self._arrivals = Arrivals(parts.folder, parts.write)
        copies = Copies(parts.folder, parts.write)
        library = Library(parts.org, parts.vault, copies)
        puller = Puller(parts.org, parts.transport, parts.clock, parts.on_fault)
        self._sealing = Sealing(
            parts.org,
            parts.chain,
            parts.state,
            parts.clock,
            library,
            Envelopes(parts.folder, parts.write),
            parts.vault,
            parts.data_key_of,
            parts.submit,
            parts.log,
        )
        self._server = Server(
            parts.org, parts.state, parts.clock, parts.transport, library, copies, self._sealing, parts.data_key_of
        )
        received = Envelopes(parts.folder, parts.write, received=True)
        self._keys = Keys(parts.org, parts.state, parts.clock, puller, received)
        self._fetcher = Fetcher(
            parts.org,
            parts.chain,
            parts.state,
            parts.clock,
            puller,
            self._arrivals,
            self._keys,
            parts.vault,
            parts.data_private_keys,
            self._changed,
        )
        self._keeper = CopyKeeper(
            parts.org,
            parts.state,
            parts.clock,
            puller,
            copies,
            library,
            parts.submit,
            parts.log,
            bytes_max=parts.replica_bytes,
        )
        self._restorer = Restorer(parts.org, parts.state, puller, library, parts.vault, parts.data_private_keys)
        self._fetches: dict[Digest, Progress] = {}
        self._copying: set[tuple[str, int]] = set()
        self._getting: set[tuple[Digest, int]] = set()
        self._block = asyncio.Event()
        self._begun = asyncio.Event()

    def on_block(self) -> None:
        """A block is committed."""
        self._block.set()
        self._block = asyncio.Event()

    def serve(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """What a peer asks on the bulk connection."""
        return self._server.serve(peer, request)

    async def run(self) -> None:
        """Until cancelled. Raises `OSError` when the disk refuses what is not one transfer's own."""
        await asyncio.to_thread(self._fetcher.tidy)
        async with asyncio.TaskGroup() as group:
            while True:
                # Also one that comes while this looks.
                coming = self._block
                self._begun.clear()
                await self._sealing.look()
                await self._look(group)
                # Whoever fetches does not wait for more blocks.
                await _seen(self._begun, PAUSE_S)
                await _seen(coming)

    async def begin(self, arrival: Arrival) -> None:
        """The fetch is on the ledger: get it. Raises `OSError`, `VaultError`."""
        for known in self._arrivals.all():
            if known.stopped and (known.data, known.version) == (arrival.data, arrival.version):
                await asyncio.to_thread(self._arrivals.forget, known.fetch)
        await asyncio.to_thread(self._arrivals.keep, arrival)
        self._begun.set()
        self.on_block()

    async def arrivals(self) -> list[dict[str, Any]]:
        """Others' data sets, on their way here, stopped, or come, as `lepton data fetch --json` prints them."""
        under_way = [self._shown(arrival) for arrival in self._arrivals.all()]
        # Looked at afterwards: what comes meanwhile is in both, and what is in neither was never fetched.
        here = await asyncio.to_thread(self._received)
        come = {found["fetch"] for found in here}
        return [*(found for found in under_way if found["fetch"] not in come), *here]

    def _received(self) -> list[dict[str, Any]]:
        try:
            versions = self._vault().all_received()
        except VaultError as error:
            self._log(f"what was received cannot be listed: {error}")
            return []
        return [
            {
                "fetch": version.received.fetch.hex(),
                "basis": version.received.basis.hex(),
                "data": version.data,
                "version": version.number,
                "operation": version.received.operation,
                "state": "here",
                "doing": "",
                "why": "",
                **shown_goal(None),
                "chunks": len(version.digests),
                "done": len(version.digests),
            }
            for version in versions
            if version.received is not None
        ]

    async def restore(self, name: str, number: int, begun: Callable[[Goal], None]) -> Version:
        """Bring an own version back from copies; `begun` hears of its progress. Raises `NoCopy`, `OSError`."""
        return await self._restorer.restore(name, number, begun)

    async def _look(self, group: asyncio.TaskGroup) -> None:
        for arrival in self._arrivals.all():
            if not arrival.stopped and arrival.fetch not in self._fetches and len(self._fetches) < AT_ONCE_MAX:
                self._fetches[arrival.fetch] = Progress(arrival)
                group.create_task(self._fetch(self._fetches[arrival.fetch]))
        for key in await self._keeper.look():
            if key not in self._copying and len(self._copying) < AT_ONCE_MAX:
                self._copying.add(key)
                group.create_task(self._copy(*key))
        for sealed in self._keys.lacking():
            if sealed not in self._getting and len(self._getting) < AT_ONCE_MAX:
                self._getting.add(sealed)
                group.create_task(self._key(*sealed))

    async def _fetch(self, progress: Progress) -> None:
        arrival = progress.arrival
        try:
            await self._fetcher.run(progress)
            self._log(f"version {arrival.version} of {arrival.data} is in the vault")
        except (Stopped, VaultError) as stopped:
            self._log(f"the transfer of version {arrival.version} of {arrival.data} is stopped: {stopped}")
            await asyncio.to_thread(self._fetcher.discard, arrival, str(stopped))
        except OSError as error:
            self._log(f"the transfer of version {arrival.version} of {arrival.data} waits for the disk: {error}")
            progress.state, progress.doing = "waiting", f"the disk refuses: {error}"
            await asyncio.sleep(DISK_PAUSE_S)
        finally:
            del self._fetches[arrival.fetch]

    async def _key(self, basis: Digest, number: int) -> None:
        """Get a sealed key before it is fetched on."""
        try:
            await self._keys.get(basis, number)
        except OSError as error:
            self._log(f"a key that was sealed to this member is not kept yet: {error}")
        finally:
            self._getting.discard((basis, number))

    async def _copy(self, data: str, number: int) -> None:
        """Get a copy, until it is here or the ledger no longer asks for it."""
        work = asyncio.ensure_future(self._keeper.get(data, number))
        try:
            while not work.done() and (data, number) in self._keeper.wanted():
                change = asyncio.ensure_future(self._changed())
                await asyncio.wait((work, change), return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
            if work.done():
                await work
                self._log(f"a copy of version {number} of {data} is kept here")
        except (Liars, NoCopy, VaultError, OSError) as error:
            self._log(f"no copy of version {number} of {data} yet: {error}")
            await asyncio.sleep(DISK_PAUSE_S)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            self._copying.discard((data, number))

    async def _changed(self) -> None:
        """The next block, or a little later."""
        await _seen(self._block)

    def _shown(self, arrival: Arrival) -> dict[str, Any]:
        progress = self._fetches.get(arrival.fetch)
        goal = None if progress is None else progress.goal
        state = "stopped" if arrival.stopped else "waiting" if progress is None else progress.state
        return {
            "fetch": arrival.fetch.hex(),
            "basis": arrival.basis.hex(),
            "data": arrival.data,
            "version": arrival.version,
            "operation": arrival.operation,
            "state": state,
            "doing": "" if progress is None else progress.doing,
            "why": arrival.stopped,
            **shown_goal(goal),
        }


async def _seen(event: asyncio.Event, seconds_max: float = LOOK_S) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds_max):
            await event.wait()


def shown_goal(goal: Goal | None) -> dict[str, Any]:
    """How far it is, for people and programs."""
    if goal is None:
        return {"chunks": 0, "done": 0, "sources": [], "fault": ""}
    sources = [source.org if source.via is None else f"{source.org} over {source.via}" for source in goal.sources]
    return {"chunks": len(goal.digests), "done": goal.done, "sources": sources, "fault": goal.fault}
