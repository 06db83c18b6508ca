"""The cores: what a member decides, each a pure `step(input, now) -> effects` that knows none of the others.

`consensus` which block is next; `mempool` which transactions wait; `gossip` who is told what; `sync` how a member far
behind comes to the state; `scheduling` and `averaging` a training round; `transfer` which chunk is asked of whom.
"""
