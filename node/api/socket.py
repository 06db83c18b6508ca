"""Where the operator's socket lies, and who may reach it."""

import hashlib
import os
import tempfile
from pathlib import Path

SOCKET_PATH_MAX = 100
"""A Unix socket's address holds 108 bytes; gRPC needs some of them."""


def socket_path(folder: Path) -> Path:
    """The socket of the member in `folder`: inside it, or, where that path is too long, in a private folder of ours.

    Raises `PermissionError` where the private folder belongs to somebody else.
    """
    inside = folder.resolve() / "operator.sock"
    if len(os.fsencode(inside)) <= SOCKET_PATH_MAX:
        return inside
    private = Path(tempfile.gettempdir()) / f"lepton-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{private} must belong to you alone (mode 0700); remove it or mend its mode")
    return private / f"{hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]}.sock"
