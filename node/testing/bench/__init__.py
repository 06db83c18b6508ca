"""Ratios of what Lepton does to what the same machine can do, both taken in one run.

`command` is the command line, `parts` the registry, `figures` what a part found. One file per part: `consensus`,
`busy`, `traffic`, `state`, `syncs`, `catchup`, `memory`, `daemon`, `training`, `averaging`, `sharing`, `rulings`.
Members that are no whole daemon are processes of their own (`echo`, `exchange`, `drill`), conducted by `crew`; the
yardsticks are `wire`, `bare` and `stream`.
"""

from node.testing.bench.command import main

__all__ = ["main"]
