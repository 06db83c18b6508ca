"""Beside the house: whatever scripts and tests share that no member runs.

Networks: `cluster` N members in one process, `processes` N daemons, `network` one in memory, `hostile` a modified
client, `founding` one without daemons, `council` consensus alone, `society` a chain whose members change, `training` N
that train. Chains and states: `rulings`, `snapshots`, `contract_bench`. `signing` costs nothing, `noise` does not
compress. Searches: `simulation`, `fuzz`, `power`. Real daemons: `soak`, `scenario` (`scripts/spawn`), `walk`, `bench`.
Commands share `options`, `signals` and `workers`.
"""
