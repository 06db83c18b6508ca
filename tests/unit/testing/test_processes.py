"""Daemons that the harness started are ended as a service manager ends them."""

import subprocess
import sys

import pytest

from node.testing.processes import ended_well

ON_ITS_WAY_OUT = """
import os, signal, sys, time
def told(*_):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(float(sys.argv[1]))
    os._exit(0)
signal.signal(signal.SIGTERM, told)
os.write(1, b"up\\n")
while True:
    signal.pause()
"""
"""Gives back its handler first, as an interpreter does that ends, and takes a while for the rest."""


@pytest.fixture
def processes():
    # The second is still on its way when the first has ended.
    started = [
        subprocess.Popen([sys.executable, "-c", ON_ITS_WAY_OUT, seconds], stdout=subprocess.PIPE)
        for seconds in ("0.1", "0.8")
    ]
    try:
        assert [process.stdout.readline() for process in started] == [b"up\n", b"up\n"]
        yield started
    finally:
        for process in started:
            with process:
                process.kill()


def test_each_is_told_once(processes):
    assert ended_well(processes) == [0, 0]
