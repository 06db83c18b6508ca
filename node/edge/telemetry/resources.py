"""What this process uses of the machine."""

import psutil


def resident_mb() -> float:
    """Resident memory of this process in MiB (2**20 bytes)."""
    return round(psutil.Process().memory_info().rss / 2**20, 1)


def open_files() -> int:
    """How many file descriptors this process holds, sockets included."""
    return int(psutil.Process().num_fds())
