"""Ports that daemons keep."""

import socket
from pathlib import Path

import pytest

from node.edge.transport import free_port

FIRST_OUTGOING = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


@pytest.mark.skipif(FIRST_OUTGOING < 11_000, reason="this machine gives nearly every port to outgoing connections")
def test_a_daemon_that_keeps_its_port_finds_it_free_after_a_restart():
    # A cluster's test failed once in some thousand restarts: an outgoing connection had got the daemon's port.
    ports = {free_port() for _ in range(50)}

    assert all(1024 <= port < FIRST_OUTGOING for port in ports)
    assert len(ports) > 25, "clusters side by side get different ones"
    for port in ports:
        with socket.create_server(("127.0.0.1", port)) as listening:
            assert listening.getsockname()[1] == port
