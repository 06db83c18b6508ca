"""The network between daemons on one machine: a TCP relay per member, whose address stands on the member's card.

Which member dials is found by the process that owns the connection, so that each pair has a wire of its own that can be
cut, reset or slowed. Finding it takes long, so it is done only while a wire is not well. No privileges are needed;
Linux's /proc is.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.base.types import OrgId

PIECE_BYTES_MAX = 64 << 10
LOOPBACK = "0100007F"
LISTENING = "0A"
"""A socket's state in /proc/net/tcp."""

Pids = Callable[[], Mapping[OrgId, int]]
Pair = frozenset[OrgId]
BACKLOG = 1_024
"""Of a network that starts, all members dial at once."""


@dataclass(slots=True, eq=False)
class _Carried:
    """One relayed connection."""

    target: OrgId
    port: int
    """The dialler's."""
    pair: Pair | None = None
    """Both ends, as soon as somebody needed to know."""


class Wires:
    """All wires of one network. `async with` opens and closes the relays."""

    def __init__(self, orgs: tuple[OrgId, ...], pids: Pids) -> None:
        """`pids` are the daemons that run now."""
        self._orgs = orgs
        self._pids = pids
        self._targets: dict[OrgId, str] = {}
        self._servers: dict[OrgId, asyncio.Server] = {}
        self._open: dict[Pair, asyncio.Event] = {}
        self._refused: set[Pair] = set()
        self._delays_s: dict[Pair, float] = {}
        self._carrying: dict[asyncio.Task[None], _Carried] = {}
        self._well = True

    async def __aenter__(self) -> "Wires":
        for org in self._orgs:
            self._servers[org] = await asyncio.start_server(self._accepting(org), "127.0.0.1", 0, backlog=BACKLOG)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.close()
        carrying = list(self._carrying)
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    @property
    def addresses(self) -> dict[OrgId, tuple[str, ...]]:
        """Where each member is dialled."""
        return {org: (f"127.0.0.1:{server.sockets[0].getsockname()[1]}",) for org, server in self._servers.items()}

    @property
    def connections(self) -> int:
        """Relayed now."""
        return len(self._carrying)

    def lead_to(self, org: OrgId, listen: str) -> None:
        """Say where the member's daemon listens."""
        self._targets[org] = listen

    def cut(self, one: OrgId, other: OrgId) -> None:
        """Nothing comes through any more, and nobody is told."""
        self._find_pairs()
        self._gate(frozenset((one, other))).clear()

    def reset(self, one: OrgId, other: OrgId) -> None:
        """Connections end, and new ones are refused."""
        self._find_pairs()
        pair = frozenset((one, other))
        self._refused.add(pair)
        for task, carried in self._carrying.items():
            if carried.pair == pair:
                task.cancel()

    def slow(self, one: OrgId, other: OrgId, delay_s: float) -> None:
        """Each piece comes this much later."""
        self._find_pairs()
        self._delays_s[frozenset((one, other))] = delay_s

    def heal(self) -> None:
        """All wires are well again; what was held back comes through, as TCP would send it again."""
        self._well = True
        self._refused.clear()
        self._delays_s.clear()
        for gate in self._open.values():
            gate.set()

    def _find_pairs(self) -> None:
        """From now on it matters who dialled each connection: those that there are, and those that come."""
        if not self._well:
            return
        self._well = False
        owners = owners_of({carried.port for carried in self._carrying.values()}, self._pids())
        for carried in self._carrying.values():
            carried.pair = _pair(owners.get(carried.port), carried.target)

    def _gate(self, pair: Pair) -> asyncio.Event:
        if pair not in self._open:
            self._open[pair] = asyncio.Event()
            self._open[pair].set()
        return self._open[pair]

    def _accepting(self, target: OrgId) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("peername")
            if peer is None:
                # The dialler is gone again.
                writer.close()
                return
            carried = _Carried(target, peer[1])
            task = asyncio.get_running_loop().create_task(self._carry(carried, reader, writer))
            self._carrying[task] = carried
            task.add_done_callback(lambda done: self._carrying.pop(done, None))

        return accepted

    async def _carry(self, carried: _Carried, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        outs, target = [near_out], carried.target
        try:
            if not self._well:
                carried.pair = _pair(owners_of({carried.port}, self._pids()).get(carried.port), target)
            if carried.pair in self._refused or target not in self._targets:
                return
            host, _, port = self._targets[target].rpartition(":")
            far, far_out = await asyncio.open_connection(host, int(port))
            outs.append(far_out)
            pumps = [
                asyncio.create_task(self._pump(carried, near, far_out)),
                asyncio.create_task(self._pump(carried, far, near_out)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            # The daemon is down, or the wire was reset: either way the connection ends here.
            return
        finally:
            for out in outs:
                out.close()

    async def _pump(self, carried: _Carried, source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while piece := await source.read(PIECE_BYTES_MAX):
            if not self._well and carried.pair is not None:
                await self._gate(carried.pair).wait()
                delay_s = self._delays_s.get(carried.pair)
                if delay_s is not None:
                    await asyncio.sleep(delay_s)
            out.write(piece)
            await out.drain()


def owners_of(ports: set[int], pids: Mapping[OrgId, int]) -> dict[int, OrgId]:
    """Whose connections from these loopback ports they are; those of nobody here are left out."""
    sockets = {f"socket:[{inode}]": port for inode, port in _inodes(ports).items()}
    found: dict[int, OrgId] = {}
    for org, pid in pids.items():
        folder = Path(f"/proc/{pid}/fd")
        try:
            descriptors = os.listdir(folder)
        except OSError:
            continue
        for descriptor in descriptors:
            port = sockets.get(_link(folder / descriptor))
            if port is not None:
                found[port] = org
    return found


def _pair(dialler: OrgId | None, target: OrgId) -> Pair:
    return frozenset((target,)) if dialler is None else frozenset((dialler, target))


def _inodes(ports: set[int]) -> dict[str, int]:
    """The inodes of the TCP sockets that are bound to these loopback ports and connected, with their ports."""
    found: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].rpartition(":")
            if address.endswith(LOOPBACK) and fields[3] != LISTENING and fields[9] != "0" and int(port, 16) in ports:
                found[fields[9]] = int(port, 16)
    return found


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
