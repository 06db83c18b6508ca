"""Fuzzing: every reader of foreign bytes is given valid bytes, spoilt ones and nonsense, and must refuse in words.

`values` draws values of any type that the codec knows, `mutate` spoils bytes, `targets` are the readers with their
declared errors (more of them in `contracts`, `files`, `learning`, `links`, `rules` and `snapshots`), `run` counts and
keeps what fails; `command` is the command line of `scripts/fuzz`.
"""

from node.testing.fuzz.run import Failure, Tally, run_target
from node.testing.fuzz.targets import TARGETS, Target

__all__ = ["TARGETS", "Failure", "Tally", "Target", "run_target"]
