"""The operator's API over a Unix socket that belongs to the owner of the member's folder.

`server` the daemon's side, `client` the typed other side; `types` what calls return, `errors` what can go wrong between
the two, `socket` where it lies and who may reach it.
"""

from node.api.client import OperatorClient
from node.api.errors import DaemonRefused, DaemonUnreachable, OperatorError
from node.api.server import OperatorBackend, OperatorServer
from node.api.types import BlockOutcome, OperatorRefusal, Outcome

__all__ = [
    "BlockOutcome",
    "DaemonRefused",
    "DaemonUnreachable",
    "OperatorBackend",
    "OperatorClient",
    "OperatorError",
    "OperatorRefusal",
    "OperatorServer",
    "Outcome",
]
