"""The operator's API: server and typed client, over a Unix socket that belongs to the owner of the member's folder."""

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
