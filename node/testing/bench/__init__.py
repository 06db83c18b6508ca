"""Ratios of what Lepton does to what the same machine can do, both taken in one run.

`command` is the command line, `parts` the registry; one file per part. Members that are no whole daemon are processes
of their own (`echo`, `exchange`, `drill`), conducted by `crew`.
"""

from node.testing.bench.command import main

__all__ = ["main"]
