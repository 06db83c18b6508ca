"""TCP ports of this machine."""

import socket


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now. Another process may take it before you do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
