"""Walks on four members, by the shipped commands: `scripts/walk`.

`sharing` and `network` what is typed, in its order, and what must come of it; `shell` types it and keeps what was
printed; `command` the options.
"""

from node.testing.walk.command import main

__all__ = ["main"]
