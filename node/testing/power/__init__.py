"""Power loss, replayed: what a program wrote is recorded, and every disk that a crash could leave is made of it.

`journal` says what happens to a disk; `vfs` records it of SQLite, `recorder` of the rest; `disk` holds what is
durable and what is still on its way, and draws a crash from it; `ledger` and `votes` are a member's life with what it
was promised; `engine` is the life of a whole engine among others, `facts` what it was told and told others, `reopened`
starts it again; `replay` puts it together; `command` is the command line of `scripts/power`.
"""

from node.testing.power.disk import Disk, write_image
from node.testing.power.journal import Journal
from node.testing.power.replay import Crashes, lose_engine_power, lose_power
from node.testing.power.vfs import VfsUnavailable, recording

__all__ = [
    "Crashes",
    "Disk",
    "Journal",
    "VfsUnavailable",
    "lose_engine_power",
    "lose_power",
    "recording",
    "write_image",
]
