"""How a daemon takes memory from the system, where its C library lets it say so (glibc does; others go their own way).

glibc opens a heap for nearly every thread, and what is free in one is of no use to another: a member's memory crept up
with its chain. And it maps each buffer of a megabyte anew and gives it back, page by page, which a transfer of a
gigabyte does thousands of times.
"""

import ctypes

HEAPS_MAX = 2
MAPPED_FROM_BYTES = 4 << 20
"""Smaller buffers come from the heap: chunks of data sets and their frames among them."""
KEPT_FREE_BYTES = 64 << 20
"""At a heap's end. So much a daemon may keep of what a transfer needed."""

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def settle_allocator() -> None:
    """Call it before there are threads."""
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is None:
        return
    for parameter, value in (
        (_M_ARENA_MAX, HEAPS_MAX),
        (_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES),
        (_M_TRIM_THRESHOLD, KEPT_FREE_BYTES),
    ):
        choose(parameter, value)
