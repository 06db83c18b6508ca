"""Data that no compression makes smaller."""

import os
import zipfile
from pathlib import Path

from numpy.lib import format as npy

PIECE_BYTES = 1 << 20


def write_noise(path: Path, size: int) -> None:
    """An NPZ file with one array of so many bytes of chance, a multiple of `PIECE_BYTES`. Blocking."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w", force_zip64=True) as member:
        npy.write_array_header_1_0(member, header)
        for _ in range(size // PIECE_BYTES):
            member.write(os.urandom(PIECE_BYTES))
