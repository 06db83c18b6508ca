"""`scripts/soak`: real daemons under load and faults for as long as asked, and what must hold at the end.

`plan` draws faults from a seed; `faults` performs them; `wires` is the network between the members, which can be cut
and slowed; `membership` has members come and go by `operators`' commands; `load` submits through every member's socket;
`watch` takes readings; `checks` judges, `outcome` is what was found; `run` puts them in order; `command` and `screen`
are what a person meets.
"""

from node.testing.soak.command import main

__all__ = ["main"]
