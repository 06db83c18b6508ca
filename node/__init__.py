"""Lepton: a peer-to-peer daemon with which organisations build AI together without a central server.

`node/README.md` is the design as built; `ls node/` shows the floors.
"""

import os

__version__ = "0.1.0"

# The learner's process is started by fork and exec. gRPC's fork handlers abort some of those children, and it reads
# this when it is first imported: so it is said before anything of ours can import it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# Its informational lines would stand unformatted between the daemon's own.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# gRPC's event engine puts threads of its own between a socket and our loop: two to three times the context switches for
# each message, and a seventh of a member's processor time. Without it the core polls as it did for years before.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener,-event_engine_dns")
