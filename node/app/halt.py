"""The height at which the operator wants this member to halt, kept in the member's folder across restarts."""

from pathlib import Path

from node.app.settings import SettingsError
from node.base.types import Height
from node.edge.storage import PRIVATE_MODE, write_atomically


def read_halt(path: Path) -> Height | None:
    """The height, None for none. Raises `SettingsError`."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    if not text.strip().isdecimal():
        raise SettingsError(f"{path} does not hold a height: write a whole number into it, or delete it")
    return Height(int(text))


def write_halt(path: Path, height: Height | None) -> None:
    """Keep the height, or that there is none. Raises `OSError`."""
    if height is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, f"{height}\n".encode(), mode=PRIVATE_MODE)
