"""Where the learning process begins: it steps back before it imports or computes anything.

    python -m node.edge.learning.background [MEMORY_MB]

A daemon that votes goes before training on the same machine. Niceness alone is not enough for that: the kernel lets
what runs finish its slice, and only the idle class is put aside at once (sched(7)). The process stays in the daemon's
session, because where the kernel weighs sessions against each other (autogroups) a priority counts only within one; in
a process group of its own Ctrl-C in a terminal reaches the daemon alone, which ends its children in order.
"""

import os
from typing import Final

NICENESS: Final = 10


def step_back() -> None:
    """Give this process the lowest priority that needs no rights, and a group of its own."""
    os.setpgrp()
    os.nice(NICENESS)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    step_back()
    from node.edge.learning.child import main

    main()
