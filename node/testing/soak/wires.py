"""The network between daemons on one machine: a TCP relay per member, whose address stands on the member's card.

Which member dials is found by the process that owns the connection, so that each pair has a wire of its own that can be
cut, reset or slowed. No privileges are needed; Linux's /proc is.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from node.base.types import OrgId

PIECE_BYTES_MAX = 64 << 10
LISTENING = "0A"
"""A socket's state in /proc/net/tcp."""

Pids = Callable[[], Mapping[OrgId, int]]
Pair = frozenset[OrgId]


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
        self._carrying: dict[asyncio.Task[None], Pair | None] = {}

    async def __aenter__(self) -> "Wires":
        for org in self._orgs:
            self._servers[org] = await asyncio.start_server(self._accepting(org), "127.0.0.1", 0)
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
        self._gate(frozenset((one, other))).clear()

    def reset(self, one: OrgId, other: OrgId) -> None:
        """Connections end, and new ones are refused."""
        pair = frozenset((one, other))
        self._refused.add(pair)
        for task, carried in self._carrying.items():
            if carried == pair:
                task.cancel()

    def slow(self, one: OrgId, other: OrgId, delay_s: float) -> None:
        """Each piece comes this much later."""
        self._delays_s[frozenset((one, other))] = delay_s

    def heal(self) -> None:
        """All wires are well again; what was held back comes through, as TCP would send it again."""
        self._refused.clear()
        self._delays_s.clear()
        for gate in self._open.values():
            gate.set()

    def _gate(self, pair: Pair) -> asyncio.Event:
        if pair not in self._open:
            self._open[pair] = asyncio.Event()
            self._open[pair].set()
        return self._open[pair]

    def _accepting(self, target: OrgId) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._carry(target, reader, writer))
            self._carrying[task] = None
            task.add_done_callback(lambda done: self._carrying.pop(done, None))

        return accepted

    async def _carry(self, target: OrgId, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        outs = [near_out]
        try:
            dialler = owner_of(near_out.get_extra_info("peername")[1], self._pids())
            pair = frozenset((dialler, target)) if dialler is not None else frozenset((target,))
            task = asyncio.current_task()
            assert task is not None, "runs in a task"
            self._carrying[task] = pair
            if pair in self._refused or target not in self._targets:
                return
            host, _, port = self._targets[target].rpartition(":")
            far, far_out = await asyncio.open_connection(host, int(port))
            outs.append(far_out)
            pumps = [
                asyncio.create_task(self._pump(pair, near, far_out)),
                asyncio.create_task(self._pump(pair, far, near_out)),
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

    async def _pump(self, pair: Pair, source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while piece := await source.read(PIECE_BYTES_MAX):
            await self._gate(pair).wait()
            delay_s = self._delays_s.get(pair)
            if delay_s is not None:
                await asyncio.sleep(delay_s)
            out.write(piece)
            await out.drain()


def owner_of(port: int, pids: Mapping[OrgId, int]) -> OrgId | None:
    """Whose connection from this loopback port it is; None for nobody of these."""
    inode = _inode_of(port)
    if inode is None:
        return None
    wanted = f"socket:[{inode}]"
    for org, pid in pids.items():
        folder = Path(f"/proc/{pid}/fd")
        try:
            for descriptor in os.listdir(folder):
                if _link(folder / descriptor) == wanted:
                    return org
        except OSError:
            continue
    return None


def _inode_of(port: int) -> str | None:
    """The inode of the TCP socket that is bound to the loopback port and connected."""
    local = f"0100007F:{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(local) and fields[3] != LISTENING and fields[9] != "0":
                return fields[9]
    return None


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
