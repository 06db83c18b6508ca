"""Signatures of blocks that are fetched, verified in a process of their own while the blocks before them are applied.

`looks` what the process is asked, and which signatures a block will be asked for; `child` the process; `ahead` the
daemon's side.
"""

from node.edge.verifying.ahead import SignaturesAhead

__all__ = ["SignaturesAhead"]
