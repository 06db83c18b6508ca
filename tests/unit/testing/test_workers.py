"""The processes of a search end with the one that started them."""

import subprocess
import sys

import psutil

ENDED_S_MAX = 20
SEARCH = """
import os, sys
from node.testing.workers import workers

if __name__ == "__main__":
    with workers(2) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        sys.stdin.read()
"""


def test_no_worker_outlives_a_search_that_was_killed(tmp_path):
    script = tmp_path / "search.py"
    script.write_text(SEARCH)
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as search:
        worker = psutil.Process(int(search.stdout.readline()))
        assert worker.ppid() == search.pid
        search.kill()

    _, left = psutil.wait_procs([worker], timeout=ENDED_S_MAX)
    for process in left:
        process.kill()
    assert left == []
