"""What tells a search or a soak to stop, and what does not."""

import subprocess
import sys

import pytest

from node.testing.signals import INTERRUPTED

BEGINNING = """
import asyncio, os, signal, sys
from node.testing import signals

def told(number):
    os.kill(os.getpid(), number)

signal.signal(signal.SIGHUP, signal.SIG_IGN)
"""
SEARCH = """
try:
    with signals.raised():
        told(signal.SIGHUP)
        print("goes on", flush=True)
        told(signal.Signals[sys.argv[1]])
        print("goes on after all")
except KeyboardInterrupt:
    sys.exit(signals.interrupted("search", " after 3"))
"""
SOAK = """
async def soak():
    told(signal.SIGHUP)
    for _ in range(9):
        await asyncio.sleep(0)
    print("goes on", flush=True)
    told(signal.Signals[sys.argv[1]])
    await asyncio.Event().wait()

sys.exit(asyncio.run(signals.until_signalled(soak(), "soak")))
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("work", "said"),
    [
        pytest.param(SEARCH, "search: interrupted after 3\n", id="raised"),
        pytest.param(SOAK, "soak: interrupted\n", id="cancelled"),
    ],
)
def test_it_ends_in_order_when_it_is_told_to_but_not_by_a_signal_that_it_was_started_to_ignore(work, said, number):
    done = subprocess.run([sys.executable, "-c", BEGINNING + work, number], capture_output=True, text=True)

    assert (done.stdout, done.stderr, done.returncode) == ("goes on\n", said, INTERRUPTED)
