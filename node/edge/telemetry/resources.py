"""What this process uses of the machine."""

import psutil


def resident_mb() -> float:
    """Resident memory of this process in MiB (2**20 bytes)."""
    return round(psutil.Process().memory_info().rss / 2**20, 1)
