"""The scenarios on a local network: `scripts/spawn`.

`plan` which member gets which rows; `run` from founding to the end of training; `figures` together, alone and pooled;
`screen` what a person sees; `command` the options.
"""

from node.testing.scenario.command import main

__all__ = ["main"]
