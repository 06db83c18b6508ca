"""Lepton: a peer-to-peer daemon with which organisations build AI together without a central server.

`node/README.md` is the design as built; the floors, from above: `cli`, `app`, `engine` and `api`, `core` and `edge`,
`ledger`, `base`, with `_proto` for what is generated and `testing` beside them.
"""

import os

__version__ = "0.1.0"

# The learner's process is started by fork and exec. gRPC's fork handlers abort some of those children, and it reads
# this when it is first imported: so it is said before anything of ours can import it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# Its informational lines would stand unformatted between the daemon's own.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
