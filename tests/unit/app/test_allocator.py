"""What a daemon does with the memory of its C library, in a process of its own: it cannot be undone."""

import ctypes
import subprocess
import sys

import pytest

MAPPED = """
import ctypes
from node.app.allocator import settle_allocator

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
if {settled}:
    settle_allocator()
before = libc.mallinfo2().hblkhd
kept = bytes(2 << 20)
print(libc.mallinfo2().hblkhd - before)
"""


def mapped_for_a_chunk(settled: bool) -> int:
    words = [sys.executable, "-c", MAPPED.format(settled=settled)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="only glibc tells what it has mapped")
def test_a_chunk_of_a_data_set_comes_from_the_heap() -> None:
    assert mapped_for_a_chunk(settled=False) > 2 << 20
    assert mapped_for_a_chunk(settled=True) == 0
