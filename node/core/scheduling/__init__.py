"""What this member works on now: one job at a time, in the order in which they started on the ledger.

`scheduler` is all of it. All members read the same order, so all work on the same job. How a training round goes is the
business of `core.averaging`.
"""

from node.core.scheduling.scheduler import (
    Effect,
    FetchModel,
    Input,
    JobsSeen,
    ModelHeld,
    Release,
    Scheduler,
    SendPresent,
    Tick,
    Trained,
    Trouble,
    WorkOn,
)

__all__ = [
    "Effect",
    "FetchModel",
    "Input",
    "JobsSeen",
    "ModelHeld",
    "Release",
    "Scheduler",
    "SendPresent",
    "Tick",
    "Trained",
    "Trouble",
    "WorkOn",
]
