"""TCP ports of this machine."""

import secrets
import socket
from contextlib import suppress
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOW = 10_000
"""Below it well-known services listen."""
_OUTGOING = 32_768
"""Where Linux begins to take ports for outgoing connections, unless it says otherwise."""
_PORTS_MIN = 1_000
"""Of fewer, two members of one machine would soon get the same."""
_TRIES = 100


def free_port() -> int:
    """A port of the loopback interface that nobody uses now. Another process may take it before you do.

    Not one of those that the system gives to outgoing connections, where there are others: a daemon that keeps its port
    and stands still for a moment would find a stranger's connection on it.
    """
    ports = _first_outgoing() - _LOW
    for _ in range(_TRIES if ports >= _PORTS_MIN else 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", _LOW + secrets.randbelow(ports)))
            return int(probe.getsockname()[1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_outgoing() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _OUTGOING
