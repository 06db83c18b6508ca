"""Which chunks of a data set are asked of whom: several sources at once, each as fast as it answers.

`machine` the pure machine. Whether a chunk is true is found out by who performs; here only the answer counts.
"""

from node.core.transfer.machine import (
    ASKS_PER_SOURCE_MAX,
    RUN_CHUNKS_MAX,
    Ask,
    Came,
    Drop,
    Effect,
    Ended,
    Finished,
    Input,
    Source,
    Sources,
    Stop,
    Tick,
    Transfer,
)

__all__ = [
    "ASKS_PER_SOURCE_MAX",
    "RUN_CHUNKS_MAX",
    "Ask",
    "Came",
    "Drop",
    "Effect",
    "Ended",
    "Finished",
    "Input",
    "Source",
    "Sources",
    "Stop",
    "Tick",
    "Transfer",
]
